package main

import (
	"context"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// machines lists the machines of docs/network.md by name. A page's block for several machines is written for the first.
var machines = map[string]string{"alpha": "192.0.2.1", "beta": "192.0.2.2", "gamma": "192.0.2.3", "delta": "192.0.2.4"}

// block is commands on a page, and the machines that run them.
type block struct {
	on   []string
	text string
}

// pageBlocks returns the blocks that begin with ```sh and the names of machines.
func pageBlocks(t *testing.T, page string) (blocks []block) {
	t.Helper()
	raw, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile("(?ms)^```sh (.*?)\n(.*?)^```$").FindAllStringSubmatch(string(raw), -1) {
		blocks = append(blocks, block{strings.Fields(m[1]), m[2]})
	}
	return blocks
}

// fleet simulates the page's machines: a folder and a loopback address for each.
type fleet struct {
	dir, port string
	procs     []*proc
}

// scpScript copies between the machines' folders, as scp does between machines.
const scpScript = `#!/bin/sh -e
for to; do :; done
while [ $# -gt 1 ]; do cp "$FLEET/${1%%:*}/${1#*:}" "$to"; shift; done
`

// local adapts text for machine first to its stand-in on this one.
func (f *fleet) local(text, first, name string) string {
	text = strings.NewReplacer(first, name, machines[first], machines[name]).Replace(text)
	return strings.NewReplacer("192.0.2.", "127.0.0.", "/4001", "/"+f.port).Replace(text)
}

func (f *fleet) home(name string) string {
	return filepath.Join(f.dir, strings.Replace(machines[name], "192.0.2.", "127.0.0.", 1))
}

// run runs a block on one machine. A node is left running, as in its own terminal.
func (f *fleet) run(ctx context.Context, t *testing.T, b *block, name string) string {
	t.Helper()
	text := f.local(b.text, b.on[0], name)
	if args, found := strings.CutPrefix(strings.TrimSpace(text), "walrus node run --home "); found {
		p, err := startProc(ctx, filepath.Join(f.dir, name+".log"), "node", "run", "--home",
			filepath.Join(f.home(name), args))
		if err != nil {
			t.Fatal(err)
		}
		f.procs = append(f.procs, p)
		return ""
	}
	for start := time.Now(); ; {
		out := f.shell(ctx, t, name, text)
		if !strings.Contains(text, "walrus node status") || strings.Contains(out, "serving") {
			return out
		}
		if time.Since(start) > readyTimeout {
			t.Fatalf("%s does not serve after %s:\n%s", name, readyTimeout, out)
		}
	}
}

// shell runs commands in a machine's folder.
func (f *fleet) shell(ctx context.Context, t *testing.T, name, text string) string {
	t.Helper()
	cmd := exec.CommandContext(ctx, "sh", "-ec", text)
	cmd.Dir = f.home(name)
	cmd.Env = append(os.Environ(), "FLEET="+f.dir, "PATH="+filepath.Join(f.dir, "bin")+":"+os.Getenv("PATH"),
		"HOME="+f.home(name), "WALRUS_CONFIG=", "XDG_CONFIG_HOME=", "WALRUS_LOG_LEVEL=")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("on %s: %v\n%s\n%s", name, err, text, out)
	}
	return string(out)
}

// freePort returns a port that is free on the loopback addresses of all machines, and that no outgoing connection takes
// before the nodes start: like a devnet's, it lies below the range for those.
func freePort(t *testing.T) string {
	t.Helper()
	var last error
	for range 64 {
		port := strconv.Itoa(10_000 + rand.IntN(20_000))
		if last = listenAll(t.Context(), port); last == nil {
			return port
		}
	}
	t.Skipf("this machine has only one loopback address: %v", last)
	return ""
}

// listenAll listens on a port, TCP and UDP, of each machine, and stops at once.
func listenAll(ctx context.Context, port string) error {
	var lc net.ListenConfig
	for _, ip := range machines {
		addr := net.JoinHostPort(strings.Replace(ip, "192.0.2.", "127.0.0.", 1), port)
		tcp, err := lc.Listen(ctx, "tcp4", addr)
		if err != nil {
			return err
		}
		defer tcp.Close()
		udp, err := lc.ListenPacket(ctx, "udp4", addr)
		if err != nil {
			return err
		}
		defer udp.Close()
	}
	return nil
}

// TestNetworkPage runs docs/network.md as printed: four homes made by hand become a network that stores a blob.
func TestNetworkPage(t *testing.T) {
	if testing.Short() {
		t.Skip("starts four processes")
	}
	t.Parallel()
	f := &fleet{dir: t.TempDir(), port: freePort(t)}
	if err := os.Mkdir(filepath.Join(f.dir, "bin"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(f.dir, "bin", "scp"), []byte(scpScript), 0o755); err != nil {
		t.Fatal(err)
	}
	for name := range machines {
		if err := os.Mkdir(f.home(name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		for _, p := range f.procs {
			if err := p.kill(); err != nil {
				t.Error(err)
			}
		}
	})
	blocks := pageBlocks(t, filepath.Join("..", "..", "docs", "network.md"))
	if len(blocks) != 8 {
		t.Fatalf("the page has %d blocks of commands, want 8", len(blocks))
	}
	var output string
	for i := range blocks {
		b := &blocks[i]
		running := len(f.procs)
		for _, name := range b.on {
			output += f.run(t.Context(), t, b, name)
		}
		for _, p := range f.procs[running:] {
			if _, err := p.ready(); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, want := range []string{"nodes       4: any 1 may be down", "4 of 4 nodes are healthy",
		"certified in epoch 1: "} {
		if !strings.Contains(output, want) {
			t.Errorf("nothing printed %q:\n%s", want, output)
		}
	}
	ids := regexp.MustCompile(`(?m)^network ID  (\w+)$`).FindAllStringSubmatch(output, -1)
	if len(ids) != 4 || slices.ContainsFunc(ids, func(id []string) bool { return id[1] != ids[0][1] }) {
		t.Errorf("network IDs %v, want four that are equal", ids)
	}
	for _, name := range []string{"hello.txt", "copy.txt"} {
		if got, err := os.ReadFile(filepath.Join(f.home("alpha"), name)); err != nil ||
			string(got) != "hello from four machines\n" {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	for _, p := range f.procs {
		if err := p.stop(); err != nil {
			t.Errorf("%v\n%s", err, p.tail())
		}
	}
}

package natbench

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"
	"time"

	"walrus/config"
)

var (
	walrusBin = flag.String("nat.walrus", "", "`path` of the walrus binary; without it, the test is skipped")
	only      = flag.String("nat.parts", "", "`regexp` of the parts to run: pairs, doctor, store, monitor; default all")
)

const (
	// patience bounds the start and the end of a process, on a machine busy with other work.
	patience = 60 * time.Second
	nodes    = 7
	epoch    = 12 * time.Minute // rounds of monitors are 5 s then
	// relayTime bounds the wait of a home for its first relay address, pairTime all pairs together, doctorTime one
	// examination, punchTime a TCP punch with 40 ms from end to end and back.
	relayTime, pairTime, doctorTime, punchTime = 8 * time.Second, 90 * time.Second, 15 * time.Second, 200 * time.Millisecond
	// together: so many pairs, or examinations, at a time. Each is a process or two, on a machine of perhaps two cores.
	together = 2
)

// inside is set by the script: this process and all it starts are in namespaces that end with it.
const inside = "WALRUS_NAT_INSIDE"

// bench is a network of storage nodes on a lab.
type bench struct {
	*lab
	walrus string
	net    *config.Devnet
	client string // configuration
}

// TestRouters judges pairs of homes, and walrus doctor in homes, for every kind of router.
func TestRouters(t *testing.T) {
	if *walrusBin == "" {
		t.Skip("processes in network namespaces take a minute: run make nat")
	}
	if os.Getenv(inside) == "" {
		t.Fatal("not in namespaces of its own: run make nat")
	}
	wanted := regexp.MustCompile("^(" + *only + ")$")
	b := newBench(t)
	var table [][]string
	for _, part := range []struct {
		name string
		run  func() [][]string
	}{{"pairs", b.pairs}, {"doctor", b.examine}, {"store", b.store}, {"monitor", b.monitors}} {
		if *only == "" || wanted.MatchString(part.name) {
			table = append(table, part.run()...)
		}
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	for _, row := range table {
		fmt.Fprintln(w, strings.Join(row, "\t"))
	}
	if err := w.Flush(); err != nil {
		t.Error(err)
	}
}

// newBench starts the storage nodes.
func newBench(t *testing.T) *bench {
	b := &bench{lab: newLab(t), walrus: *walrusBin}
	var err error
	if b.net, err = config.InitDevnet(t.Context(), filepath.Join(b.dir, "net"), config.DevnetOptions{Nodes: nodes, Shards: 100, Epoch: epoch}); err != nil {
		t.Fatal(err)
	}
	b.client = b.net.Client
	// The devnet's addresses are this machine's; here each node has a public one.
	moves := []string{"pace: \"local\"", "pace: \"network\""}
	var hosts []*host
	for i, addr := range b.net.Addresses {
		h := b.public(fmt.Sprintf("node-%d", i))
		hosts = append(hosts, h)
		port := regexp.MustCompile(`/tcp/(\d+)`).FindStringSubmatch(addr)[1]
		for _, proto := range []string{"tcp", "udp"} {
			moves = append(moves, "/ip4/127.0.0.1/"+proto+"/"+port, "/ip4/"+h.addr+"/"+proto+"/4001")
		}
	}
	move := strings.NewReplacer(moves...)
	for _, path := range append([]string{b.client}, b.homes()...) {
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		text := move.Replace(string(raw))
		if strings.Contains(text, "/ip4/127.0.0.1/") {
			t.Fatalf("%s still has addresses of this machine", path)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var started []*process
	for i, h := range hosts {
		started = append(started, h.start(h.name, b.walrus, "node", "run", "--home", b.net.Homes[i]))
	}
	for _, p := range started {
		if _, _, err := p.await(ctx, 0, func(line string) bool { return strings.HasPrefix(line, "ready") }); err != nil {
			t.Fatal(err)
		}
	}
	return b
}

func (b *bench) homes() (list []string) {
	for _, home := range b.net.Homes {
		list = append(list, filepath.Join(home, config.NodeFile))
	}
	return list
}

// ask runs walrus with --json in a home and decodes what it prints. A failure of the command is not an error here.
func (b *bench) ask(h *host, limit time.Duration, answer any, args ...string) (code int, took time.Duration, err error) {
	ctx, cancel := context.WithTimeout(b.t.Context(), limit)
	defer cancel()
	cmd := h.command(ctx, append([]string{b.walrus, "--config", b.clientOf(h), "--json"}, args...)...)
	var problems strings.Builder
	cmd.Stderr = &problems
	begin := time.Now()
	out, err := cmd.Output()
	took = time.Since(begin)
	var exit *exec.ExitError
	if errors.As(err, &exit) && ctx.Err() == nil && exit.Exited() {
		code = exit.ExitCode()
	} else if err != nil {
		return 0, took, fmt.Errorf("walrus %s in %s: %w: %s", strings.Join(args, " "), h.name, err, problems.String())
	}
	if err := json.Unmarshal(out, answer); err != nil {
		return code, took, fmt.Errorf("walrus %s in %s printed %q: %w\n%s", strings.Join(args, " "), h.name, out, err, problems.String())
	}
	return code, took, nil
}

// clientOf makes a client configuration for each home: its address book must not be shared.
func (b *bench) clientOf(h *host) string {
	path := filepath.Join(b.net.Dir, "client-"+strings.ReplaceAll(h.name, " ", "-")+".yaml")
	if _, err := os.Stat(path); err == nil {
		return path
	}
	raw, err := os.ReadFile(b.client)
	if err != nil {
		b.t.Fatal(err)
	}
	text := strings.Replace(string(raw), "client-peers.json", h.name+"-peers.json", 1)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		b.t.Fatal(err)
	}
	return path
}

// all runs do for each of n, some at a time.
func all(n int, do func(i int)) {
	var group sync.WaitGroup
	room := make(chan struct{}, together)
	for i := range n {
		group.Go(func() {
			room <- struct{}{}
			do(i)
			<-room
		})
	}
	group.Wait()
}

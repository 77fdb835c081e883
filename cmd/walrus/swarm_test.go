package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"walrus/config"
)

// cluster is a devnet whose nodes are processes.
type cluster struct {
	t      *testing.T
	dir    string
	net    *config.Devnet
	node   []*proc  // nil while the node is down
	guests []string // names of the guests, clients in this process
	temp   string   // where a gateway keeps its temporary files; empty for the usual place
}

// newCluster makes a devnet and starts every node.
func newCluster(t *testing.T, opt config.DevnetOptions) *cluster {
	t.Helper()
	dir := t.TempDir()
	net, err := config.InitDevnet(t.Context(), filepath.Join(dir, "net"), opt)
	if err != nil {
		t.Fatal(err)
	}
	c := &cluster{t: t, dir: dir, net: net, node: make([]*proc, opt.Nodes)}
	t.Cleanup(c.close)
	all := make([]int, opt.Nodes)
	for i := range all {
		all[i] = i
	}
	c.start(all...)
	return c
}

// config returns the client's configuration.
func (c *cluster) config() *config.Client {
	c.t.Helper()
	conf, err := config.LoadClient(c.net.Client)
	if err != nil {
		c.t.Fatal(err)
	}
	return conf
}

func (c *cluster) log(i int) string { return filepath.Join(c.dir, fmt.Sprintf("node-%d.log", i)) }

// start starts nodes and waits until all are ready: a node is ready only after it has met another.
func (c *cluster) start(nodes ...int) {
	c.t.Helper()
	for _, i := range nodes {
		// Not the test's context: it ends before close, which has to tell who ended a node.
		p, err := startProc(context.Background(), c.log(i), "node", "run", "--home", c.net.Homes[i])
		if err != nil {
			c.t.Fatalf("start node %d: %v", i, err)
		}
		c.node[i] = p
	}
	for _, i := range nodes {
		if _, err := c.node[i].ready(); err != nil {
			c.t.Fatalf("start node %d: %v", i, err)
		}
	}
}

func (c *cluster) kill(i int) {
	c.t.Helper()
	if err := c.node[i].kill(); err != nil {
		c.t.Fatalf("kill node %d: %v", i, err)
	}
	c.node[i] = nil
}

func (c *cluster) stop(i int) {
	c.t.Helper()
	if err := c.node[i].stop(); err != nil {
		c.t.Fatalf("stop node %d: %v\n%s", i, err, c.node[i].tail())
	}
	c.node[i] = nil
}

// wipe deletes the ledger of a node that is down; its keys and the record of its last signature stay.
func (c *cluster) wipe(i int) {
	c.t.Helper()
	if err := os.RemoveAll(filepath.Join(c.net.Homes[i], "ledger")); err != nil {
		c.t.Fatal(err)
	}
}

// disaster matches log text that must not occur: a crash, a race, or consensus that has stopped for good.
var disaster = regexp.MustCompile(`(?m)^goroutine |panic|CONSENSUS FAILURE|DATA RACE`)

// close ends all nodes, shows the logs of a failed test, and fails if a node ended by itself.
func (c *cluster) close() {
	for i, p := range c.node {
		if p == nil {
			continue
		}
		select {
		case <-p.done:
			c.t.Errorf("node %d ended by itself: %v", i, p.err)
		default:
		}
		_ = p.kill()
	}
	for i := range c.node {
		raw, err := os.ReadFile(c.log(i))
		if err != nil {
			continue
		}
		if bad := disaster.FindIndex(raw); bad != nil {
			c.t.Errorf("node %d broke:\n%s", i, raw[max(0, bad[0]-2000):min(len(raw), bad[0]+6000)])
		} else if c.t.Failed() {
			c.t.Logf("the log of node %d ends in:\n%s", i, raw[max(0, len(raw)-3000):])
		}
	}
	for _, name := range c.guests {
		if raw, err := os.ReadFile(c.guestLog(name)); err == nil && len(raw) > 0 && c.t.Failed() {
			c.t.Logf("the log of %s ends in:\n%s", name, raw[max(0, len(raw)-2000):])
		}
	}
}

// walrus runs a client command and checks the exit code.
func (c *cluster) walrus(code int, args ...string) result {
	c.t.Helper()
	r, err := walrus(c.t.Context(), nil, append([]string{"--config", c.net.Client}, args...)...)
	if err != nil {
		c.t.Fatal(err)
	}
	if r.code != code {
		c.t.Fatalf("walrus %s: exit code %d, want %d\n%s%s", strings.Join(args, " "), r.code, code, r.stdout, r.stderr)
	}
	return r
}

type blob struct{ id, path string }

// newBlob makes a random file and stores it; want is the expected exit code.
func (c *cluster) newBlob(rnd *rand.ChaCha8, size int, want int, flags ...string) (blob, result) {
	c.t.Helper()
	content := make([]byte, size)
	_, _ = rnd.Read(content) // never fails
	f, err := os.CreateTemp(c.dir, "blob-*")
	if err != nil {
		c.t.Fatal(err)
	}
	if _, err := f.Write(content); err != nil {
		c.t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		c.t.Fatal(err)
	}
	b := blob{path: f.Name()}
	b.id = strings.TrimSpace(c.walrus(exitDone, "blob-id", b.path).stdout)
	return b, c.walrus(want, append([]string{"store", "--json", b.path}, flags...)...)
}

// read checks that the blob reads back unchanged.
func (c *cluster) read(b blob) result {
	c.t.Helper()
	r := c.walrus(exitDone, "read", "--json", b.id, "-o", b.path+".copy")
	want, err := os.ReadFile(b.path)
	if err != nil {
		c.t.Fatal(err)
	}
	got, err := os.ReadFile(b.path + ".copy")
	if err != nil {
		c.t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		c.t.Fatalf("blob %s came back with other bytes", b.id)
	}
	return r
}

// wellTimeout bounds the time until every node is well, repairs included, on a machine busy with other tests.
const wellTimeout = 3 * time.Minute

// awaitHealth waits until every node is well, and returns how long that took.
func (c *cluster) awaitHealth() time.Duration {
	c.t.Helper()
	return c.until(wellTimeout, "health")
}

// until repeats a command until its exit code is 0, and returns how long that took.
func (c *cluster) until(limit time.Duration, args ...string) time.Duration {
	c.t.Helper()
	start := time.Now()
	poll := time.NewTicker(200 * time.Millisecond)
	defer poll.Stop()
	for {
		r, err := walrus(c.t.Context(), nil, append([]string{"--config", c.net.Client}, args...)...)
		if err != nil {
			c.t.Fatal(err)
		}
		if r.code == exitDone {
			return time.Since(start)
		}
		if time.Since(start) > limit {
			c.t.Fatalf("walrus %s still fails after %s:\n%s%s", strings.Join(args, " "), limit, r.stdout, r.stderr)
		}
		<-poll.C
	}
}

// wantWhole checks that every shard has both slivers of the blob.
func (c *cluster) wantWhole(b blob) {
	c.t.Helper()
	var st statusReport
	c.parse(c.walrus(exitDone, "blob-status", "--json", b.id), &st)
	if st.Status != "certified" || st.Slivers["stored"] != 2*c.net.Shards {
		c.t.Errorf("blob %s is %s, slivers %v: want %d stored", b.id, st.Status, st.Slivers, 2*c.net.Shards)
	}
}

func (c *cluster) parse(r result, v any) {
	c.t.Helper()
	if err := json.Unmarshal([]byte(r.stdout), v); err != nil {
		c.t.Fatalf("parse %q: %v", r.stdout, err)
	}
}

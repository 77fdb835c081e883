package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"walrus/config"
	"walrus/monitor"
	"walrus/monitornode"
)

// outsider is a monitor process without a storage node.
type outsider struct {
	c    *cluster
	home string
	proc *proc
}

// newOutsider starts a monitor with a home of its own, whose path is short enough for a socket.
func (c *cluster) newOutsider() *outsider {
	c.t.Helper()
	home, err := os.MkdirTemp("", "mon")
	if err != nil {
		c.t.Fatal(err)
	}
	o := &outsider{c: c, home: home}
	c.t.Cleanup(func() {
		if err := errors.Join(o.proc.kill(), os.RemoveAll(home)); err != nil {
			c.t.Error(err)
		}
		if raw, err := os.ReadFile(o.log()); err == nil && (disaster.Match(raw) || c.t.Failed()) {
			c.t.Errorf("the log of the monitor ends in:\n%s", raw[max(0, len(raw)-3000):])
		}
	})
	o.start()
	return o
}

func (o *outsider) log() string { return filepath.Join(o.c.dir, "monitor.log") }

func (o *outsider) start() {
	o.c.t.Helper()
	var err error
	o.proc, err = startProc(context.Background(), o.log(), "monitor", "run", "--home", o.home, "--config", o.c.net.Client,
		"--listen", "/ip4/127.0.0.1/tcp/0", "--metrics-address", "127.0.0.1:0", "--json")
	if err == nil {
		_, err = o.proc.ready()
	}
	if err != nil {
		o.c.t.Fatal(err)
	}
}

// awaitMonitor asks the monitor with a home until its status is as wanted.
func (c *cluster) awaitMonitor(home, what string, want func(*monitornode.Status) bool) (s monitornode.Status) {
	c.t.Helper()
	poll := time.NewTicker(200 * time.Millisecond)
	defer poll.Stop()
	for start := time.Now(); ; <-poll.C {
		s = monitornode.Status{}
		c.parse(c.walrus(exitDone, "monitor", "status", "--home", home, "--json"), &s)
		if want(&s) {
			return s
		}
		if time.Since(start) > 3*time.Minute {
			c.t.Fatalf("after %s the monitor of %s is not yet as wanted: %s: %+v", time.Since(start), home, what, s)
		}
	}
}

// seenWell matches what node status says of a node that all monitors find well.
var seenWell = regexp.MustCompile(`seen +(ok|slow), by [1-3] monitors, durability (99|100), reachability \d+, speed`)

// TestMonitorProcesses runs monitors beside three of four storage nodes, and one without a node. All nodes are found
// good. The one outside has no weight. When it is killed it loses no more than the round it was in, and goes on,
// without ever signing a round twice. A node that is down is told from those that are up.
func TestMonitorProcesses(t *testing.T) {
	if testing.Short() {
		t.Skip("starts five processes")
	}
	t.Parallel() // mostly waits for processes
	seed, rnd := seeded(t)
	t.Logf("seed %d", seed)
	c := newCluster(t, config.DevnetOptions{Nodes: 4, Shards: 10, Epoch: 12 * time.Minute}) // rounds of 5 s
	for i := range 3 {
		c.stop(i)
		file := filepath.Join(c.net.Homes[i], config.NodeFile)
		text, err := os.ReadFile(file)
		before, section, found := strings.Cut(string(text), "\nmonitor:\n")
		if err != nil || !found {
			t.Fatalf("%s has no section of a monitor: %v", file, err)
		}
		section = strings.Replace(section, "enabled: false", "enabled: true", 1)
		if err := os.WriteFile(file, []byte(before+"\nmonitor:\n"+section), 0o600); err != nil {
			t.Fatal(err)
		}
		c.start(i)
	}
	o := c.newOutsider()
	c.walrus(exitFailed, "monitor", "status", "--home", c.net.Homes[3])
	c.awaitHealth()
	c.newBlob(rnd, 300_000, exitDone)
	beside := c.net.Homes[0]
	c.awaitMonitor(beside, "all nodes are good", func(s *monitornode.Status) bool {
		for i := range s.Nodes {
			if s.Nodes[i].Level.String() != "good" || s.Nodes[i].Durability < 99 {
				return false
			}
		}
		return len(s.Nodes) == 4 && s.Prober.LastRound > 0
	})
	if text := c.walrus(exitDone, "node", "status", "--home", beside).stdout; !seenWell.MatchString(text) {
		t.Errorf("the status of a node that monitors saw:\n%s", text)
	}
	s := c.awaitMonitor(o.home, "it attests", func(s *monitornode.Status) bool { return s.Prober.LastRound > 0 && s.Prober.Rounds > 2 })
	if s.Self.Kind != monitor.Unbonded || s.Self.Weight != 0 || s.Prober.Void {
		t.Errorf("a monitor without a bond: %+v, %+v", s.Self, s.Prober)
	}
	if err := o.proc.kill(); err != nil {
		t.Fatal(err)
	}
	last := s.Prober.LastRound
	o.start()
	s = c.awaitMonitor(o.home, "it attests again", func(s *monitornode.Status) bool { return s.Prober.LastRound > 0 })
	if kept := len(s.Monitors); s.Prober.LastRound <= last || s.Prober.LastRound > last+8 || kept < 4 {
		t.Errorf("killed after round %d, it went on with %d; it knows %d monitors", last, s.Prober.LastRound, kept)
	}
	for _, home := range []string{beside, o.home} {
		for _, m := range c.awaitMonitor(home, "answers", func(*monitornode.Status) bool { return true }).Monitors {
			if !m.Silenced.IsZero() {
				t.Errorf("%s is silenced", m.Monitor)
			}
		}
	}
	c.kill(3)
	s = c.awaitMonitor(o.home, "the node that is down is bad", func(s *monitornode.Status) bool {
		return len(s.Nodes) == 4 && s.Nodes[3].Level.String() == "bad"
	})
	for i := range 3 {
		if s.Nodes[i].Level.String() != "good" {
			t.Errorf("node %d while another is down: %+v", i, s.Nodes[i])
		}
	}
	text := c.walrus(exitDone, "monitor", "status", "--home", o.home).stdout
	if !strings.Contains(text, "0.00 % (unbonded)") || !strings.Contains(text, "node-3  bad") {
		t.Errorf("the status for people:\n%s", text)
	}
	if raw, err := os.ReadFile(o.log()); err != nil || strings.Contains(string(raw), o.home) {
		t.Errorf("the log of the monitor shows the path of its home, or cannot be read: %v\n%s", err, raw)
	}
	c.start(3)
}

package client

import (
	"fmt"
	"testing"
	"time"
)

// line simulates an upload's network: in bytes of a pair per second and node.
type line struct {
	up     func(at time.Duration) float64        // capacity of the client's own line
	node   func(i int, at time.Duration) float64 // speed of a node, if the client's line allows it
	share  func(i int) float64                   // a node's share of the client's line while others want some too
	hidden float64                               // bytes in flight to each node, which the upload cannot see
	window float64                               // bytes that a tap queues
	strip  float64                               // bytes of a strip
	nodes  int
}

// play uploads for the given time and returns the nodes cut off, and when.
func (n line) play(limit, long time.Duration) map[int]time.Duration {
	const tick = 50 * time.Millisecond
	l := &laggards{limit: limit}
	cut := map[int]time.Duration{}
	queued, under, sent := make([]float64, n.nodes), make([]float64, n.nodes), make([]float64, n.nodes)
	held, drain := false, false
	for at := time.Duration(0); at < long; at += tick {
		for { // the encoder hands out strips while all taps have room
			low := n.window - n.strip
			if held && drain {
				low = n.window / drainFrom
			}
			held = false
			for i := range queued {
				held = held || cut[i] == 0 && queued[i] > low
			}
			if held {
				break
			}
			for i := range queued {
				if cut[i] == 0 {
					queued[i] += n.strip
				}
			}
		}
		n.carry(at, tick, under)
		for i := range queued {
			took := min(queued[i], n.hidden-under[i])
			queued[i], under[i], sent[i] = queued[i]-took, under[i]+took, sent[i]+took
		}
		if at%stallTick != 0 {
			continue
		}
		var seen []sighting
		waiting := 0
		for i := range queued {
			if cut[i] == 0 {
				s := sighting{node: i, done: sent[i], waiting: queued[i] == 0, full: held && queued[i] > n.window/drainFrom}
				if s.waiting {
					waiting++
				}
				seen = append(seen, s)
			}
		}
		drain = held && 2*waiting >= len(seen)-1
		if out := l.step(time.Unix(0, 0).Add(at), seen); len(out) > 0 {
			cut[out[0]] = at
			queued[out[0]], under[out[0]] = 0, 0
		}
	}
	return cut
}

// carry takes bytes from those in flight, by the shares of the nodes that have some.
func (n line) carry(at, tick time.Duration, under []float64) {
	left := n.up(at) * tick.Seconds()
	room := make([]float64, n.nodes)
	for i := range room {
		room[i] = min(under[i], n.node(i, at)*tick.Seconds())
	}
	for range 20 {
		var shares float64
		for i := range room {
			if room[i] > 1e-9 {
				shares += n.share(i)
			}
		}
		if shares == 0 || left < 1e-9 {
			return
		}
		part := left / shares
		for i := range room {
			if room[i] > 1e-9 {
				took := min(room[i], part*n.share(i))
				room[i], under[i], left = room[i]-took, under[i]-took, left-took
			}
		}
	}
}

// TestLaggards plays uploads over lines of all kinds: only a node that is far slower than the others is cut off, never
// one limited to its share of the client's own line.
func TestLaggards(t *testing.T) {
	const (
		mb    = 1e6
		limit = 10 * time.Second
	)
	constant := func(v float64) func(time.Duration) float64 { return func(time.Duration) float64 { return v } }
	all := func(v float64) func(int, time.Duration) float64 { return func(int, time.Duration) float64 { return v } }
	but := func(v, first float64) func(int, time.Duration) float64 {
		return func(i int, _ time.Duration) float64 {
			if i == 0 {
				return first
			}
			return v
		}
	}
	fair := func(int) float64 { return 1 }
	seventh := func(i int) float64 {
		if i == 0 {
			return 1. / 7
		}
		return 1
	}
	frozen := func(from time.Duration) func(int, time.Duration) float64 {
		return func(i int, at time.Duration) float64 {
			if i == 0 && at >= from {
				return 0
			}
			return 10 * mb
		}
	}
	slower := func(at time.Duration) float64 {
		if at > 20*time.Second {
			return 12.5 * mb / 8
		}
		return 12.5 * mb
	}
	for _, c := range []struct {
		name   string
		line   line
		cut    bool
		before time.Duration
	}{
		{name: "a slow client, all alike", line: line{up: constant(12.5 * mb), node: all(100 * mb), share: fair}},
		{name: "a very slow client", line: line{up: constant(0.1 * mb), node: all(100 * mb), share: fair}},
		{name: "a slow client, one node has a seventh of the others' share",
			line: line{up: constant(12.5 * mb), node: all(100 * mb), share: seventh}},
		{name: "a client whose line becomes slow", line: line{up: slower, node: all(100 * mb), share: fair}},
		{name: "a client whose line becomes slow, shared unfairly",
			line: line{up: slower, node: all(100 * mb), share: seventh}},
		{name: "quick client, one node at half", line: line{up: constant(1000 * mb), node: but(10*mb, 5*mb), share: fair}},
		{name: "quick client, one node at a tenth", line: line{up: constant(1000 * mb), node: but(10*mb, 1*mb), share: fair},
			cut: true, before: 25 * time.Second},
		{name: "slow client, one node at a tenth of its part", line: line{up: constant(12.5 * mb), node: but(100*mb, 0.18*mb),
			share: fair}, cut: true, before: time.Minute},
		{name: "quick client, one node takes nothing", line: line{up: constant(1000 * mb), node: but(10*mb, 0), share: fair},
			cut: true, before: 20 * time.Second},
		{name: "one node freezes after a while", line: line{up: constant(1000 * mb), node: frozen(30 * time.Second),
			share: fair}, cut: true, before: 48 * time.Second},
		{name: "slow client, one node freezes", line: line{up: constant(12.5 * mb), node: frozen(30 * time.Second),
			share: fair}, cut: true, before: 70 * time.Second},
	} {
		for _, window := range []float64{27 * mb, 8 * mb} {
			t.Run(fmt.Sprintf("%s/window %v MB", c.name, window/mb), func(t *testing.T) {
				n := c.line
				n.nodes, n.window, n.strip, n.hidden = 7, window, window/8, 1*mb
				got := n.play(limit, 3*time.Minute)
				at, cut := got[0]
				if len(got) > 1 || len(got) == 1 && !cut {
					t.Errorf("healthy nodes were cut off: %v", got)
				}
				if cut != c.cut || at > c.before {
					t.Errorf("node 0 cut off: %v at %v; want %v before %v", cut, at, c.cut, c.before)
				}
			})
		}
	}
}

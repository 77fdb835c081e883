package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

const (
	// longestDown bounds how long a killed node stays down.
	longestDown = 3 * time.Second
	// longestKillPause bounds the pause between two kills if some node can be killed.
	longestKillPause = 600 * time.Millisecond
	// killLook is the pause if no node can be killed.
	killLook = 100 * time.Millisecond
)

// seat is the killer's record of one node.
type seat struct {
	starting time.Time // when its process was started; zero while it is down, or ready
	restart  time.Time // when to start it again; zero if it is up
	away     bool      // it stays down until the others are far ahead
	spared   bool      // not to be killed, because it has to catch up
}

// killer kills nodes at random moments and starts them again. At most two are down or not ready at once.
type killer struct {
	c        *cluster
	watch    *watch
	rnd      *rand.Rand
	seats    []seat
	stretch  uint64 // number of blocks for which one node is kept away
	kills    int
	again    int             // kills of nodes that were just starting
	took     time.Duration   // until the last kill
	ready    []time.Duration // from the start of a process until it was ready
	caughtUp chan int        // nodes that have caught up
	wasAway  bool            // one node was kept away
	wasWiped bool            // one node lost its ledger
	goal     uint64          // height the others reach before the absent node comes back
}

// run kills n times, or more often until one node was kept away for long, starting after a third of the kills, and one
// has lost its ledger, after two thirds.
func (k *killer) run(n int) {
	k.c.t.Helper()
	k.seats, k.caughtUp = make([]seat, len(k.c.node)), make(chan int, n)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	start, next := time.Now(), time.Now()
	for k.kills < n || !k.wasWiped || !k.quiet() {
		<-tick.C
		k.revive()
		if k.kills >= n && k.wasWiped || time.Now().Before(next) {
			continue
		}
		victims := k.choose()
		if len(victims) == 0 {
			next = time.Now().Add(killLook)
			continue
		}
		for _, i := range victims {
			k.hit(i, n)
		}
		k.took = time.Since(start)
		next = time.Now().Add(time.Duration(k.rnd.Int64N(int64(longestKillPause))))
	}
}

// hit kills a node, and keeps it away or wipes its ledger if it is time for that.
func (k *killer) hit(i, n int) {
	well := !k.starting(i)
	k.kill(i)
	switch {
	case !well:
	case !k.wasAway && k.kills > n/3:
		k.wasAway = true
		k.goal = k.watch.height() + k.stretch
		k.seats[i].away, k.seats[i].spared = true, true
		k.c.t.Logf("kill %d: node %d is away until height %d", k.kills, i, k.goal)
	case k.wasAway && !k.wasWiped && !k.away() && k.kills > 2*n/3:
		k.wasWiped = true
		k.c.wipe(i)
		k.seats[i].spared = true
		k.c.t.Logf("kill %d: node %d loses its ledger at height %d", k.kills, i, k.watch.height())
	}
}

func (k *killer) starting(i int) bool { return !k.seats[i].starting.IsZero() }

func (k *killer) away() bool {
	return slices.ContainsFunc(k.seats, func(s seat) bool { return s.away })
}

// quiet reports whether every node is ready and has caught up.
func (k *killer) quiet() bool {
	for i := range k.seats {
		if s := &k.seats[i]; k.c.node[i] == nil || k.starting(i) || s.spared {
			return false
		}
	}
	return true
}

// choose picks the nodes to kill now, so that at most two are not ready: most often one that is well, sometimes two at
// once, now and then one that is just starting.
func (k *killer) choose() []int {
	var well, weak []int
	out := 0
	for i := range k.seats {
		switch s := &k.seats[i]; {
		case k.c.node[i] == nil || k.starting(i):
			out++
			if k.c.node[i] != nil && !s.spared {
				weak = append(weak, i)
			}
		case !s.spared:
			well = append(well, i)
		}
	}
	k.rnd.Shuffle(len(well), func(i, j int) { well[i], well[j] = well[j], well[i] })
	switch {
	case len(weak) > 0 && k.rnd.IntN(20) == 0:
		return weak[:1]
	case out == 0 && k.rnd.IntN(4) == 0:
		return well[:2]
	case out < 2:
		return well[:1]
	}
	return nil
}

func (k *killer) kill(i int) {
	if k.starting(i) {
		k.again++
	}
	k.c.kill(i)
	k.kills++
	// Most restart soon.
	u := k.rnd.Float64()
	k.seats[i] = seat{restart: time.Now().Add(time.Duration(u * u * u * u * float64(longestDown)))}
}

// revive starts the nodes that are due, and records which have become ready.
func (k *killer) revive() {
	k.c.t.Helper()
	for i := range k.seats {
		s, p := &k.seats[i], k.c.node[i]
		switch {
		case p == nil:
			if s.away && k.watch.height() < k.goal || time.Now().Before(s.restart) {
				continue
			}
			k.start(i)
		case k.starting(i):
			select {
			case line := <-p.line:
				if !strings.Contains(line, "ready") {
					k.c.t.Fatalf("node %d printed %q and not that it is ready:\n%s", i, line, p.tail())
				}
				k.ready = append(k.ready, time.Since(s.starting))
				s.starting = time.Time{}
			default:
				if time.Since(s.starting) > readyTimeout {
					k.c.t.Fatalf("node %d is not ready after %s:\n%s", i, readyTimeout, p.tail())
				}
			}
		default:
			select {
			case <-p.done:
				k.c.t.Fatalf("node %d ended by itself: %v\n%s", i, p.err, p.tail())
			default:
			}
		}
	}
	select {
	case i := <-k.caughtUp:
		k.seats[i].spared = false
	default:
	}
}

func (k *killer) start(i int) {
	p, err := startProc(context.Background(), k.c.log(i), "node", "run", "--home", k.c.net.Homes[i])
	if err != nil {
		k.c.t.Fatalf("start node %d: %v", i, err)
	}
	s := &k.seats[i]
	k.c.node[i] = p
	s.starting, s.away = time.Now(), false
	if !s.spared {
		return
	}
	head, started := k.watch.height(), s.starting
	k.watch.workers.Go(func() {
		if err := reach(k.watch.nodes[i], head); err != nil {
			k.c.t.Errorf("node %d has not caught up: %v", i, err)
		} else {
			k.c.t.Logf("node %d has caught up to height %d, %s after its start", i, head,
				time.Since(started).Round(time.Millisecond))
		}
		k.caughtUp <- i
	})
}

// summary formats the results for people.
func (k *killer) summary() string {
	slices.Sort(k.ready)
	at := func(share float64) time.Duration {
		return k.ready[int(share*float64(len(k.ready)-1))].Round(time.Millisecond)
	}
	return fmt.Sprintf("%d kills in %s, %d of them of nodes that were just starting; ready after %s (half), %s (95 %%), %s (all)",
		k.kills, k.took.Round(time.Second), k.again, at(0.5), at(0.95), at(1))
}

package engine

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// A node that starts late, and one that was killed, fetch the blocks they missed; both then take part again.
func TestLateAndKilled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, equal(4)...)
		defer c.stopAll()
		for i := range 3 {
			c.start(i)
		}
		<-c.nodes[0].caughtUp
		for i := range 25 {
			c.submit(0, fmt.Sprint("tx ", i))
			c.has(0, i+1, 5*time.Second)
		}
		c.start(3)
		c.has(3, 25, 10*time.Second)
		<-c.nodes[3].caughtUp

		c.net.Kill(1)
		c.stop(1)
		for i := range 10 {
			c.submit(3, fmt.Sprint("later ", i))
			c.has(3, 25+i+1, 10*time.Second)
		}
		c.net.Revive(1)
		c.start(1)
		c.has(1, 35, 10*time.Second)
		<-c.nodes[1].caughtUp
		c.stop(2) // from now on both their votes are needed
		c.submit(1, "last")
		for _, i := range []int{0, 1, 3} {
			c.has(i, 36, 20*time.Second)
		}
		c.agree()
	})
}

// Connections that keep breaking cost time and nothing else.
func TestFlapping(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, equal(4)...)
		defer c.stopAll()
		c.startAll()
		for _, n := range c.nodes {
			<-n.caughtUp
		}
		for i := range 30 {
			c.submit(i%4, fmt.Sprint("tx ", i))
			a, b := c.nodes[i%4], c.members[(i+1+i/4%3)%4].id
			if err := a.host.Libp2p().Network().ClosePeer(b); err != nil {
				t.Fatal(err)
			}
			time.Sleep(150 * time.Millisecond)
		}
		for i := range 4 {
			c.has(i, 30, 30*time.Second)
		}
		c.agree()
		for i := range c.nodes {
			c.sees(i, 4)
		}
	})
}

// sees waits until node i is connected with count members, itself included.
func (c *cluster) sees(i, count int) {
	c.t.Helper()
	for range 100 {
		if c.nodes[i].sw.Size()+1 == count {
			return
		}
		time.Sleep(200 * time.Millisecond)
	}
	c.t.Fatalf("node %d is connected with %d members: want %d", i, c.nodes[i].sw.Size(), count-1)
}

// With two of seven nodes down the ledger goes on. With three down it stalls, the status says why, and it
// resumes by itself.
func TestSeven(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, equal(7)...)
		defer c.stopAll()
		c.startAll()
		for _, n := range c.nodes {
			<-n.caughtUp
		}
		for _, i := range []int{5, 6} {
			c.net.Kill(i)
			c.stop(i)
		}
		for i := range 10 {
			c.submit(i%5, fmt.Sprint("tx ", i))
			c.has(i%5, i+1, 10*time.Second)
		}
		if s := c.nodes[0].status(); s.Stalled != "" {
			t.Errorf("two down: %s", s.Stalled)
		} else if have, total := s.Shards(); have != 50 || total != 70 {
			t.Errorf("two down: %d of %d shards reachable: want 50 of 70", have, total)
		}

		c.net.Kill(4)
		c.stop(4)
		time.Sleep(20 * time.Second)
		height, _, _ := c.nodes[0].app.at()
		c.submit(0, "late")
		if c.waits(0, 11, time.Minute) {
			t.Error("three down: a transaction was committed")
		}
		text := c.nodes[0].status().Stalled
		if !strings.Contains(text, fmt.Sprintf(
			" s at height %d: 40 of 70 shards are reachable, 47 needed; not reachable: node-4, node-5, node-6", height)) ||
			!strings.HasPrefix(text, "ledger stalled for ") {
			t.Errorf("three down: status is %q", text)
		}

		c.net.Revive(4)
		c.start(4)
		for i := range 5 {
			c.has(i, 11, 30*time.Second)
		}
		if text := c.nodes[0].status().Stalled; text != "" {
			t.Errorf("it goes on, but status is %q", text)
		}
		c.agree()
	})
}

// Nodes whose clocks are ten minutes behind the chain's go on: none stops at a block that the others have agreed on.
// This chain begins ahead of all clocks here, and a block is never older than the one before.
func TestSlowClocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, equal(4)...)
		c.doc.GenesisTime, c.slow = time.Now().Add(10*time.Minute), true
		defer c.stopAll()
		c.startAll()
		for i := range 5 {
			c.submit(i%4, fmt.Sprint("tx ", i))
			c.has(i%4, i+1, 10*time.Second)
		}
		st, err := c.nodes[0].state.Load()
		if err != nil || time.Until(st.LastBlockTime) < 9*time.Minute {
			t.Errorf("the last block is of %v, %v; want it ahead of the clocks", st.LastBlockTime, err)
		}
		c.agree()
	})
}

// A partition in which neither side has enough votes ends as soon as it heals. A node that was cut off for long
// catches up without a restart.
func TestPartition(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, equal(4)...)
		defer c.stopAll()
		c.startAll()
		for _, n := range c.nodes {
			<-n.caughtUp
		}
		for _, i := range []int{0, 1} {
			c.net.Cut(i, 2)
			c.net.Cut(i, 3)
		}
		c.submit(0, "one half")
		c.submit(2, "other half")
		if c.waits(0, 1, time.Minute) || c.waits(2, 1, time.Second) {
			t.Error("half of the votes committed")
		}
		c.net.Heal()
		for i := range 4 {
			c.has(i, 2, time.Minute)
		}
		c.net.Isolate(3)
		for i := range 40 {
			c.submit(0, fmt.Sprint("tx ", i))
			c.has(0, 3+i, 10*time.Second)
		}
		if c.waits(3, 3, 0) {
			t.Error("an isolated node has new transactions")
		}
		c.net.Heal()
		c.has(3, 42, time.Minute)
		c.agree()
	})
}

// All nodes end and start again together, and resume where they were.
func TestRestartOfAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 40, 30, 20, 10)
		defer c.stopAll()
		for round := range 4 {
			c.startAll()
			for i, n := range c.nodes {
				<-n.caughtUp
				c.submit(i, fmt.Sprint("tx ", round, i))
			}
			for i := range c.nodes {
				c.has(i, 4*(round+1), 20*time.Second)
			}
			c.stopAll()
		}
		c.agree()
	})
}

// A network that was down makes a block soon after it has started again, without a transaction, because clients judge
// it by the age of its newest block. A network that keeps running is quiet for its heartbeat.
func TestBackAfterLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 40, 30, 20, 10)
		c.beat = 10 * time.Minute
		defer c.stopAll()
		c.startAll()
		for _, n := range c.nodes {
			<-n.caughtUp
		}
		c.submit(0, "tx")
		c.has(3, 1, time.Minute)
		time.Sleep(10 * time.Second) // for the block that proves the first
		c.stopAll()
		time.Sleep(time.Hour)
		c.startAll()
		for _, n := range c.nodes {
			<-n.caughtUp
		}
		began, before := time.Now(), c.nodes[0].node.BlockStore().Height()
		for c.nodes[0].node.BlockStore().Height() == before {
			if time.Since(began) > 4*time.Second {
				t.Fatalf("no block %s after all were back", time.Since(began))
			}
			time.Sleep(50 * time.Millisecond)
		}
	})
}

// A validator alone makes blocks by itself.
func TestSingle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 10)
		defer c.stopAll()
		c.startAll()
		<-c.nodes[0].caughtUp
		c.submit(0, "tx")
		c.has(0, 1, time.Second)
	})
}

// blockSaved is closed before the block is applied, and the next header is readable by then.
func TestBlockSaved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 10)
		defer c.stopAll()
		c.startAll()
		n := c.nodes[0]
		<-n.caughtUp
		before, looked := n.blockSaved(), 0
		n.app.lookWith(func(height int64) {
			looked++
			select {
			case <-before:
			default:
				t.Errorf("nobody was told that block %d is saved", height)
			}
			if saved := n.node.BlockStore().Height(); saved != height {
				t.Errorf("block %d is saved, when block %d is applied", saved, height)
			}
			before = n.blockSaved()
		})
		c.submit(0, "tx")
		c.has(0, 1, time.Second)
		n.app.lookWith(nil)
		if looked == 0 {
			t.Error("no block was applied")
		}
	})
}

// A fault of the application ends the node with an error that names it, in consensus and in block sync.
func TestApplicationFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, equal(4)...)
		defer c.stopAll()
		for i := range 3 {
			c.start(i)
		}
		<-c.nodes[0].caughtUp
		c.submit(0, "first")
		c.has(1, 1, 10*time.Second)
		disk := errors.New("the disk is on fire")
		fails := func(i int) {
			t.Helper()
			select {
			case <-c.nodes[i].failure:
			case <-time.After(time.Minute):
				t.Fatalf("node %d did not fail", i)
			}
			if err := c.end(i); !errors.Is(err, ErrHalted) || !strings.Contains(err.Error(), disk.Error()) {
				t.Errorf("node %d: %v: want that the ledger halted and why", i, err)
			}
		}
		c.nodes[3].app.breakWith(disk)
		c.start(3) // fetches the first block
		fails(3)

		c.nodes[3].app.breakWith(nil)
		c.start(3) // fetches it again: the failed block was never committed
		c.has(3, 1, 10*time.Second)
		<-c.nodes[3].caughtUp
		c.nodes[3].app.breakWith(disk)
		c.submit(0, "second")
		fails(3)
		c.has(2, 2, 10*time.Second)
	})
}

// A full disk ends the node with an error that names it, in consensus and in block sync, and damages nothing.
func TestDiskFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, equal(4)...)
		defer c.stopAll()
		for i := range 3 {
			c.start(i)
		}
		<-c.nodes[0].caughtUp
		for i := range 10 {
			c.submit(0, fmt.Sprint("tx ", i))
			c.has(0, i+1, 10*time.Second)
		}
		n := c.nodes[3]
		for round := range 2 {
			c.start(3)
			if round > 0 {
				<-n.caughtUp
			}
			n.full.Store(true)
			c.submit(0, fmt.Sprint("more ", round))
			select {
			case <-n.failure:
			case <-time.After(time.Minute):
				t.Fatalf("round %d: did not fail", round)
			}
			if err := c.end(3); !errors.Is(err, ErrHalted) || !errors.Is(err, errFull) {
				t.Errorf("round %d: %v: want %v", round, err, errFull)
			}
			n.full.Store(false)
		}
		c.start(3)
		c.has(3, 12, time.Minute)
		c.agree()
	})
}

// A node with a diverged state stops, instead of trying the same blocks with peer after peer for ever: in consensus,
// and after a long block sync.
func TestForkedState(t *testing.T) {
	for _, blocks := range []int{1, 15} {
		synctest.Test(t, func(t *testing.T) {
			c := newCluster(t, equal(4)...)
			defer c.stopAll()
			for i := range 3 {
				c.start(i)
			}
			<-c.nodes[0].caughtUp
			for i := range blocks {
				c.submit(0, fmt.Sprint("tx ", i))
				c.has(0, i+1, 10*time.Second)
			}
			c.nodes[3].app.fork = "cosmic ray"
			c.start(3)
			select {
			case <-c.nodes[3].failure:
			case <-time.After(time.Minute):
				t.Fatal("did not fail")
			}
			if err := c.end(3); !errors.Is(err, ErrHalted) ||
				!strings.Contains(err.Error(), "differs from what the validators agreed on") {
				t.Errorf("%d blocks: error %v", blocks, err)
			}
		})
	}
}

package main

import (
	"context"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"walrus/config"
)

// TestSoakLedger kills nodes at random moments while accounts pay each other and store blobs. No committed transaction
// may be lost or happen twice, the amount of WAL must not change, and nodes must not differ. Every node must recover by
// itself, even one that was away for long, and one that lost its ledger. $WALRUS_KILLS sets the number of kills; the
// default is a few.
func TestSoakLedger(t *testing.T) {
	if testing.Short() {
		t.Skip("starts seven processes many times")
	}
	kills, stretch, accounts := 10, uint64(20), 4
	if text := os.Getenv("WALRUS_KILLS"); text != "" {
		var err error
		if kills, err = strconv.Atoi(text); err != nil || kills < 1 {
			t.Fatalf("WALRUS_KILLS is %q: want a number of kills, such as 1000", text)
		}
		stretch, accounts = 300, 8
	} else {
		t.Parallel() // runs with the others that mostly wait
	}
	seed, src := seeded(t)
	rnd := rand.New(src)
	t.Logf("seed %d", seed)
	// Epochs end during the test.
	c := newCluster(t, config.DevnetOptions{Nodes: 7, Shards: 28, Epoch: time.Minute})
	l := newLoad(t, c, accounts)
	w := newWatch(t, c, l)
	end := sync.OnceFunc(func() {
		l.end()
		close(w.stop)
		w.workers.Wait()
	})
	t.Cleanup(end)
	start := time.Now()
	l.run(rnd)
	w.run(rand.New(rand.NewPCG(rnd.Uint64(), rnd.Uint64())))
	k := &killer{c: c, watch: w, rnd: rnd, stretch: stretch}
	k.run(kills)
	end()
	t.Logf("%s; all in %s", k.summary(), time.Since(start).Round(time.Second))
	t.Log(l.count())
	t.Logf("all WAL was counted %d times, %d blocks were compared", w.sums, w.compared)
	if w.sums == 0 || w.compared == 0 {
		t.Error("nobody watched")
	}

	start = time.Now()
	height := l.settle()
	for i, node := range w.nodes {
		if err := reach(node, height); err != nil {
			t.Errorf("node %d: %v", i, err)
		}
	}
	for i := range uint64(20) {
		l.ask("compare blocks", func(ctx context.Context) error {
			_, err := w.agree(ctx, height-i*height/20)
			return err
		})
	}
	l.ask("count all WAL", w.conserved)
	books := l.auditPayments()
	if t.Failed() {
		return
	}
	n := l.auditNodes(w, books)
	t.Logf("%d transactions are the same on the nodes, %s", n, time.Since(start).Round(time.Millisecond))
	if n == 0 {
		t.Error("no node shows any transaction")
	}
	t.Logf("%d blobs are whole, %s", l.auditBlobs(), time.Since(start).Round(time.Millisecond))
	t.Logf("height %d; well after %s", height, c.awaitHealth().Round(time.Millisecond))
}

package engine

import (
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"walrus/internal/swarmtest"
	"walrus/ledger"
	"walrus/ledger/light"
)

// An idle ledger does little in two hours: after some minutes it makes a block every 16 minutes, and each of CometBFT's
// goroutines looks up less than once a second instead of 500 times. Clients find it alive all the time. A transaction
// brings back the first pause.
func TestIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newFleet(t, swarmtest.NewNetwork(1), 4, nil)
		defer s.closeAll()
		for i := range 4 {
			s.open(i)
		}
		for i := range 4 {
			<-s.nodes[i].Ready()
		}
		s.pay(0, 0, 1)
		c, host := s.client(4)
		defer host.Close()
		time.Sleep(3 * time.Minute)
		const minutes = 120
		height, asks := s.nodes[0].View().Height, s.asks()
		size := walSize(t, filepath.Join(s.config(0, s.nodes[0].host).Dir, walDir))
		for range 6 * minutes {
			time.Sleep(10 * time.Second)
			if _, err := c.Head(t.Context()); err != nil {
				t.Fatalf("an idle ledger: %v", err)
			}
		}
		blocks := s.nodes[0].View().Height - height
		if blocks < 7 || blocks > 9 { // 6, 14, 30, 46, … minutes after the last transaction
			t.Errorf("%d blocks in %d minutes without a transaction", blocks, minutes)
		}
		const routines = 3 * 3 // per node
		for i, now := range s.asks() {
			each := (now - asks[i]) / (routines * minutes * 60)
			if now == asks[i] || each > 0 {
				t.Errorf("node %d: goroutines that pass on votes looked up %d times in %d minutes", i, now-asks[i], minutes)
			}
		}
		now := walSize(t, filepath.Join(s.config(0, s.nodes[0].host).Dir, walDir))
		if day := (now - size) * 24 * 60 / minutes; day > 20_000_000 {
			t.Errorf("the write-ahead log takes %d MB a day", day/1e6)
		}
		paid := s.pay(0, 2, 3)
		time.Sleep(light.Heartbeat(s.genesis.EpochDuration) + 5*time.Second)
		if height := s.nodes[0].View().Height; height != paid.Height+2 { // one proves the state, one is empty
			t.Errorf("height %d two minutes after the transaction of block %d", height, paid.Height)
		}
	})
}

// TestEpochEndsInTime: an idle ledger, with minutes between blocks, ends an epoch on time.
func TestEpochEndsInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const epoch = 20 * time.Minute
		s := newFleet(t, swarmtest.NewNetwork(1), 4, func(g *ledger.Genesis) { g.EpochDuration = epoch })
		defer s.closeAll()
		for i := range 4 {
			s.open(i)
		}
		for i := range 4 {
			<-s.nodes[i].Ready()
		}
		s.pay(0, 0, 1)
		now := func() ledger.EpochInfo {
			e, err := ledger.ReadEpoch(s.nodes[0].View())
			if err != nil {
				t.Fatal(err)
			}
			return e
		}
		for range 3 {
			before := now()
			end := time.Unix(0, before.Start).Add(epoch)
			time.Sleep(time.Until(end) - 100*time.Millisecond)
			if e := now(); e.Epoch != before.Epoch {
				t.Errorf("epoch %d has begun before epoch %d was over", e.Epoch, before.Epoch)
			}
			time.Sleep(3 * time.Second)
			if e := now(); e.Epoch != before.Epoch+1 {
				t.Errorf("3 s after the end of epoch %d it is still epoch %d", before.Epoch, e.Epoch)
			}
		}
	})
}

// TestFirstBlockAfterCatchingUp: all nodes start again, and too few have the newest block. Those that fetch it first
// do not keep the others waiting.
func TestFirstBlockAfterCatchingUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newFleet(t, swarmtest.NewNetwork(1), 4, nil)
		defer s.closeAll()
		s.open(0, 1, 2)
		for _, n := range s.nodes[:3] {
			<-n.Ready()
		}
		var last ledger.Receipt
		for i := range 3 {
			last = s.pay(0, i, i+1)
		}
		s.reach(0, last.Height+1, 5*time.Second)
		s.closeAll()
		time.Sleep(5 * time.Minute)
		if err := os.RemoveAll(filepath.Join(s.dir, "2", "ledger")); err != nil {
			t.Fatal(err)
		}
		s.open(s.all()...)
		s.reach(0, last.Height+2, 30*time.Second)
	})
}

// asks returns for each node how often its goroutines looked up.
func (s *fleet) asks() (list []int) {
	for _, n := range s.nodes {
		n.mu.RLock()
		p := &n.chain.sw.pulse
		n.mu.RUnlock()
		p.mu.Lock()
		list = append(list, p.asks)
		p.mu.Unlock()
	}
	return list
}

// A lone transaction after a silence is committed as fast as messages travel. A block takes three rounds of messages,
// 1 ms each here, and each is passed on when it comes. With a look every 2 ms it would take 10 ms and more.
func TestWakesAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newFleet(t, swarmtest.NewNetwork(1), 4, nil)
		defer s.closeAll()
		for i := range 4 {
			s.open(i)
		}
		for i := range 4 {
			<-s.nodes[i].Ready()
		}
		const transfers = 20
		var took time.Duration
		for i := range transfers {
			time.Sleep(3*time.Second + time.Duration(i)*137*time.Microsecond)
			begin := time.Now()
			s.pay(i%4, i, i+1)
			took += time.Since(begin)
		}
		if mean := took / transfers; mean > 9*time.Millisecond {
			t.Errorf("a lone transfer takes %v", mean)
		}
	})
}

// A network that starts again as a whole makes a block at once, whatever the age of the last. Without that block
// nobody could prove the state, and clients could not read it before the next heartbeat.
func TestFirstBlockAfterRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newFleet(t, swarmtest.NewNetwork(1), 4, nil)
		defer s.closeAll()
		s.open(s.all()...)
		for _, n := range s.nodes {
			<-n.Ready()
		}
		r := s.pay(0, 1, 0)
		s.reach(0, r.Height+1, 5*time.Second)
		s.closeAll()
		s.open(s.all()...)
		s.reach(0, r.Height+2, 15*time.Second)
	})
}

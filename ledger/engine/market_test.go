package engine

import (
	"context"
	stded25519 "crypto/ed25519"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"walrus/internal/swarmtest"
	"walrus/ledger"
	"walrus/ledger/mempool"
)

// flood has many accounts pay the least fee, as fast as blocks take their transactions.
type flood struct {
	s     *fleet
	keys  []stded25519.PrivateKey
	fee   ledger.Amount
	nonce []uint64 // owned by run

	mu      sync.Mutex
	taken   map[ledger.TxID]bool // waiting, or priced out; guarded by mu
	paid    int                  // guarded by mu
	refused int                  // guarded by mu
}

// newFlood makes accounts, which adjust must put into the genesis.
func newFlood(count int) *flood {
	f := &flood{nonce: make([]uint64, count), taken: map[ledger.TxID]bool{}}
	for i := range count {
		f.keys = append(f.keys, seed("flood", i))
	}
	return f
}

// attach prepares the flood for a network.
func (f *flood) attach(s *fleet) {
	p, ops := s.genesis.Params(), []ledger.Op{ledger.Transfer{}}
	f.s, f.fee = s, p.MinFee(len((&ledger.Tx{Ops: ops}).Marshal()), ops)
}

func (f *flood) fund(g *ledger.Genesis) {
	for _, key := range f.keys {
		to := ledger.PublicKey(key.Public().(stded25519.PublicKey)).Address()
		g.Accounts = append(g.Accounts, ledger.GenesisAccount{Address: to, Amount: ledger.WAL})
	}
}

func (f *flood) sign(i int) *ledger.Tx {
	tx := &ledger.Tx{Network: f.s.genesis.NetworkID(), Nonce: f.nonce[i], Expiry: 90_000, Fee: f.fee,
		Ops: []ledger.Op{ledger.Transfer{To: f.s.address(0), Amount: 1}}}
	tx.Sign(f.keys[i])
	return tx
}

// run submits until ctx ends, each account to one of the nodes: the next transaction once a block has the last one.
func (f *flood) run(ctx context.Context) {
	accounts := map[ledger.TxID]int{}
	var again []int // to be submitted
	for i := range f.keys {
		again = append(again, i)
	}
	submit := func() {
		var later []int
		for _, i := range again {
			tx := f.sign(i)
			switch err := f.s.nodes[i%len(f.s.nodes)].Submit(ctx, tx.Marshal()); {
			case err == nil:
				f.mu.Lock()
				f.taken[tx.ID()] = true
				f.mu.Unlock()
				accounts[tx.ID()] = i
			default:
				f.mu.Lock()
				f.refused++
				f.mu.Unlock()
				later = append(later, i)
			}
			if ctx.Err() != nil {
				return
			}
		}
		again = later
	}
	submit()
	n := f.s.nodes[0]
	height, _ := n.Head()
	_ = n.Follow(ctx, height, func(b Block) error {
		for _, r := range b.Receipts {
			if i, ours := accounts[r.ID]; ours {
				delete(accounts, r.ID)
				f.nonce[i]++
				again = append(again, i)
				f.mu.Lock()
				f.paid++
				delete(f.taken, r.ID)
				f.mu.Unlock()
			}
		}
		for id, i := range accounts {
			if why := f.s.nodes[i%len(f.s.nodes)].app.Fate(id); why != nil && why.PricedOut() {
				delete(accounts, id)
				again = append(again, i)
			}
		}
		submit()
		return nil
	})
}

// rich has a user pay ten times the least fee count times. It returns how long receipts took, sorted, and how many
// transactions waited at most.
func (f *flood) rich(count int) (took []time.Duration, waiting int) {
	for i := range count {
		waiting = max(waiting, f.s.nodes[0].app.Pending())
		tx := f.s.transfer(1, 2)
		tx.Fee = 10 * f.fee
		tx.Sign(f.s.users[1])
		begin := time.Now()
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		n := f.s.nodes[i%len(f.s.nodes)]
		err := n.Submit(ctx, tx.Marshal())
		if err == nil {
			_, err = n.Wait(ctx, tx.ID())
		}
		cancel()
		if err != nil {
			f.s.t.Errorf("the user's transaction %d: %v", i, err)
			return took, waiting
		}
		took = append(took, time.Since(begin))
	}
	slices.Sort(took)
	return took, waiting
}

// settle waits until nothing waits at any node, and checks that what was taken in was paid or priced out.
func (f *flood) settle() (priced int) {
	for i, n := range f.s.nodes {
		for begin := time.Now(); ; {
			changed := n.app.Changed()
			if n.app.Pending() == 0 {
				break
			}
			select {
			case <-changed:
			case <-time.After(time.Second):
			}
			if time.Since(begin) > 2*time.Minute {
				f.s.t.Fatalf("node %d: %d transactions wait still", i, n.app.Pending())
			}
		}
	}
	for id := range f.taken {
		var receipt error
		for _, n := range f.s.nodes {
			if _, receipt = n.app.Receipt(id); receipt == nil {
				break
			}
		}
		if receipt == nil {
			f.paid++
			continue
		}
		told := false
		for _, n := range f.s.nodes {
			why := n.app.Fate(id)
			told = told || why != nil && why.PricedOut()
		}
		if priced++; !told {
			f.s.t.Errorf("transaction %s was taken in, is in no block and was not priced out", id)
		}
	}
	return priced
}

// TestMarket floods four nodes from many accounts that pay the least fee. A user who pays ten times that is served as
// if there were no flood, and everything that was taken in is paid, or its sender is told that it was priced out.
func TestMarket(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFlood(150)
		s := newFleet(t, swarmtest.NewNetwork(1), 4, f.fund)
		s.waiting, s.room = mempool.Limits{Txs: 100, Bytes: 1 << 20}, 5<<10 // some 20 in a block
		f.attach(s)
		defer s.closeAll()
		s.open(s.all()...)
		for _, n := range s.nodes {
			<-n.Ready()
		}
		quiet, _ := f.rich(12)
		ctx, cancel := context.WithCancel(t.Context())
		var flooding sync.WaitGroup
		flooding.Go(func() { f.run(ctx) })
		for s.nodes[0].app.Pending() < 50 {
			<-s.nodes[0].app.Changed()
		}
		busy, waiting := f.rich(12)
		cancel()
		flooding.Wait()
		priced := f.settle()
		t.Logf("quiet %v, in the flood %v; %d paid, %d refused, %d priced out; %d waited at most", quiet[11], busy[11],
			f.paid, f.refused, priced, waiting)
		if busy[11] > 3*quiet[11] {
			t.Errorf("with the flood it took %v, without %v", busy, quiet)
		}
		if f.refused == 0 || f.paid == 0 || waiting < 30 {
			t.Errorf("no flood: %d refused, %d paid, %d wait", f.refused, f.paid, waiting)
		}
		for i := range s.nodes {
			s.same(0, i)
		}
	})
}

// BenchmarkMarket floods four nodes over loopback from 10,000 accounts that pay the least fee, and measures a user who
// pays ten times that.
func BenchmarkMarket(b *testing.B) {
	f := newFlood(10_000)
	s := newFleet(b, nil, 4, f.fund)
	f.attach(s)
	defer s.closeAll()
	s.open(s.all()...)
	for _, n := range s.nodes {
		<-n.Ready()
	}
	const count = 200
	p := func(took []time.Duration, percent int) float64 {
		return float64(took[len(took)*percent/100].Microseconds()) / 1000
	}
	quiet, _ := f.rich(count)
	ctx, cancel := context.WithCancel(b.Context())
	var flooding sync.WaitGroup
	flooding.Go(func() { f.run(ctx) })
	for s.nodes[0].app.Pending() < 2000 {
		<-s.nodes[0].app.Changed()
	}
	begin := time.Now()
	f.mu.Lock()
	paid := f.paid
	f.mu.Unlock()
	busy, waiting := f.rich(count)
	f.mu.Lock()
	rate := float64(f.paid-paid) / time.Since(begin).Seconds()
	f.mu.Unlock()
	cancel()
	flooding.Wait()
	priced := f.settle()
	if len(busy) < count || len(quiet) < count {
		b.Fatal(errors.New("the user was not served"))
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(p(quiet, 50), "quiet-p50-ms")
	b.ReportMetric(p(quiet, 99), "quiet-p99-ms")
	b.ReportMetric(p(busy, 50), "flood-p50-ms")
	b.ReportMetric(p(busy, 99), "flood-p99-ms")
	b.ReportMetric(rate, "paid/s")
	b.ReportMetric(float64(waiting), "waiting")
	b.ReportMetric(float64(priced), "priced-out")
}

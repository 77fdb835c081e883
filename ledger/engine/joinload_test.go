package engine

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"walrus/ledger"
)

// pace submits transfers to the first nodes at a rate a second until ctx ends, and counts those that were taken in.
func (s *fleet) pace(ctx context.Context, t testing.TB, nodes, rate int, taken *atomic.Int64) {
	var senders sync.WaitGroup
	for u := range testUsers {
		senders.Go(func() {
			tick := time.NewTicker(time.Second * testUsers / time.Duration(rate))
			defer tick.Stop()
			next := func() *ledger.Tx {
				tx := s.transfer(u, (u+1)%testUsers)
				tx.Fee *= 100 // not priced out
				tx.Sign(s.users[u])
				return tx
			}
			tx := next()
			for {
				select {
				case <-tick.C:
				case <-ctx.Done():
					return
				}
				err := s.nodes[u%nodes].Submit(ctx, tx.Marshal())
				var refused *ledger.OpError
				switch {
				case err == nil:
					taken.Add(1)
					tx = next()
				case ctx.Err() != nil, errors.Is(err, ErrBusy), errors.As(err, &refused): // it waits
				default:
					t.Errorf("submit: %v", err)
					return
				}
			}
		})
	}
	senders.Wait()
}

// joinUnderLoad starts the last of four nodes while the others take in transfers at a rate a second, far behind them.
// It returns how long the node took to join.
func joinUnderLoad(t testing.TB, rate int) (took time.Duration, perSecond float64) {
	s := newFleet(t, nil, 4, nil)
	s.every, s.far = 5, 10
	defer s.closeAll()
	s.open(0, 1, 2)
	for i := range 3 {
		<-s.nodes[i].Ready()
	}
	ctx, stop := context.WithCancel(context.Background())
	var taken atomic.Int64
	var load sync.WaitGroup
	load.Go(func() { s.pace(ctx, t, 3, rate, &taken) })
	defer load.Wait()
	defer stop()
	s.reach(0, 22, 2*time.Minute)
	begin, before := time.Now(), taken.Load()
	s.open(3)
	select {
	case <-s.nodes[3].Ready():
	case <-time.After(2 * time.Minute):
		t.Fatalf("it has not joined after two minutes: %+v", s.nodes[3].Status())
	}
	took = time.Since(begin)
	if s.nodes[3].chain.node.BlockStore().Base() == 1 {
		t.Error("it has the first block: it did not join by a snapshot")
	}
	return took, float64(taken.Load()-before) / took.Seconds()
}

// A node joins while transactions go on.
func TestJoinUnderLoad(t *testing.T) {
	if testing.Short() {
		t.Skip("takes some seconds of real time")
	}
	took, perSecond := joinUnderLoad(t, 100)
	t.Logf("joined in %v with %.0f transactions a second", took, perSecond)
}

// BenchmarkJoin measures how long a node takes to join at 1,000 transactions a second.
func BenchmarkJoin(b *testing.B) {
	for b.Loop() {
		took, perSecond := joinUnderLoad(b, 1000)
		b.ReportMetric(took.Seconds(), "s/join")
		b.ReportMetric(perSecond, "tx/s")
	}
}

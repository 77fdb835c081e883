package engine

import (
	"context"
	"errors"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"walrus/ledger"
)

// benchNodes starts four nodes over loopback.
func benchNodes(b *testing.B) *fleet {
	s := newFleet(b, nil, 4, nil)
	s.open(s.all()...)
	for _, n := range s.nodes {
		<-n.Ready()
	}
	return s
}

func report(b *testing.B, took []time.Duration) {
	slices.Sort(took)
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
}

// BenchmarkIsolated measures a lone transfer from Submit to the receipt.
func BenchmarkIsolated(b *testing.B) {
	s := benchNodes(b)
	defer s.closeAll()
	var took []time.Duration
	pause := time.NewTicker(200 * time.Millisecond)
	defer pause.Stop()
	for i := 0; b.Loop(); i++ {
		<-pause.C
		begin := time.Now()
		s.pay(i%4, i%testUsers, (i+1)%testUsers)
		took = append(took, time.Since(begin))
	}
	report(b, took)
}

// BenchmarkLightRead measures a light client's read of a verified account, each time with a new head.
func BenchmarkLightRead(b *testing.B) {
	s := benchNodes(b)
	defer s.closeAll()
	c, h := s.client(4)
	defer h.Close()
	s.pay(0, 0, 1)
	var took []time.Duration
	for b.Loop() {
		begin := time.Now()
		if _, err := c.Account(b.Context(), s.address(0)); err != nil {
			b.Fatal(err)
		}
		took = append(took, time.Since(begin))
	}
	report(b, took)
}

// cpu returns the processor time that this process has used.
func cpu(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkTransfers measures the transfers that four nodes commit per second, with each node serving some senders.
func BenchmarkTransfers(b *testing.B) {
	s := benchNodes(b)
	defer s.closeAll()
	each := max(b.N/testUsers, 1)
	txs := make([][]*ledger.Tx, testUsers)
	for u := range txs {
		for range each {
			txs[u] = append(txs[u], s.transfer(u, (u+1)%testUsers))
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	b.ResetTimer()
	begin, used := time.Now(), cpu(b)
	first, _ := s.nodes[0].Head()
	var senders sync.WaitGroup
	for u := range txs {
		senders.Go(func() {
			n := s.nodes[u%4]
			for _, tx := range txs[u] {
				for {
					changed := n.app.Changed()
					err := n.Submit(ctx, tx.Marshal())
					var refused *ledger.OpError
					if errors.Is(err, ErrBusy) || errors.As(err, &refused) && refused.Code == ledger.CodeLimit {
						select { // too many wait
						case <-changed:
							continue
						case <-ctx.Done():
						}
					}
					if err != nil {
						b.Errorf("submit: %v", err)
						return
					}
					break
				}
			}
			if _, err := n.Wait(ctx, txs[u][each-1].ID()); err != nil {
				b.Error(err)
			}
		})
	}
	senders.Wait()
	b.ReportMetric(float64(each*testUsers)/time.Since(begin).Seconds(), "tx/s")
	height, _ := s.nodes[0].Head()
	b.ReportMetric(float64(each*testUsers)/float64(height-first), "tx/block")
	// More telling than the rate on a busy machine.
	b.ReportMetric(float64((cpu(b)-used).Microseconds())/float64(each*testUsers), "cpu-us/tx")
}

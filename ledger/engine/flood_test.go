package engine

import (
	"errors"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"walrus/internal/swarmtest"
	"walrus/ledger"
)

// One account sends 10,000 transactions, most with low fees. Blocks go on, and senders who pay the ordinary fee are
// served at once. Transactions not accepted are refused with a reason, not kept.
func TestFlood(t *testing.T) {
	if testing.Short() {
		t.Skip("10,000 signatures at each of four nodes")
	}
	synctest.Test(t, func(t *testing.T) {
		s := newFleet(t, swarmtest.NewNetwork(1), 4, nil)
		defer s.closeAll()
		s.open(s.all()...)
		for _, n := range s.nodes {
			<-n.Ready()
		}
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		taken, refused := 0, 0
		for i := range 10_000 {
			err := s.nodes[0].Submit(t.Context(), s.transfer(0, 1).Marshal())
			var why *ledger.OpError
			switch {
			case err == nil:
				taken++
			case errors.As(err, &why) && why.Code == ledger.CodeLimit:
				refused++
				s.nonces[0]-- // the next one needs this nonce
			default:
				t.Fatalf("transaction %d: %v", i, err)
			}
			if i%2000 == 1000 {
				begin := time.Now()
				s.pay(1+i/2000%3, 2, 3)
				if took := time.Since(begin); took > time.Second {
					t.Errorf("another account's transfer took %v", took)
				}
			}
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		grown := float64(after.HeapAlloc) - float64(before.HeapAlloc)
		t.Logf("%d taken, %d refused; the heap of four nodes grew by %.1f MiB", taken, refused, grown/(1<<20))
		if taken == 0 || refused == 0 || grown > 200<<20 {
			t.Errorf("%d taken, %d refused, heap grew by %.0f bytes", taken, refused, grown)
		}
		for i := range s.nodes {
			s.same(0, i)
		}
	})
}

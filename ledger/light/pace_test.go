package light

import (
	"math/rand/v2"
	"testing"
	"time"
)

func TestPause(t *testing.T) {
	const s, m, day = time.Second, time.Minute, 24 * time.Hour
	for _, c := range []struct{ gap, epoch, want time.Duration }{
		{0, 14 * day, 2 * m}, {-m, 14 * day, 2 * m}, {s, 14 * day, 2 * m}, {109 * s, 14 * day, 2 * m},
		{2 * m, 14 * day, 4 * m}, {2*m + 5*s, 14 * day, 4 * m}, {4 * m, 14 * day, 8 * m}, {8*m - 5*s, 14 * day, 16 * m},
		{16 * m, 14 * day, 16 * m}, {16*m + 20*s, 14 * day, 16 * m}, {16*m + 21*s, 14 * day, 2 * m}, {3 * day, 14 * day, 2 * m},
		{2 * m, time.Hour, 4 * m}, {8 * m, time.Hour, 10 * m}, {10 * m, time.Hour, 10 * m}, // a sixth of an epoch
		{3 * s, 20 * s, 20 * s / 6}, {0, 20 * s, 20 * s / 6},
	} {
		if got := Pause(c.gap, c.epoch); got != c.want {
			t.Errorf("pause after a gap of %v with epochs of %v: %v, want %v", c.gap, c.epoch, got, c.want)
		}
	}
}

// Whatever gaps a chain has had, and however the clocks of its nodes and of the client differ by up to clockSkew in
// all, a client that sees the newest block does not take the ledger for a stalled one before the next.
func TestNeverStale(t *testing.T) {
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 1))
	for range 200_000 {
		epoch := []time.Duration{20 * time.Second, 5 * time.Minute, time.Hour, 14 * 24 * time.Hour}[r.IntN(4)]
		gap := time.Duration(r.Int64N(int64(20 * time.Minute)))
		if r.IntN(2) == 0 { // near a step
			gap = Heartbeat(epoch)<<r.IntN(5) + time.Duration(r.Int64N(int64(40*time.Second))) - 20*time.Second
		}
		gap = max(gap, 0)
		off := time.Duration(r.Int64N(int64(2*clockSkew))) - clockSkew
		if next := gap + Pause(gap+off, epoch); staleAfter(gap, epoch) < next {
			t.Fatalf("seed %d: epochs of %v, gap %v measured as %v: the next block comes after %v, but the last is stale after %v",
				seed, epoch, gap, gap+off, next, staleAfter(gap, epoch))
		}
	}
}

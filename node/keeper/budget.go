package keeper

import (
	"context"
	"sync"
	"time"

	"walrus/internal/pause"
)

// yielding: while users read or upload here, repair gets one part in so many of its budget.
const yielding = 4

// leastWait: shorter waits are left to the next fetch.
const leastWait = 10 * time.Millisecond

// budget paces the traffic of repairs. It lets them fetch, and then wait until the traffic so far is within the rate.
// So a repair that comes alone waits for nobody.
type budget struct {
	rate  int64       // bytes per second, for all repairs together; constant
	users func() bool // reports whether users read or upload now; constant

	mu    sync.Mutex
	clear time.Time // when all traffic so far will be within the rate; guarded by mu
}

// spend records bytes that were fetched, and waits until they are within the budget.
func (b *budget) spend(ctx context.Context, bytes int64) error {
	rate := b.rate
	if b.users() {
		rate /= yielding
	}
	b.mu.Lock()
	now := time.Now()
	if b.clear.Before(now) {
		b.clear = now
	}
	wait := b.clear.Sub(now) // for those before
	b.clear = b.clear.Add(time.Duration(float64(bytes) / float64(max(rate, 1)) * float64(time.Second)))
	b.mu.Unlock()
	if wait >= leastWait {
		pause.For(ctx, wait)
	}
	return ctx.Err()
}

package keeper

import (
	"context"
	"time"
)

// bell wakes one waiting task. Rings while nobody waits are kept as one.
type bell chan struct{}

func newBell() bell { return make(bell, 1) }

func (b bell) ring() {
	select {
	case b <- struct{}{}:
	default:
	}
}

// wait returns after d or when woken; false if ctx has ended.
func wait(ctx context.Context, d time.Duration, wake <-chan struct{}) bool {
	waitTimer(ctx, d, wake)
	return ctx.Err() == nil
}

// waitTimer reports whether the whole of d passed, rather than being woken or ctx ending.
func waitTimer(ctx context.Context, d time.Duration, wake <-chan struct{}) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-wake:
	case <-ctx.Done():
	}
	return false
}

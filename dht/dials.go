package dht

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

// dials lets concurrent callers share one attempt per peer, and remembers failures for negativeTTL.
type dials struct {
	mu       sync.Mutex
	running  map[peer.ID]*attempt // guarded by mu
	failed   map[peer.ID]failure  // guarded by mu
	closed   bool                 // guarded by mu
	attempts sync.WaitGroup
}

// attempt is one dial in progress. It lives until done, or until its last waiter has gone.
type attempt struct {
	stop    context.CancelFunc
	waiters int           // guarded by dials.mu
	done    chan struct{} // closed after err is set
	err     error
}

type failure struct {
	err   error
	until time.Time
}

// do runs try(id) or joins the running attempt, until the caller's ctx ends.
func (d *dials) do(ctx context.Context, id peer.ID, try func(context.Context, peer.ID) error) error {
	a, err := d.enter(ctx, id, try)
	if err != nil {
		return err
	}
	select {
	case <-a.done:
		return a.err
	case <-ctx.Done():
		d.leave(id, a)
		return context.Cause(ctx)
	}
}

// enter joins or starts the attempt for id.
func (d *dials) enter(ctx context.Context, id peer.ID, try func(context.Context, peer.ID) error) (*attempt, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return nil, ErrClosed
	}
	if f, ok := d.failed[id]; ok {
		if time.Now().Before(f.until) {
			return nil, f.err
		}
		delete(d.failed, id)
	}
	if a := d.running[id]; a != nil {
		a.waiters++
		return a, nil
	}
	// The attempt may outlive its first caller, because others may join. It ends when its last caller leaves.
	shared, stop := context.WithTimeout(context.WithoutCancel(ctx), reachTimeout)
	a := &attempt{stop: stop, waiters: 1, done: make(chan struct{})}
	if d.running == nil {
		d.running = make(map[peer.ID]*attempt)
		d.failed = make(map[peer.ID]failure)
	}
	d.running[id] = a
	d.attempts.Go(func() {
		defer stop()
		a.err = try(shared, id)
		d.finish(id, a)
	})
	return a, nil
}

// leave ends the attempt if its last waiter leaves.
func (d *dials) leave(id peer.ID, a *attempt) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if a.waiters--; a.waiters > 0 {
		return
	}
	a.stop()
	if d.running[id] == a {
		delete(d.running, id) // later callers start a new one instead of joining a cancelled one
	}
}

// finish publishes the attempt's result.
func (d *dials) finish(id peer.ID, a *attempt) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.running[id] == a {
		delete(d.running, id)
	}
	if a.err != nil && !errors.Is(a.err, context.Canceled) {
		d.remember(id, a.err)
	}
	close(a.done)
}

// remember records a failure. The caller holds mu.
func (d *dials) remember(id peer.ID, err error) {
	now := time.Now()
	if len(d.failed) >= maxFailures {
		for id, f := range d.failed {
			if !now.Before(f.until) {
				delete(d.failed, id)
			}
		}
	}
	if len(d.failed) < maxFailures {
		d.failed[id] = failure{err: err, until: now.Add(negativeTTL)}
	}
}

// close ends all attempts and waits for them.
func (d *dials) close() {
	d.mu.Lock()
	d.closed = true
	for _, a := range d.running {
		a.stop()
	}
	d.mu.Unlock()
	d.attempts.Wait()
}

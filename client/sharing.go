package client

import (
	"context"
	"sync"
)

// sharing makes a value once for all callers that want it at the same time. The value lives as long as any caller uses
// it. Start with join.
type sharing[K comparable, V any] struct {
	end func(V) // constant: called with a value that nobody uses any more; may be nil

	mu    sync.Mutex
	calls map[K]*call[K, V] // calls that can be joined; guarded by mu
}

// call holds one value, while it is made and while it is used.
type call[K comparable, V any] struct {
	s      *sharing[K, V] // constant, as the next five
	key    K
	val    V
	cancel context.CancelFunc
	ready  chan struct{} // closed when val can be used, or err says why not
	done   chan struct{} // closed when run has returned
	err    error         // constant once ready is closed
	users  int           // guarded by s.mu, as the next
	ended  bool          // val was given up
}

func newSharing[K comparable, V any](end func(V)) *sharing[K, V] {
	return &sharing[K, V]{end: end, calls: map[K]*call[K, V]{}}
}

// join joins the call of key, or begins one. make returns its value at once. run fills the value in a goroutine, which
// works until all callers have left. run may call ready before it returns, once val can be used, and continue working.
// Every caller of join must call leave, once.
func (s *sharing[K, V]) join(ctx context.Context, key K, make func() V, run func(ctx context.Context, val V, ready func()) error) (c *call[K, V], first bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.calls[key]; c != nil {
		c.users++
		return c, false
	}
	// the end of one caller's context must not end the work that others wait for
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx)) //nolint:gosec // the last to leave calls it
	c = &call[K, V]{s: s, key: key, val: make(), cancel: cancel, ready: newSignal(), done: newSignal(), users: 1}
	s.calls[key] = c
	go func() {
		defer close(c.done)
		var once sync.Once
		err := run(ctx, c.val, func() { once.Do(func() { close(c.ready) }) })
		once.Do(func() {
			if c.err = err; err != nil {
				c.forget() // the next caller tries again
			}
			close(c.ready)
		})
	}()
	return c, true
}

// peek joins the call of key if there is one, and returns nil otherwise.
func (s *sharing[K, V]) peek(key K) *call[K, V] {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.calls[key]
	if c != nil {
		c.users++
	}
	return c
}

func newSignal() chan struct{} { return make(chan struct{}) }

// wait waits until the value can be used. After an error, of ctx or of the call, the caller must still leave.
func (c *call[K, V]) wait(ctx context.Context) error {
	select {
	case <-c.ready:
		return c.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// forget lets no more callers join.
func (c *call[K, V]) forget() {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	c.forgetLocked()
}

func (c *call[K, V]) forgetLocked() {
	if c.s.calls[c.key] == c {
		delete(c.s.calls, c.key)
	}
}

// leave ends the caller's use. The last caller to leave ends the call: a value still being made is cancelled and waited
// for. A finished value can be joined until all work on it has ended.
func (c *call[K, V]) leave() {
	c.s.mu.Lock()
	c.users--
	last := c.users == 0
	if last && !isClosed(c.ready) {
		c.forgetLocked()
		c.cancel()
	}
	c.s.mu.Unlock()
	if !last {
		return
	}
	<-c.done
	c.s.mu.Lock()
	last = c.users == 0 && !c.ended // others may have joined and left meanwhile
	if last {
		c.forgetLocked()
		c.ended = true
	}
	c.s.mu.Unlock()
	if !last {
		return
	}
	c.cancel()
	if c.s.end != nil {
		c.s.end(c.val)
	}
}

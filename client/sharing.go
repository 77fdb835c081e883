package client

import (
	"context"
	"sync"
)

// sharing has things made once that several want at the same time, and lets them use the same one: it is there as long as
// somebody wants it. Start with join.
type sharing[K comparable, V any] struct {
	end func(V) // constant: what becomes of a value that nobody uses any more; nil: nothing

	mu    sync.Mutex
	calls map[K]*call[K, V] // that can be joined; guarded by mu
}

// call is a value being made, or made and in use.
type call[K comparable, V any] struct {
	s      *sharing[K, V] // constant, as the next five
	key    K
	val    V
	cancel context.CancelFunc
	ready  chan struct{} // closed when val can be used, or err says why not
	done   chan struct{} // closed when nothing works on val any more
	err    error         // known once ready is closed
	users  int           // guarded by s.mu, as the next
	ended  bool          // val is gone
}

func newSharing[K comparable, V any](end func(V)) *sharing[K, V] {
	return &sharing[K, V]{end: end, calls: map[K]*call[K, V]{}}
}

// join takes part in the call of key. If there is none it begins one: make returns its value at once, and run fills it,
// in a goroutine that works until all who joined have left; it may call ready before it returns, when val can be used and
// it has something left to do with it. Whoever joins must leave, once.
func (s *sharing[K, V]) join(ctx context.Context, key K, make func() V, run func(ctx context.Context, val V, ready func()) error) (c *call[K, V], first bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.calls[key]; c != nil {
		c.users++
		return c, false
	}
	// what one of the callers wants is no reason to end what others wait for
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx)) //nolint:gosec // the last to leave calls it
	c = &call[K, V]{s: s, key: key, val: make(), cancel: cancel, ready: newSignal(), done: newSignal(), users: 1}
	s.calls[key] = c
	go func() {
		defer close(c.done)
		var once sync.Once
		err := run(ctx, c.val, func() { once.Do(func() { close(c.ready) }) })
		once.Do(func() {
			if c.err = err; err != nil {
				c.forget() // the next one tries again
			}
			close(c.ready)
		})
	}()
	return c, true
}

// peek is join if there is a call, and else nil.
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

// wait until the value can be used. After an error, which is that of ctx or of the call, the caller still has to leave.
func (c *call[K, V]) wait(ctx context.Context) error {
	select {
	case <-c.ready:
		return c.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// forget lets nobody join any more.
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

// leave ends the caller's use. The last one ends the call: what is still being made is cut off and waited for; what is made
// can be joined until all work on it has ended.
func (c *call[K, V]) leave() {
	c.s.mu.Lock()
	c.users--
	last := c.users == 0
	if last && !c.made() {
		c.forgetLocked()
		c.cancel()
	}
	c.s.mu.Unlock()
	if !last {
		return
	}
	<-c.done
	c.s.mu.Lock()
	last = c.users == 0 && !c.ended // others may have joined, and left, meanwhile
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

// made tells whether the value can be used.
func (c *call[K, V]) made() bool {
	select {
	case <-c.ready:
		return true
	default:
		return false
	}
}

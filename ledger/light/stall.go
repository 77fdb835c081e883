package light

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// Stall says since when the ledger stands still, as far as any node that answered knows. It wraps ErrStalled.
type Stall struct {
	Height uint64    // of the newest block
	Time   time.Time // of that block
	Node   string    // that gave it
	Reason string    // what that node says; not proven, and empty if it says nothing
}

// Error is for people.
func (s *Stall) Error() string {
	reason := "no node says why"
	if s.Reason != "" {
		reason = s.Node + " says: " + s.Reason
	}
	return fmt.Sprintf("%v since %s at height %d (%v ago by this machine's clock): %s", ErrStalled,
		s.Time.UTC().Format(time.DateTime+" UTC"), s.Height, time.Since(s.Time).Round(time.Second), reason)
}

// Unwrap makes errors.Is(err, ErrStalled) true.
func (s *Stall) Unwrap() error { return ErrStalled }

// stallMemory is how long all nodes need not be asked again after they have all been found to stand still.
const stallMemory = 5 * time.Second

const (
	// firstBlock is how soon nodes that have just been started make a block: they open their ledger, find each other, and
	// do not wait for the heartbeat when the newest block is older than that.
	firstBlock = 13 * time.Second
	// stallPoll is between two looks whether it is there.
	stallPoll = 250 * time.Millisecond
)

// stallMark remembers that all nodes stood still.
type stallMark struct {
	mu     sync.Mutex
	height uint64    // guarded by mu
	seen   time.Time // guarded by mu

	patient uint64    // the height at which nodes stand still without saying why; guarded by mu
	since   time.Time // when that was seen first; guarded by mu
}

// wait waits a little if err is a stall that no node explains, and reports whether to ask again: for as long as patience
// after that height was seen first.
func (m *stallMark) wait(ctx context.Context, err error, patience time.Duration) bool {
	var s *Stall
	if !errors.As(err, &s) || s.Reason != "" {
		return false
	}
	m.mu.Lock()
	if m.since.IsZero() || m.patient != s.Height {
		m.patient, m.since = s.Height, time.Now()
	}
	left := patience - time.Since(m.since)
	m.mu.Unlock()
	return left > 0 && pause(ctx, stallPoll)
}

func (m *stallMark) remember(err error) {
	var s *Stall
	if !errors.As(err, &s) {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.height, m.seen = s.Height, time.Now()
}

// known tells whether all nodes were found no further a moment ago.
func (m *stallMark) known(s *Stall) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return s.Height >= m.height && time.Since(m.seen) < stallMemory
}

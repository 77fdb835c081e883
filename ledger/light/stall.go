package light

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"walrus/internal/pause"
)

// Stall reports for how long the ledger has been stalled, by the newest block of any node that answered. It wraps
// ErrStalled.
type Stall struct {
	Height uint64        // of the newest block
	Time   time.Time     // of that block
	Node   string        // the node that sent it
	Reason string        // that node's explanation; not proven, empty if it has none
	limit  time.Duration // greatest age at which the block would not be a stall
}

// Error describes the error for people.
func (s *Stall) Error() string {
	reason := "no node knows why"
	if s.Reason != "" {
		reason = s.Node + " says: " + s.Reason
	}
	return fmt.Sprintf("the ledger has been stalled for %s at height %d (last block %s): %s",
		DurationText(time.Since(s.Time)), s.Height, s.Time.UTC().Format(time.DateTime+" UTC"), reason)
}

// Unwrap makes errors.Is(err, ErrStalled) true.
func (s *Stall) Unwrap() error { return ErrStalled }

// stallMemory: for this long after all nodes were found stalled, one stalled answer is enough.
const stallMemory = 5 * time.Second

const (
	// firstBlock bounds the time that nodes need after their start to make a block: they open their ledger, find each
	// other, and do not wait for the heartbeat if the newest block is older.
	firstBlock = 13 * time.Second
	// stallPoll is the pause between checks for that block.
	stallPoll = 250 * time.Millisecond
)

// stallMark remembers that all nodes were found stalled.
type stallMark struct {
	mu     sync.Mutex
	height uint64    // guarded by mu
	seen   time.Time // guarded by mu

	patient uint64    // height of an unexplained stall; guarded by mu
	since   time.Time // when that stall was first seen; guarded by mu
}

// wait pauses and returns true if err is a stall that no node explains: ask again then. It returns false for any other
// error, and once the stall at that height was first seen longer than patience ago.
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
	return left > 0 && pause.For(ctx, stallPoll)
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

// known reports whether all nodes were found stalled at this height or below within stallMemory.
func (m *stallMark) known(s *Stall) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return s.Height >= m.height && time.Since(m.seen) < stallMemory
}

package light

import (
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

// stallMark remembers that all nodes stood still.
type stallMark struct {
	mu     sync.Mutex
	height uint64    // guarded by mu
	seen   time.Time // guarded by mu
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

package light

import (
	"context"
	"fmt"
	"sync"
	"time"

	"walrus/ledger"
)

// bondCache keeps the bonds last read.
type bondCache struct {
	mu    sync.Mutex
	epoch uint32       // guarded by mu: of the reading
	bonds ledger.Bonds // guarded by mu: never changed in place
	until time.Time    // guarded by mu: scheduled end of epoch; zero: none were read
}

// Bonds returns the current epoch and the bonds of all monitors, proven by one read. They are read once per epoch, as
// Committees reads members. So bonds made since then are missing, but these have no weight in this epoch; a bond that
// was pushed out keeps its weight here until the epoch ends.
func (c *Client) Bonds(ctx context.Context) (epoch uint32, bonds ledger.Bonds, err error) {
	s := &c.bonds
	s.mu.Lock()
	epoch, bonds, until := s.epoch, s.bonds, s.until
	s.mu.Unlock()
	if time.Now().Before(until) && c.trust.newest().Time.Before(until) { // whichever is ahead
		return epoch, bonds, nil
	}
	v, err := c.Peek(ctx, ledger.KeyEpoch(), ledger.KeyBonds())
	if v == nil { // bonds from a stalled ledger will do
		return 0, nil, fmt.Errorf("read the bonds of monitors: %w", err)
	}
	now, err := ledger.ReadEpoch(v)
	if err != nil {
		return 0, nil, err
	}
	if bonds, err = ledger.ReadBonds(v); err != nil {
		return 0, nil, err
	}
	return s.put(now, bonds, c.epoch)
}

// put keeps what was read, unless a concurrent reader has read a newer epoch, and returns what is kept.
func (s *bondCache) put(now ledger.EpochInfo, bonds ledger.Bonds, length time.Duration) (uint32, ledger.Bonds, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now.Epoch >= s.epoch {
		s.epoch, s.bonds, s.until = now.Epoch, bonds, time.Unix(0, now.Start).Add(length)
	}
	return s.epoch, s.bonds, nil
}

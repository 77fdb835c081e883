package store

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"walrus/internal/badgerdisk"
)

// FullError says why the store takes no new data. It wraps ErrFull.
type FullError struct {
	Dir           string
	Free, Reserve int64 // of the disk: bytes that are free, and how many of them must stay so
	Used, Limit   int64 // of the store; Limit is 0 if it is the disk that is full
}

// Error says what to do, too; Reason is for those who cannot do it.
func (e *FullError) Error() string {
	if e.Limit > 0 {
		return e.Reason() + ": raise the limit, or wait until stored blobs end"
	}
	return fmt.Sprintf("%s: free some space on the disk of %s", e.Reason(), e.Dir)
}

// Reason names no folder: it is for other nodes and clients.
func (e *FullError) Reason() string {
	if e.Limit > 0 {
		return fmt.Sprintf("%v: the store uses %s of the %s that it may", ErrFull, size(e.Used), size(e.Limit))
	}
	return fmt.Sprintf("%v: %s are free and %s must stay so", ErrFull, size(e.Free), size(e.Reserve))
}

// Unwrap gives ErrFull.
func (e *FullError) Unwrap() error { return ErrFull }

// size is n for people.
func size(n int64) string {
	if n < 1<<30 {
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	}
	return fmt.Sprintf("%.2f GiB", float64(n)/(1<<30))
}

// Room is the store's share of the disk.
type Room struct {
	Used, Limit   int64 // bytes; Limit is 0 without one
	Free, Reserve int64 // bytes of the disk
	Refuses       error // why new data is refused, a *FullError; nil while it is taken
}

// Room measures the disk space, at most once a second.
func (s *Store) Room() (Room, error) {
	if err := s.open(); err != nil {
		return Room{}, err
	}
	r := Room{Limit: s.cfg.Limit, Reserve: s.cfg.MinFree}
	var err error
	if r.Used, err = s.usage.measure(s.cfg.Dir, usageAge); err != nil {
		return r, fmt.Errorf("disk space of the store: %w", err)
	}
	if r.Free, err = badgerdisk.Free(s.cfg.Dir); err != nil {
		return r, fmt.Errorf("free space of %s: %w", s.cfg.Dir, err)
	}
	if err := s.room(); errors.Is(err, ErrFull) {
		r.Refuses = err
	}
	return r, nil
}

// Refuses is why new data is refused now, an error that wraps ErrFull; nil while it is taken.
func (s *Store) Refuses() error { return s.room() }

// room refuses data that would take the last of the disk, or more of it than the store may use.
func (s *Store) room() error {
	if err := s.open(); err != nil {
		return err
	}
	if err := s.roomFor(s.cfg.MinFree); err != nil || s.cfg.Limit == 0 {
		return err
	}
	used, err := s.usage.measure(s.cfg.Dir, usageAge)
	if err != nil {
		return fmt.Errorf("disk space of the store: %w", err)
	}
	if used >= s.cfg.Limit {
		return &FullError{Dir: s.cfg.Dir, Used: used, Limit: s.cfg.Limit}
	}
	return nil
}

// roomForRecord refuses a small record, such as a certificate, when even half of the reserve is used up: a node that takes
// no data can so still tell what it owes, and how far it has followed the ledger.
func (s *Store) roomForRecord() error {
	if err := s.open(); err != nil {
		return err
	}
	return s.roomFor(s.cfg.MinFree / 2)
}

// roomFor is ErrFull if less than least bytes are free.
func (s *Store) roomFor(least int64) error {
	if least == 0 {
		return nil
	}
	free, err := badgerdisk.Free(s.cfg.Dir)
	if err != nil {
		return fmt.Errorf("free space of %s: %w", s.cfg.Dir, err)
	}
	if free < least {
		return &FullError{Dir: s.cfg.Dir, Free: free, Reserve: least}
	}
	return nil
}

// usageAge is how old a measurement may be by which data is taken or refused: what was written since is counted.
const usageAge = time.Second

// usage is the disk space of the store's files.
type usage struct {
	written atomic.Int64 // bytes since the last measurement

	mu    sync.Mutex
	bytes int64 // by the last measurement; guarded by mu
	at    time.Time
}

// measure is the disk space of all files in dir, by a measurement that is at most age old, and what was written since.
func (u *usage) measure(dir string, age time.Duration) (int64, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if !u.at.IsZero() && time.Since(u.at) < age {
		return u.bytes + u.written.Load(), nil
	}
	before := u.written.Load()
	total, err := badgerdisk.Used(dir)
	if err != nil {
		return 0, err
	}
	u.written.Add(-before)
	u.bytes, u.at = total, time.Now()
	return u.bytes + u.written.Load(), nil
}

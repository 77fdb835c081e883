package store

import (
	"errors"
	"fmt"
	"sync/atomic"

	"walrus/internal/badgerdisk"
)

// FullError explains why the store takes no new data. It wraps ErrFull.
type FullError struct {
	Dir           string
	Free, Reserve int64 // bytes of the disk that are free, and that must stay free
	Used, Limit   int64 // bytes of the store; Limit is 0 if the disk is full rather than the store
}

// Error gives the reason and what the operator can do.
func (e *FullError) Error() string {
	if e.Limit > 0 {
		return e.Reason() + ": raise the limit, or wait until stored blobs end"
	}
	return fmt.Sprintf("%s: free some space on the disk of %s", e.Reason(), e.Dir)
}

// Reason gives the reason without the directory, for other nodes and clients to see.
func (e *FullError) Reason() string {
	if e.Limit > 0 {
		return fmt.Sprintf("%v: the store uses %s of its limit of %s", ErrFull, size(e.Used), size(e.Limit))
	}
	return fmt.Sprintf("%v: %s are free, %s must stay free", ErrFull, size(e.Free), size(e.Reserve))
}

// Unwrap returns ErrFull.
func (e *FullError) Unwrap() error { return ErrFull }

// size formats n for people.
func size(n int64) string {
	if n < 1<<30 {
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	}
	return fmt.Sprintf("%.2f GiB", float64(n)/(1<<30))
}

// Room describes the store's share of the disk.
type Room struct {
	Used, Limit   int64 // bytes; Limit is 0 without one
	Free, Reserve int64 // bytes of the disk
	Refuses       error // a *FullError if new data is refused, else nil
}

// Room returns the disk space that is kept by counting, and asks the system how much is free.
func (s *Store) Room() (Room, error) {
	if err := s.life.open(); err != nil {
		return Room{}, err
	}
	r := Room{Used: s.space.usage.bytes.Load(), Limit: s.cfg.Limit, Reserve: s.cfg.MinFree + s.space.reserve()}
	var err error
	if r.Free, err = badgerdisk.Free(s.cfg.Dir); err != nil {
		return r, fmt.Errorf("free space of %s: %w", s.cfg.Dir, err)
	}
	if err := s.Refuses(); errors.Is(err, ErrFull) {
		r.Refuses = err
	}
	return r, nil
}

// Refuses returns an error that wraps ErrFull if new data is refused now: there is no room, and no dead data that the
// compactor could remove.
func (s *Store) Refuses() error {
	err := s.space.forData(0)
	if errors.Is(err, ErrFull) && s.compactor.reclaimable() {
		return nil
	}
	return err
}

// makeRoom refuses data for which there is no room. Before that it removes dead data.
func (s *Store) makeRoom() error {
	for {
		err := s.space.forData(0)
		if !errors.Is(err, ErrFull) || !s.compactor.reclaim() && errors.Is(s.space.forData(0), ErrFull) {
			return err
		}
	}
}

// space watches the room on the disk for a store.
type space struct {
	life  *lifetime // constant, as is the next
	cfg   *Config   // of the store
	most  int64     // bytes of a full segment; constant
	usage usage
}

// forData refuses data that would use up the disk's reserve, or the compactor's, or exceed the store's limit; with
// ahead: that many bytes before that.
func (p *space) forData(ahead int64) error {
	if err := p.life.open(); err != nil {
		return err
	}
	if p.cfg.MinFree > 0 {
		if err := p.atLeast(p.cfg.MinFree + p.reserve() + ahead); err != nil {
			return err
		}
	}
	if p.cfg.Limit == 0 {
		return nil
	}
	if used := p.usage.bytes.Load(); used >= p.cfg.Limit-p.reserve()-ahead {
		return &FullError{Dir: p.cfg.Dir, Used: used, Limit: p.cfg.Limit, Reserve: p.reserve()}
	}
	return nil
}

// reserve returns the bytes that the compactor may need to copy a segment.
func (p *space) reserve() int64 {
	if p.cfg.Limit > 0 {
		return min(p.most, p.cfg.Limit/8)
	}
	return p.most
}

// short reports that there is little room left, so that dead data is worth more work.
func (p *space) short() bool { return errors.Is(p.forData(2*p.reserve()), ErrFull) }

// forMove lets the compactor write into its reserve.
func (p *space) forMove() error {
	if err := p.life.open(); err != nil {
		return err
	}
	return p.atLeast(p.cfg.MinFree / 2)
}

// forRecord refuses a small record, such as a certificate, once half of the reserve is used up. So a node that takes no
// more data can still record which slivers it owes, and how far it has followed the ledger.
func (p *space) forRecord() error {
	if err := p.life.open(); err != nil {
		return err
	}
	return p.atLeast(p.cfg.MinFree / 2)
}

// atLeast returns ErrFull if less than least bytes of the disk are free.
func (p *space) atLeast(least int64) error {
	if least == 0 {
		return nil
	}
	free, err := badgerdisk.Free(p.cfg.Dir)
	if err != nil {
		return fmt.Errorf("free space of %s: %w", p.cfg.Dir, err)
	}
	if free < least {
		return &FullError{Dir: p.cfg.Dir, Free: free, Reserve: least}
	}
	return nil
}

// usage keeps the disk space of the store's files: by the last measurement, and by the bytes written and removed since.
type usage struct {
	bytes atomic.Int64
}

// add counts bytes written, or removed if n is negative.
func (u *usage) add(n int64) { u.bytes.Add(n) }

// measure replaces the count by the disk space of all files in dir.
func (u *usage) measure(dir string) error {
	before := u.bytes.Load()
	total, err := badgerdisk.Used(dir)
	if err == nil {
		u.bytes.Add(total - before) // what was written meanwhile counts, measured or not
	}
	return err
}

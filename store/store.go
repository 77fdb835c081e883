package store

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync/atomic"

	"walrus/internal/badgerdisk"
)

// Store keeps one node's slivers and records. It is safe for concurrent use.
type Store struct {
	cfg       Config       // constant
	log       *slog.Logger // constant
	lock      io.Closer    // keeps other processes out; constant
	life      lifetime
	incidents incidents
	group     group
	space     space
	catalog   catalog
	segments  segments
	tending   tending
	dropper   dropper
	places    places
	compactor compactor
	running   atomic.Bool // Open is done
}

// lifetime tells whether the store is open.
type lifetime struct{ closed atomic.Bool }

// open returns ErrClosed after Close.
func (l *lifetime) open() error {
	if l.closed.Load() {
		return ErrClosed
	}
	return nil
}

// closedError turns the error of a database that Close closed into ErrClosed.
func (l *lifetime) closedError(err error) error {
	if l.closed.Load() && errors.Is(err, errGone) {
		return ErrClosed
	}
	return err
}

const (
	metaName = "meta"
	// segmentsName is the folder of segments, sliversName that of segments of format 2.
	segmentsName = "segments"
	sliversName  = "slivers"
	lockName     = "lock"
	// cleanName names a file that Close leaves. If it is missing, the last process did not close the store.
	cleanName    = "clean"
	dropSuffix   = ".dropped"
	checkSuffix  = ".check"
	closedSuffix = ".closed"
	newSuffix    = ".new"
	movedInfix   = ".corrupt-"
)

// Open opens or makes the store in cfg.Dir. Databases that are damaged beyond use are moved aside, listed in
// Incidents, and replaced by empty ones. Errors: ErrLocked, ErrFormat, or what the operating system refuses.
func Open(cfg Config) (_ *Store, err error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	s := &Store{cfg: cfg, log: cfg.Logger}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	opener := opener{cfg: cfg, log: s.log, incidents: &s.incidents, usage: &s.space.usage, running: &s.running}
	s.space.life, s.space.cfg = &s.life, &s.cfg
	s.catalog.life, s.catalog.incidents = &s.life, &s.incidents
	s.segments = segments{
		opener: opener, life: &s.life, catalog: &s.catalog, next: 1,
		dir: filepath.Join(cfg.Dir, segmentsName), old: filepath.Join(cfg.Dir, sliversName),
		keep: cfg.Open, byID: map[uint64]*segment{}, unlisted: map[uint64]*segment{}, active: map[class]*segment{},
	}
	s.places.life, s.places.incidents, s.places.catalog, s.places.segments = &s.life, &s.incidents, &s.catalog, &s.segments
	s.compactor.s, s.dropper.s = s, s
	s.tending = tending{
		dir: cfg.Dir, log: s.log, life: &s.life, incidents: &s.incidents, usage: &s.space.usage, catalog: &s.catalog,
		segments: &s.segments, store: s,
	}
	for _, dir := range []string{filepath.Clean(cfg.Dir), s.segments.dir} {
		if err := badgerdisk.MakeDir(dir); err != nil {
			return nil, fmt.Errorf("open store: %w", err)
		}
	}
	if err := s.sizeSegments(); err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	if s.lock, err = badgerdisk.Lock(filepath.Join(cfg.Dir, lockName)); err != nil {
		return nil, fmt.Errorf("open store %s: %w", cfg.Dir, err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.closeAll())
		}
	}()
	// A store that has filled its disk still opens: opening needs little space.
	if err := s.space.atLeast(cfg.MinFree / 8); err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	if err := s.tending.noteStop(); err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	if s.catalog.db, err = opener.open(filepath.Join(cfg.Dir, metaName), false); err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	if err := errors.Join(s.segments.load(), s.catalog.load(s.segments.next+firstOrder)); err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	s.segments.trim()
	s.running.Store(true)
	if err := s.tending.loadUsage(); err != nil {
		return nil, fmt.Errorf("open store: disk space: %w", err)
	}
	return s, nil
}

// sizeSegments chooses the size of segments: a part of the disk, or of the limit, so that little of it is held in
// reserve, within bounds. Smaller ones cost more memory for each byte, larger ones more copying at once.
func (s *Store) sizeSegments() error {
	size := s.cfg.Segment
	if size == 0 {
		total, err := badgerdisk.Size(s.cfg.Dir)
		if err != nil {
			return fmt.Errorf("size of the disk: %w", err)
		}
		if s.cfg.Limit > 0 {
			total = min(total, s.cfg.Limit)
		}
		size = min(max(total/segmentParts, minSegment), maxSegment)
	}
	s.segments.most, s.space.most = size, size
	return nil
}

// Close syncs and closes. It waits for operations under way; later ones return ErrClosed. Closing again is a no-op.
func (s *Store) Close() error {
	if s.life.closed.Load() {
		return nil
	}
	err := errors.Join(s.Sync(), s.tending.markAll(), s.tending.keepUsage(), s.Sync())
	s.segments.mu.Lock() // no segment is made from here on
	was := s.life.closed.Swap(true)
	s.segments.mu.Unlock()
	if was {
		return nil
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(s.cfg.Dir, cleanName), nil, 0o600)
	}
	return errors.Join(err, s.closeAll())
}

func (s *Store) closeAll() error {
	var errs []error
	for _, b := range s.segments.all() {
		if _, err := b.tryPark(); err != nil { // with a summary, for the next start
			errs = append(errs, err)
		}
		errs = append(errs, b.close())
	}
	if s.catalog.db != nil {
		errs = append(errs, s.catalog.db.close())
	}
	return errors.Join(append(errs, s.lock.Close())...)
}

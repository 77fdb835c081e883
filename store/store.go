package store

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"walrus/internal/badgerdisk"
)

// Store keeps one node's slivers and records. It is safe for concurrent use.
type Store struct {
	cfg       Config       // constant
	log       *slog.Logger // constant
	lock      io.Closer    // keeps other processes out; constant
	clean     bool         // the last process closed the store; constant
	meta      *database    // constant
	incidents incidents
	group     group
	closed    atomic.Bool
	usage     usage

	mu      sync.RWMutex
	buckets map[uint32]*bucket // by end epoch; guarded by mu

	drops sync.Mutex // one DropEpoch at a time

	records      sync.Mutex // held to read, change and write a record of meta
	blobs, certs int64      // guarded by records
}

// maxBuckets bounds the databases that a store opens: no network sells storage for more than 1000 epochs ahead.
const maxBuckets = 1024

const (
	metaName    = "meta"
	sliversName = "slivers"
	lockName    = "lock"
	// cleanName names a file that Close leaves. If it is missing, Open looks for the remains of a crash.
	cleanName  = "clean"
	dropSuffix = ".dropped"
)

// Open opens or makes the store in cfg.Dir. Databases that are damaged beyond use are moved aside, listed in
// Incidents, and replaced by empty ones. Errors: ErrLocked, ErrFormat, or what the operating system refuses.
func Open(cfg Config) (_ *Store, err error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	s := &Store{cfg: cfg, log: cfg.Logger, buckets: make(map[uint32]*bucket)}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	for _, dir := range []string{filepath.Clean(cfg.Dir), filepath.Join(cfg.Dir, sliversName)} {
		if err := badgerdisk.MakeDir(dir); err != nil {
			return nil, fmt.Errorf("open store: %w", err)
		}
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
	if err := s.roomFor(cfg.MinFree / 8); err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	s.clean = os.Remove(filepath.Join(cfg.Dir, cleanName)) == nil
	if s.meta, err = s.openDatabase(filepath.Join(cfg.Dir, metaName), false); err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	if err := s.count(); err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	if err := s.openBuckets(); err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	return s, nil
}

// count counts the records of meta.
func (s *Store) count() error {
	for kind, n := range map[byte]*int64{keyBlob: &s.blobs, keyCertificate: &s.certs} {
		err := s.meta.pages([]byte{kind}, func(keys [][]byte) error {
			*n += int64(len(keys))
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// openBuckets opens all buckets, and removes the remains of dropped ones.
func (s *Store) openBuckets() error {
	dir := filepath.Join(s.cfg.Dir, sliversName)
	list, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, f := range list {
		if strings.HasSuffix(f.Name(), dropSuffix) {
			if err := os.RemoveAll(filepath.Join(dir, f.Name())); err != nil {
				return err
			}
		}
		epoch, err := strconv.ParseUint(f.Name(), 10, 32)
		if err != nil || !f.IsDir() || strconv.FormatUint(epoch, 10) != f.Name() {
			continue
		}
		if _, err := s.makeBucket(uint32(epoch)); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) bucketPath(epoch uint32) string {
	return filepath.Join(s.cfg.Dir, sliversName, strconv.FormatUint(uint64(epoch), 10))
}

// makeBucket opens or makes a bucket. The caller holds mu or is Open.
func (s *Store) makeBucket(epoch uint32) (*bucket, error) {
	if len(s.buckets) >= maxBuckets {
		return nil, fmt.Errorf("open bucket of epoch %d: %d are open already: drop the ended ones", epoch, maxBuckets)
	}
	path := s.bucketPath(epoch)
	db, err := s.openDatabase(path, true)
	if err != nil {
		return nil, err
	}
	b := newBucket(epoch, db)
	if err := b.load(s.clean); err != nil {
		return nil, errors.Join(fmt.Errorf("load bucket of epoch %d: %w", epoch, err), db.close())
	}
	s.buckets[epoch] = b
	return b, nil
}

// bucket returns the bucket of an epoch, and makes it if there is none.
func (s *Store) bucket(epoch uint32) (*bucket, error) {
	s.mu.RLock()
	b := s.buckets[epoch]
	s.mu.RUnlock()
	if b != nil {
		return b, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.open(); err != nil {
		return nil, err
	}
	if b := s.buckets[epoch]; b != nil {
		return b, nil
	}
	return s.makeBucket(epoch)
}

// allBuckets returns the buckets, the latest end epoch first.
func (s *Store) allBuckets() []*bucket {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return slices.SortedFunc(maps.Values(s.buckets), func(a, b *bucket) int {
		return int(int64(b.epoch) - int64(a.epoch))
	})
}

// open returns ErrClosed after Close.
func (s *Store) open() error {
	if s.closed.Load() {
		return ErrClosed
	}
	return nil
}

// closedError turns the error of a database that Close closed into ErrClosed.
func (s *Store) closedError(err error) error {
	if s.closed.Load() && errors.Is(err, errGone) {
		return ErrClosed
	}
	return err
}

// Close syncs and closes. It waits for operations under way; later ones return ErrClosed. Closing again is a no-op.
func (s *Store) Close() error {
	if s.closed.Load() {
		return nil
	}
	err := s.Sync()
	s.mu.Lock() // no bucket is made from here on
	was := s.closed.Swap(true)
	s.mu.Unlock()
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
	for _, b := range s.allBuckets() {
		errs = append(errs, b.close())
	}
	if s.meta != nil {
		errs = append(errs, s.meta.close())
	}
	return errors.Join(append(errs, s.lock.Close())...)
}

package store

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"walrus/internal/badgerdisk"
)

// buckets finds, makes and removes the buckets of a store.
type buckets struct {
	opener opener    // constant, as are the next three
	life   *lifetime // of the store
	dir    string

	mu      sync.RWMutex
	byEpoch map[uint32]*bucket // by end epoch; guarded by mu
}

// maxBuckets bounds the databases that a store opens: no network sells storage for more than 1000 epochs ahead.
const maxBuckets = 1024

// load opens all buckets, and removes the remains of dropped ones.
func (l *buckets) load() error {
	list, err := os.ReadDir(l.dir)
	if err != nil {
		return err
	}
	for _, f := range list {
		if strings.HasSuffix(f.Name(), dropSuffix) {
			if err := os.RemoveAll(filepath.Join(l.dir, f.Name())); err != nil {
				return err
			}
		}
		epoch, err := strconv.ParseUint(f.Name(), 10, 32)
		if err != nil || !f.IsDir() || strconv.FormatUint(epoch, 10) != f.Name() {
			continue
		}
		if _, err := l.make(uint32(epoch)); err != nil {
			return err
		}
	}
	return nil
}

func (l *buckets) path(epoch uint32) string {
	return filepath.Join(l.dir, strconv.FormatUint(uint64(epoch), 10))
}

// make opens or makes a bucket. The caller holds mu or is load.
func (l *buckets) make(epoch uint32) (*bucket, error) {
	if len(l.byEpoch) >= maxBuckets {
		return nil, fmt.Errorf("open bucket of epoch %d: %d are open already: drop the ended ones", epoch, maxBuckets)
	}
	db, err := l.opener.open(l.path(epoch), true)
	if err != nil {
		return nil, err
	}
	b := newBucket(epoch, db)
	l.byEpoch[epoch] = b
	return b, nil
}

// at returns the bucket of an epoch, and makes it if there is none.
func (l *buckets) at(epoch uint32) (*bucket, error) {
	l.mu.RLock()
	b := l.byEpoch[epoch]
	l.mu.RUnlock()
	if b != nil {
		return b, nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.life.open(); err != nil {
		return nil, err
	}
	if b := l.byEpoch[epoch]; b != nil {
		return b, nil
	}
	return l.make(epoch)
}

// all returns the buckets, the latest end epoch first.
func (l *buckets) all() []*bucket {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return slices.SortedFunc(maps.Values(l.byEpoch), func(a, b *bucket) int {
		return int(int64(b.epoch) - int64(a.epoch))
	})
}

// from returns all buckets, the bucket of epoch first.
func (l *buckets) from(epoch uint32) []*bucket {
	all := l.all()
	for i, b := range all {
		if b.epoch == epoch {
			copy(all[1:i+1], all[:i])
			all[0] = b
			break
		}
	}
	return all
}

// remove closes a bucket and removes its files and damaged copies.
func (l *buckets) remove(b *bucket) error {
	gone := b.path + dropSuffix
	err := func() error {
		l.mu.Lock() // until the directory is out of the way of a new bucket of this name
		defer l.mu.Unlock()
		if err := l.life.open(); err != nil {
			return err
		}
		if err := b.close(); err != nil {
			l.opener.log.Warn("could not close a bucket before dropping it", "path", b.path, "err", err)
		}
		delete(l.byEpoch, b.epoch)
		// Renamed first, so that a crash does not leave half a bucket to open.
		return errors.Join(l.erase(gone), os.Rename(b.path, gone))
	}()
	if err != nil {
		return err
	}
	dir := filepath.Dir(b.path)
	files, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, f := range files {
		if strings.HasPrefix(f.Name(), filepath.Base(b.path)+".") {
			if err := l.erase(filepath.Join(dir, f.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}

// erase removes a file or directory, and counts the space that becomes free.
func (l *buckets) erase(path string) error {
	used, _ := badgerdisk.Used(path) // what is not measured is corrected by the next measurement
	l.opener.usage.add(-used)
	return os.RemoveAll(path)
}

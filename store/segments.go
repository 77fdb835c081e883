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

// segments finds, makes and removes the segments of a store.
type segments struct {
	opener opener    // constant, as are the next three
	life   *lifetime // of the store
	dir    string

	mu      sync.RWMutex
	byEpoch map[uint32]*segment // by end epoch; guarded by mu
}

// maxSegments bounds the databases that a store opens: no network sells storage for more than 1000 epochs ahead.
const maxSegments = 1024

// load opens all segments, and removes the remains of dropped ones.
func (l *segments) load() error {
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

func (l *segments) path(epoch uint32) string {
	return filepath.Join(l.dir, strconv.FormatUint(uint64(epoch), 10))
}

// make opens or makes a segment. The caller holds mu or is load.
func (l *segments) make(epoch uint32) (*segment, error) {
	if len(l.byEpoch) >= maxSegments {
		return nil, fmt.Errorf("open segment of epoch %d: %d are open already: drop the ended ones", epoch, maxSegments)
	}
	db, err := l.opener.open(l.path(epoch), true)
	if err != nil {
		return nil, err
	}
	b := newSegment(epoch, db)
	l.byEpoch[epoch] = b
	return b, nil
}

// at returns the segment of an epoch, and makes it if there is none.
func (l *segments) at(epoch uint32) (*segment, error) {
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

// all returns the segments, the latest end epoch first.
func (l *segments) all() []*segment {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return slices.SortedFunc(maps.Values(l.byEpoch), func(a, b *segment) int {
		return int(int64(b.epoch) - int64(a.epoch))
	})
}

// from returns all segments, the segment of epoch first.
func (l *segments) from(epoch uint32) []*segment {
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

// remove closes a segment and removes its files and damaged copies.
func (l *segments) remove(b *segment) error {
	gone := b.path + dropSuffix
	err := func() error {
		l.mu.Lock() // until the directory is out of the way of a new segment of this name
		defer l.mu.Unlock()
		if err := l.life.open(); err != nil {
			return err
		}
		if err := b.close(); err != nil {
			l.opener.log.Warn("could not close a segment before dropping it", "path", b.path, "err", err)
		}
		delete(l.byEpoch, b.epoch)
		// Renamed first, so that a crash does not leave half a segment to open.
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
func (l *segments) erase(path string) error {
	used, _ := badgerdisk.Used(path) // what is not measured is corrected by the next measurement
	l.opener.usage.add(-used)
	return os.RemoveAll(path)
}

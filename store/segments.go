package store

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"walrus/internal/badgerdisk"
)

// segments finds, makes, parks and removes the segments of a store.
type segments struct {
	opener  opener    // constant, as are the next seven
	life    *lifetime // of the store
	catalog *catalog
	dir     string // of segments
	old     string // of segments of format 2
	most    int64  // bytes at which a segment is full
	keep    int    // bounds the segments that are open, but for those being written
	clock   atomic.Int64

	mu       sync.RWMutex
	byID     map[uint64]*segment // guarded by mu
	unlisted map[uint64]*segment // that the places of blobs may lack; guarded by mu
	active   map[class]*segment  // that are written to; guarded by mu
	next     uint64              // number of the next segment; guarded by mu
}

// load takes up all segments, and removes the remains of dropped ones. It opens those without a summary: they were
// written to before an unclean stop, so less may be in them than was counted. To those that were never listed the
// places of blobs may not lead.
func (l *segments) load() error {
	listed, err := l.catalog.listedSegments()
	if err != nil {
		return err
	}
	if v, err := l.catalog.db.record([]byte{keyNext}); err == nil && len(v) == 8 {
		l.next = max(l.next, binary.BigEndian.Uint64(v))
	} else if unknown(err) != nil {
		return err
	}
	for _, d := range []struct {
		dir   string
		parse func(string) (uint64, class, bool)
	}{{l.old, parseBucketName}, {l.dir, parseSegmentName}} {
		files, err := os.ReadDir(d.dir)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		for _, f := range files {
			path := filepath.Join(d.dir, f.Name())
			if strings.HasSuffix(path, dropSuffix) || strings.HasSuffix(path, newSuffix) {
				if err := os.RemoveAll(path); err != nil {
					return err
				}
			}
			if id, c, ok := d.parse(f.Name()); ok && f.IsDir() {
				b, err := l.take(id, c, path)
				if err != nil {
					return err
				}
				if !b.park.noted.Load() {
					b.doubted.Store(true)
				}
				if !listed[id] {
					b.sealed = true // what it holds is counted while nothing is added
					l.unlisted[id] = b
				}
			}
		}
	}
	return nil
}

// take opens or makes a segment. The caller holds mu or is load.
func (l *segments) take(id uint64, c class, path string) (*segment, error) {
	db := l.opener.parked(path)
	if db == nil {
		var err error
		if db, err = l.opener.open(path, true); err != nil {
			return nil, err
		}
	}
	again := l.opener
	again.cfg.MemTable = min(again.cfg.MemTable, minMemTable) // it is mostly read
	db.park.reopen = func() (*database, error) { return again.open(path, true) }
	if err := l.catalog.db.openAccount(id); err != nil {
		return nil, errors.Join(err, db.close())
	}
	b := newSegment(id, c, db)
	l.use(b)
	db.park.opened = func() {
		l.clock.Add(1)
		l.use(b) // so that others are parked
		l.trim()
	}
	l.byID[id] = b
	if id&bucketBit == 0 {
		l.next = max(l.next, id+1)
	} else {
		b.sealed = true
	}
	return b, nil
}

// use notes that a segment is used.
func (l *segments) use(b *segment) { b.park.used.Store(l.clock.Load()) }

// writable returns a segment for size bytes of a blob that ends in epoch end. The caller calls end when they are
// written.
func (l *segments) writable(end uint32, size int64) (*segment, error) {
	c := classOf(end, l.catalog.ended.Load())
	l.mu.RLock()
	b := l.active[c]
	l.mu.RUnlock()
	if b != nil && b.begin(size, l.most) {
		return b, nil
	}
	defer l.trim()
	return l.begin(c, size)
}

// begin is writable for a class of which no active segment has room.
func (l *segments) begin(c class, size int64) (*segment, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.life.open(); err != nil {
		return nil, err
	}
	for _, b := range l.sorted() {
		if b.class == c && b.begin(size, l.most) {
			l.active[c] = b
			return b, nil
		}
	}
	id := l.next
	b, err := l.take(id, c, filepath.Join(l.dir, segmentName(id, c)))
	if err != nil {
		return nil, err
	}
	if err := l.catalog.db.put(entry{key: listedKey(id)}, numberEntry(keyNext, id+1)); err != nil {
		l.unlisted[id] = b
		return nil, err
	}
	l.active[c] = b
	if !b.begin(size, max(l.most, b.size.Load()+1)) {
		return nil, fmt.Errorf("segment %s takes nothing", b.path)
	}
	return b, nil
}

// sorted returns the segments, the newest first. The caller holds mu.
func (l *segments) sorted() []*segment {
	return slices.SortedFunc(maps.Values(l.byID), func(a, b *segment) int { return cmp.Compare(b.order(), a.order()) })
}

// order sorts segments by age: those of format 2 are the oldest.
func (b *segment) order() uint64 {
	if b.id&bucketBit != 0 {
		return b.id &^ bucketBit
	}
	return b.id + firstOrder
}

// firstOrder is greater than the order of any segment of format 2.
const firstOrder = 1 << 32

// all returns the segments, the newest first.
func (l *segments) all() []*segment {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.sorted()
}

// each calls fn for each segment, in no order, under mu.
func (l *segments) each(fn func(*segment)) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	for _, b := range l.byID {
		fn(b)
	}
}

// opened returns the segments whose databases are open.
func (l *segments) opened() (list []*segment) {
	l.each(func(b *segment) { list = append(list, b) })
	return slices.DeleteFunc(list, func(b *segment) bool { return b.parks() })
}

// at returns the segments of places, as far as they are there, the last first, and then those that the places may lack.
func (l *segments) at(list []place) []spot {
	l.mu.RLock()
	defer l.mu.RUnlock()
	spots := l.listed(list)
	for id, b := range l.unlisted {
		if !slices.ContainsFunc(list, func(e place) bool { return e.segment == id }) {
			l.use(b)
			spots = append(spots, spot{b, place{segment: id, unknown: true}})
		}
	}
	return spots
}

// listed is at without segments that the places lack. The caller holds mu.
func (l *segments) listed(list []place) []spot {
	spots := make([]spot, 0, len(list)+len(l.unlisted))
	for _, e := range slices.Backward(list) {
		if b := l.byID[e.segment]; b != nil {
			l.use(b)
			spots = append(spots, spot{b, e})
		}
	}
	return spots
}

// trim parks the segments used least lately, beyond keep.
func (l *segments) trim() {
	list := l.opened()
	if len(list) <= l.keep {
		return
	}
	slices.SortFunc(list, func(a, b *segment) int { return cmp.Compare(a.park.used.Load(), b.park.used.Load()) })
	excess := len(list) - l.keep
	for _, b := range list {
		if excess <= 0 {
			return
		}
		if !b.idle() {
			continue
		}
		done, err := b.tryPark()
		if err != nil {
			l.opener.log.Warn("trouble while closing a segment that is not used", "path", b.path, "err", err)
		}
		if done {
			excess--
		}
	}
}

// remove closes a segment and removes its files.
func (l *segments) remove(b *segment) error {
	gone := b.path + dropSuffix
	err := func() error {
		l.mu.Lock()
		defer l.mu.Unlock()
		if err := l.life.open(); err != nil {
			return err
		}
		if err := b.close(); err != nil {
			l.opener.log.Warn("could not close a segment before dropping it", "path", b.path, "err", err)
		}
		delete(l.byID, b.id)
		delete(l.unlisted, b.id)
		if l.active[b.class] == b {
			delete(l.active, b.class)
		}
		// Renamed first, so that a crash does not leave half a segment to open.
		return errors.Join(l.erase(gone), os.Rename(b.path, gone), badgerdisk.SyncPath(filepath.Dir(b.path)))
	}()
	if err != nil {
		return err
	}
	for _, path := range []string{b.path + closedSuffix, b.path + checkSuffix, gone} {
		err = errors.Join(err, l.erase(path))
	}
	return errors.Join(err, l.catalog.forget(b.id))
}

// removeMoved removes damaged copies of segments whose class has ended.
func (l *segments) removeMoved(ended uint32) error {
	for _, dir := range []string{l.dir, l.old} {
		files, err := os.ReadDir(dir)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		for _, f := range files {
			name, _, moved := strings.Cut(f.Name(), movedInfix)
			if !moved {
				continue
			}
			_, c, ok := parseSegmentName(name)
			if !ok {
				_, c, ok = parseBucketName(name)
			}
			if ok && c.last <= ended {
				if err := l.erase(filepath.Join(dir, f.Name())); err != nil {
					return err
				}
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

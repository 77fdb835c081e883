package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"walrus/shards"
)

// DropEpoch removes the blobs that end with endEpoch or before: with their records they are dead. Their space comes
// back at once where nothing else lives in a segment, else when the segment is compacted. Later calls are
// for later epochs. After an error call it again.
func (s *Store) DropEpoch(endEpoch uint32) error {
	if err := s.life.open(); err != nil {
		return err
	}
	s.dropper.mu.Lock()
	defer s.dropper.mu.Unlock()
	if err := s.dropper.epoch(endEpoch); err != nil {
		return fmt.Errorf("drop epoch %d: %w", endEpoch, s.life.closedError(err))
	}
	return nil
}

// dropper removes what has ended.
type dropper struct {
	s  *Store     // constant
	mu sync.Mutex // one DropEpoch at a time
}

func (d *dropper) epoch(end uint32) error {
	touched, err := d.records(end)
	if err != nil {
		return err
	}
	if err := d.s.catalog.setEnded(end); err != nil {
		return err
	}
	for _, b := range touched {
		if _, err := d.s.compactor.removeDead(b); ignoreDropped(d.s, err) != nil {
			return err
		}
	}
	if err := d.s.segments.removeMoved(end); err != nil {
		return err
	}
	return d.s.catalog.db.use(func() error { return d.s.catalog.db.eng.index().compact() })
}

// HasEnded reports whether something may end with epoch or before that DropEpoch has not removed.
func (s *Store) HasEnded(epoch uint32) (has bool) {
	if s.catalog.ended.Load() >= epoch {
		return false
	}
	s.segments.each(func(b *segment) { has = has || b.class.first <= epoch })
	return has
}

// ignoreDropped ignores that a segment was removed meanwhile.
func ignoreDropped(s *Store, err error) error {
	if errors.Is(err, errGone) && !s.life.closed.Load() {
		return nil
	}
	return err
}

// records deletes the records and certificates of the blobs that end with epoch end or before. It returns the
// segments that may hold something of them, and those whose class has ended.
func (d *dropper) records(end uint32) ([]*segment, error) {
	touched := map[*segment]bool{}
	d.s.segments.each(func(b *segment) { // what lost its record
		touched[b] = b.class.last <= end && b.order() < d.s.catalog.forgot.Load()
	})
	err := d.s.catalog.db.pages([]byte{keyBlob}, func(keys [][]byte) error {
		for _, k := range keys {
			id, ok := keyBlobID(k)
			if !ok {
				continue
			}
			if err := d.record(id, end, touched); err != nil {
				return err
			}
		}
		return nil
	})
	maps.DeleteFunc(touched, func(_ *segment, is bool) bool { return !is })
	return slices.Collect(maps.Keys(touched)), err
}

// record deletes the record of a blob if it ends with epoch end or before.
func (d *dropper) record(id shards.BlobID, end uint32, touched map[*segment]bool) error {
	lock := d.s.catalog.locks.of(id)
	lock.Lock()
	defer lock.Unlock()
	until, err := d.s.catalog.endEpoch(id)
	if err != nil || until > end {
		return unknown(err)
	}
	list, err := d.s.places.lookup(id)
	if err != nil {
		return err
	}
	for _, b := range list {
		touched[b.segment] = true
	}
	return d.s.dropBlob(id)
}

// ended returns the last epoch whose blobs were dropped, and forgot the number below which segments may hold slivers
// whose record was lost.
func (c *catalog) load(next uint64) error {
	for key, to := range map[byte]func(uint64){keyEnded: func(n uint64) { c.ended.Store(uint32(n)) }, keyForgot: c.forgot.Store} {
		v, err := c.db.record([]byte{key})
		if err := unknown(err); err != nil {
			return err
		}
		if err == nil && len(v) == 8 {
			to(binary.BigEndian.Uint64(v))
		}
	}
	if !c.db.damaged {
		return nil
	}
	c.forgot.Store(next)
	if err := c.db.put(numberEntry(keyForgot, next)); err != nil {
		return err
	}
	return c.db.sync()
}

func numberEntry(key byte, n uint64) entry {
	return entry{key: []byte{key}, value: binary.BigEndian.AppendUint64(nil, n)}
}

// setEnded notes that all blobs that end with an epoch were dropped.
func (c *catalog) setEnded(epoch uint32) error {
	if epoch <= c.ended.Load() {
		return nil
	}
	if err := c.db.put(numberEntry(keyEnded, uint64(epoch))); err != nil {
		return err
	}
	c.ended.Store(epoch)
	return nil
}

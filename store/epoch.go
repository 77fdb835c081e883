package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"

	"walrus/shards"
)

// DropEpoch removes the blobs that end with endEpoch or before: slivers, metadata, certificates and records. Their
// space comes back at once where nothing else lies in a segment, else when the segment is compacted. Later calls are for
// later epochs. After an error call it again.
func (s *Store) DropEpoch(endEpoch uint32) error {
	if err := s.life.open(); err != nil {
		return err
	}
	s.drops.Lock()
	defer s.drops.Unlock()
	if err := s.dropEpoch(endEpoch); err != nil {
		return fmt.Errorf("drop epoch %d: %w", endEpoch, s.life.closedError(err))
	}
	return nil
}

func (s *Store) dropEpoch(end uint32) error {
	touched, err := s.dropRecords(end)
	if err != nil {
		return err
	}
	if err := s.catalog.setEnded(end); err != nil {
		return err
	}
	for _, b := range touched {
		if err := ignoreDropped(s, s.dropDead(b)); err != nil {
			return err
		}
	}
	if err := s.segments.removeMoved(end); err != nil {
		return err
	}
	return s.catalog.db.use(func() error { return s.catalog.db.eng.index().compact() })
}

// Ended returns the last epoch for which DropEpoch has removed what ended; 0 if there was none.
func (s *Store) Ended() uint32 { return s.catalog.ended.Load() }

// ignoreDropped ignores that a segment was removed meanwhile.
func ignoreDropped(s *Store, err error) error {
	if errors.Is(err, errGone) && !s.life.closed.Load() {
		return nil
	}
	return err
}

// dropRecords deletes the records and certificates of the blobs that end with epoch end or before. It returns the
// segments that may hold something of them, and those whose class has ended.
func (s *Store) dropRecords(end uint32) ([]*segment, error) {
	touched := map[*segment]bool{}
	s.segments.each(func(b *segment) { // what lost its record
		touched[b] = b.class.last <= end && b.order() < s.catalog.forgot.Load()
	})
	err := s.catalog.db.pages([]byte{keyBlob}, func(keys [][]byte) error {
		for _, k := range keys {
			id, ok := keyBlobID(k)
			if !ok {
				continue
			}
			if err := s.dropRecord(id, end, touched); err != nil {
				return err
			}
		}
		return nil
	})
	maps.DeleteFunc(touched, func(_ *segment, is bool) bool { return !is })
	return slices.Collect(maps.Keys(touched)), err
}

// dropRecord deletes the record of a blob if it ends with epoch end or before.
func (s *Store) dropRecord(id shards.BlobID, end uint32, touched map[*segment]bool) error {
	lock := s.catalog.locks.of(id)
	lock.Lock()
	defer lock.Unlock()
	until, err := s.catalog.endEpoch(id)
	if err != nil || until > end {
		return unknown(err)
	}
	list, err := s.lookup(id)
	if err != nil {
		return err
	}
	for _, b := range list {
		touched[b] = true
	}
	return s.catalog.drop(id)
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

// alive reports whether what segment b holds of a blob is to be kept: if the blob has a record, and b is among its
// places, without which nothing is found. If meta was damaged, records may have been lost: then until b's class ends.
func (s *Store) alive(id shards.BlobID, b *segment) (bool, error) {
	_, err := s.catalog.endEpoch(id)
	if errors.Is(err, ErrNotFound) {
		return b.order() < s.catalog.forgot.Load() && b.class.last > s.catalog.ended.Load(), nil
	}
	if err := unknown(err); err != nil {
		return false, err
	}
	s.segments.mu.RLock()
	unlisted := s.segments.unlisted[b.id] != nil
	s.segments.mu.RUnlock()
	if unlisted {
		return true, nil
	}
	places, err := s.catalog.places(id)
	if errors.Is(err, ErrCorrupt) {
		return true, nil
	}
	return slices.Contains(places, b.id), err
}

// dropDead removes a segment in which nothing is alive, and else deletes from it what is not.
func (s *Store) dropDead(b *segment) error {
	gone, err := s.removeDead(b)
	if err != nil || gone {
		return err
	}
	return s.prune(b, func() error { return nil })
}

// prune deletes from a segment what is not alive, as after a drop of the records.
func (s *Store) prune(b *segment, rest func() error) error {
	if err := b.flush(); err != nil { // from pending, where pages does not look
		return err
	}
	return b.contents(func(keys [][]byte) error {
		if err := s.prunePage(b, keys); err != nil {
			return err
		}
		return rest()
	})
}

func (s *Store) prunePage(b *segment, keys [][]byte) error {
	var ids []shards.BlobID
	var dead [][]byte
	for _, k := range keys {
		id, ok := keyBlobID(k)
		if !ok {
			continue
		}
		alive, err := s.alive(id, b)
		if err != nil {
			return err
		}
		if !alive {
			ids, dead = append(ids, id), append(dead, k)
		}
	}
	if len(dead) == 0 {
		return nil
	}
	defer s.catalog.locks.all(ids)()
	var refs []Ref
	for i, k := range dead {
		if alive, err := s.alive(ids[i], b); alive || err != nil { // it may have come again
			if err != nil {
				return err
			}
			continue
		}
		if r, ok := parseSliverKey(k); ok && k[0] == keySliver {
			refs = append(refs, r)
		} else if err := b.removeMetadata(ids[i]); err != nil {
			return err
		}
	}
	return b.remove(refs...)
}

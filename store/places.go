package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"walrus/shards"
)

// The places of a blob are the numbers of the segments that may hold slivers or metadata of it, oldest first. They are
// written before what they lead to is visible, and synced with it. There may be too many: of segments that are gone, or
// that hold nothing of the blob any more.

// places returns the places of a blob. A damaged record is ErrCorrupt.
func (c *catalog) places(id shards.BlobID) ([]uint64, error) {
	rec, err := c.db.record(blobKey(keyPlace, id))
	if errors.Is(err, ErrNotFound) {
		return nil, nil
	}
	if err == nil && len(rec)%8 != 0 {
		err = fmt.Errorf("%w: record of %d bytes", ErrCorrupt, len(rec))
	}
	if err != nil {
		return nil, c.incidents.blame("places", Ref{Blob: id, Shard: -1}, -1, err, c.db.path)
	}
	ids := make([]uint64, 0, len(rec)/8+1)
	for ; len(rec) > 0; rec = rec[8:] {
		ids = append(ids, binary.BigEndian.Uint64(rec))
	}
	return ids, nil
}

func placeEntry(id shards.BlobID, ids []uint64) entry {
	b := make([]byte, 0, 8*len(ids)+crcSize)
	for _, n := range ids {
		b = binary.BigEndian.AppendUint64(b, n)
	}
	return entry{key: blobKey(keyPlace, id), value: b}
}

// placesOf returns the places of a blob; if their record is damaged, all segments.
func (s *Store) placesOf(id shards.BlobID) ([]uint64, error) {
	ids, err := s.catalog.places(id)
	if !errors.Is(err, ErrCorrupt) {
		return ids, err
	}
	for _, b := range slices.Backward(s.segments.all()) {
		ids = append(ids, b.id)
	}
	return ids, nil
}

// mendPlaces replaces a damaged record of places: by all segments.
func (s *Store) mendPlaces(id shards.BlobID) error {
	lock := s.catalog.locks.of(id)
	lock.Lock()
	defer lock.Unlock()
	if _, err := s.catalog.places(id); !errors.Is(err, ErrCorrupt) {
		return err
	}
	all, err := s.placesOf(id)
	if err != nil {
		return err
	}
	return s.catalog.db.put(placeEntry(id, all))
}

// lookup returns the segments that may hold something of a blob, the newest place first.
func (s *Store) lookup(id shards.BlobID) ([]*segment, error) {
	ids, err := s.placesOf(id)
	if err != nil {
		return nil, err
	}
	return s.segments.at(ids), nil
}

// placing returns the entry that adds b to the places of a blob, and false if it is one already. The caller holds the
// blob's lock.
func (s *Store) placing(id shards.BlobID, b *segment, places []uint64) (entry, bool) {
	if slices.Contains(places, b.id) {
		return entry{}, false
	}
	s.segments.mu.RLock()
	places = slices.DeleteFunc(places, func(n uint64) bool { return s.segments.byID[n] == nil })
	s.segments.mu.RUnlock()
	return placeEntry(id, append(places, b.id)), true
}

// place makes b a place of a blob. The caller holds the blob's lock.
func (s *Store) place(id shards.BlobID, b *segment) error {
	places, err := s.placesOf(id)
	if err != nil {
		return err
	}
	return s.placeAmong(id, b, places)
}

// placeAmong is place with the places read already.
func (s *Store) placeAmong(id shards.BlobID, b *segment, places []uint64) error {
	e, need := s.placing(id, b, places)
	if !need {
		return nil
	}
	return s.catalog.db.put(e)
}

func listedKey(id uint64) []byte { return binary.BigEndian.AppendUint64([]byte{keyListed}, id) }

// noteListed notes that the places of all blobs name segment id where they must.
func (c *catalog) noteListed(id uint64) error { return c.db.put(entry{key: listedKey(id)}) }

func (c *catalog) unlist(id uint64) error { return c.db.put(entry{key: listedKey(id), del: true}) }

// listedSegments returns the numbers that list has noted. After damage to meta it is none of them.
func (c *catalog) listedSegments() (map[uint64]bool, error) {
	listed := map[uint64]bool{}
	err := c.db.pages([]byte{keyListed}, func(keys [][]byte) error {
		for _, k := range keys {
			if len(k) != 1+8 {
				continue
			}
			if c.db.damaged {
				if err := c.db.put(entry{key: k, del: true}); err != nil {
					return err
				}
				continue
			}
			listed[binary.BigEndian.Uint64(k[1:])] = true
		}
		return nil
	})
	if err == nil && c.db.damaged {
		err = c.db.sync()
	}
	return listed, err
}

// listSegment makes a segment a place of all blobs of which it holds something.
func (s *Store) listSegment(b *segment, rest func() error) error {
	for _, kind := range []byte{keyMetadata, keySliver} {
		err := b.pages([]byte{kind}, func(keys [][]byte) error {
			for _, k := range keys {
				id, ok := keyBlobID(k)
				if !ok {
					continue
				}
				lock := s.catalog.locks.of(id)
				lock.Lock()
				alive, err := s.alive(id, b)
				if err == nil && alive {
					err = s.place(id, b)
				}
				lock.Unlock()
				if err != nil {
					return err
				}
			}
			return rest()
		})
		if err != nil {
			return err
		}
	}
	if err := s.catalog.db.sync(); err != nil {
		return err
	}
	if err := s.catalog.noteListed(b.id); err != nil {
		return err
	}
	s.segments.mu.Lock()
	defer s.segments.mu.Unlock()
	delete(s.segments.unlisted, b.id)
	return nil
}

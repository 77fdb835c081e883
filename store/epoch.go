package store

import (
	"errors"
	"fmt"
	"os"

	"walrus/shards"
)

// DropEpoch removes the blobs that ended with endEpoch: slivers, metadata, certificates and records. The data of
// extended blobs moves to their new segment, except damaged slivers. Readers of removed slivers get ErrNotFound. After
// an error call it again.
func (s *Store) DropEpoch(endEpoch uint32) error {
	if err := s.life.open(); err != nil {
		return err
	}
	s.drops.Lock()
	defer s.drops.Unlock()
	if _, err := os.Stat(s.segments.path(endEpoch)); err == nil {
		b, err := s.segments.at(endEpoch)
		if err == nil {
			err = s.dropSegment(b)
		}
		if err != nil {
			return fmt.Errorf("drop epoch %d: %w", endEpoch, s.life.closedError(err))
		}
	}
	if err := s.dropRecords(endEpoch); err != nil {
		return fmt.Errorf("drop epoch %d: %w", endEpoch, s.life.closedError(err))
	}
	if err := s.catalog.db.use(s.catalog.db.eng.index().compact); err != nil {
		return fmt.Errorf("drop epoch %d: %w", endEpoch, s.life.closedError(err))
	}
	return nil
}

func (s *Store) dropSegment(b *segment) error {
	if err := s.moveExtended(b); err != nil {
		return err
	}
	// Again for blobs that were extended meanwhile. Under the lock no further blob can be extended.
	s.catalog.mu.Lock()
	defer s.catalog.mu.Unlock()
	b.invalidate()
	if err := s.moveExtended(b); err != nil {
		return err
	}
	return s.segments.remove(b)
}

// moveExtended copies the data of blobs that end later to their segments, and syncs it. It skips data already there.
func (s *Store) moveExtended(b *segment) error {
	if err := b.flush(); err != nil { // from pending, where pages does not look
		return err
	}
	later := func(id shards.BlobID) (*segment, error) {
		end, err := s.catalog.endEpoch(id)
		if err != nil || end <= b.epoch {
			// Without a readable record nobody knows of an extension.
			if errors.Is(err, ErrNotFound) || errors.Is(err, ErrCorrupt) {
				err = nil
			}
			return nil, err
		}
		return s.segments.at(end)
	}
	err := b.pages([]byte{keyMetadata}, func(keys [][]byte) error {
		for _, k := range keys {
			to, err := later(shards.BlobID(k[1:]))
			if err == nil && to != nil {
				err = s.moveMetadata(b, to, k)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	err = b.pages([]byte{keySliver}, func(keys [][]byte) error {
		for _, k := range keys {
			ref, ok := parseSliverKey(k)
			if !ok {
				continue
			}
			to, err := later(ref.Blob)
			if err == nil && to != nil {
				err = s.moveSliver(b, to, ref)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return s.group.do(s.syncAll)
}

func (s *Store) moveMetadata(from, to *segment, key []byte) error {
	if _, err := to.record(key); err == nil {
		return nil
	}
	m, err := from.record(key)
	if errors.Is(err, ErrCorrupt) {
		_ = s.incidents.blame("metadata", Ref{Blob: shards.BlobID(key[1:]), Shard: -1}, -1, err, from.path) // left behind
		return nil
	}
	if err == nil {
		err = s.space.atLeast(s.cfg.MinFree) // without the limit: moving frees the old segment
	}
	if err != nil {
		return err
	}
	return to.put(entry{key: key, value: m})
}

func (s *Store) moveSliver(from, to *segment, ref Ref) error {
	if _, err := to.find(ref); err == nil {
		return nil
	}
	rec, err := from.find(ref)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil {
		err = s.incidents.blame("sliver", ref, -1, err, from.path)
	} else {
		r := &SliverReader{s: s, ref: ref, b: from, rec: rec, have: -1}
		w := s.create(to, ref, rec.size)
		w.moves = true
		defer w.Abort()
		if _, err = r.WriteTo(w); err == nil {
			err = w.Commit()
		}
	}
	if errors.Is(err, ErrCorrupt) || errors.Is(err, ErrNotFound) {
		return nil // noted; left behind
	}
	return err
}

// dropRecords deletes the records and certificates of the blobs that ended with epoch.
func (s *Store) dropRecords(epoch uint32) error {
	return s.catalog.db.pages([]byte{keyBlob}, func(keys [][]byte) error {
		s.catalog.mu.Lock()
		defer s.catalog.mu.Unlock()
		for _, k := range keys {
			if len(k) != 1+idSize {
				continue
			}
			id := shards.BlobID(k[1:])
			end, err := s.catalog.endEpoch(id)
			if err != nil && !errors.Is(err, ErrNotFound) && !errors.Is(err, ErrCorrupt) {
				return err
			}
			if err != nil || end != epoch {
				continue
			}
			if err := s.catalog.drop(id); err != nil {
				return err
			}
		}
		return nil
	})
}

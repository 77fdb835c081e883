package store

import (
	"errors"
	"fmt"

	"walrus/shards"
)

// Blobs lists up to limit of the blobs that PutBlob has recorded, in order of ID, from the first ID above after. No
// blob has the zero ID, so the zero ID starts at the first blob. A list shorter than limit is the last.
func (s *Store) Blobs(after shards.BlobID, limit int) ([]shards.BlobID, error) {
	ids, err := s.catalog.list(keyBlob, after, limit)
	if err != nil {
		return nil, fmt.Errorf("list blobs: %w", err)
	}
	return ids, nil
}

// DropBlob removes one blob before its end: the slivers on the given shards, metadata, certificate and record. Their
// space comes back when the compactor comes to their segments. After an error call DropBlob again. A blob that does not
// exist is no error.
func (s *Store) DropBlob(id shards.BlobID, held []int) error {
	if err := s.life.open(); err != nil {
		return err
	}
	lock := s.catalog.locks.of(id)
	lock.Lock()
	defer lock.Unlock()
	refs := make([]Ref, 0, 2*len(held))
	for _, shard := range held {
		for _, axis := range []shards.Axis{shards.Primary, shards.Secondary} {
			ref := Ref{Blob: id, Shard: shard, Axis: axis}
			if err := ref.check(); err != nil {
				return fmt.Errorf("drop blob %s: %w", id, err)
			}
			refs = append(refs, ref)
		}
	}
	list, err := s.places.lookup(id)
	for _, b := range list {
		err = errors.Join(err, ignoreDropped(s, errors.Join(b.remove(refs...), b.removeMetadata(id))))
	}
	if err == nil {
		err = s.catalog.drop(id) // last, so that a crash in between leaves the record
	}
	if err != nil {
		return fmt.Errorf("drop blob %s: %w", id, s.life.closedError(err))
	}
	return nil
}

package store

import (
	"errors"
	"fmt"

	"walrus/shards"
)

// EndEpochs lists the end epochs that have a segment, ascending. DropEpoch drops one of them.
func (s *Store) EndEpochs() []uint32 {
	var epochs []uint32
	for _, b := range s.segments.all() {
		epochs = append([]uint32{b.epoch}, epochs...)
	}
	return epochs
}

// Blobs lists up to limit of the blobs that PutBlob has recorded, in order of ID, from the first ID above after. No
// blob has the zero ID, so the zero ID starts at the first blob. A list shorter than limit is the last.
func (s *Store) Blobs(after shards.BlobID, limit int) ([]shards.BlobID, error) {
	ids, err := s.catalog.list(keyBlob, after, limit)
	if err != nil {
		return nil, fmt.Errorf("list blobs: %w", err)
	}
	return ids, nil
}

// DropBlob removes one blob before its end: the slivers on the given shards, metadata, certificate and record. The
// slivers' space is freed when their segment is dropped. After an error call DropBlob again. A blob that does not exist
// is no error.
func (s *Store) DropBlob(id shards.BlobID, held []int) error {
	for _, shard := range held {
		for _, axis := range []shards.Axis{shards.Primary, shards.Secondary} {
			if err := s.DeleteSliver(Ref{Blob: id, Shard: shard, Axis: axis}); err != nil {
				return fmt.Errorf("drop blob %s: %w", id, err)
			}
		}
	}
	s.catalog.mu.Lock()
	defer s.catalog.mu.Unlock()
	for _, b := range s.segments.all() {
		err := b.put(entry{key: blobKey(keyMetadata, id), del: true})
		if err != nil && !errors.Is(err, errGone) {
			return fmt.Errorf("drop blob %s: %w", id, s.life.closedError(err))
		}
	}
	if err := s.catalog.drop(id); err != nil { // last, so that a crash in between leaves the record
		return fmt.Errorf("drop blob %s: %w", id, s.life.closedError(err))
	}
	return nil
}

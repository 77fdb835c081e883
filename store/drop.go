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

// DropBlob removes one blob before its end, and costs the same wherever it lies: with its record it is dead. held are
// the shards whose slivers are looked for in segments that have lost their accounts. Its space comes back when the
// compactor comes to its segments. After an error call DropBlob again. A blob that does not exist is no error.
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
	err := s.dropUnlisted(id, refs)
	if err == nil {
		err = s.dropBlob(id) // last, so that a crash in between leaves the record
	}
	if err != nil {
		return fmt.Errorf("drop blob %s: %w", id, s.life.closedError(err))
	}
	return nil
}

// dropBlob makes a blob dead. The caller holds its lock.
func (s *Store) dropBlob(id shards.BlobID) error {
	list, err := s.catalog.places(id)
	if err := unknown(err); err != nil {
		return err
	}
	if err := s.catalog.drop(id); err != nil {
		return err
	}
	s.segments.mu.RLock()
	defer s.segments.mu.RUnlock()
	for _, a := range s.segments.listed(list) {
		a.forgetBlob(id)
		a.blocked.Store(false) // perhaps it was one of these slivers
	}
	return nil
}

// dropUnlisted deletes what the segments that are not listed hold of a blob: they are searched without its places. The
// caller holds the blob's lock.
func (s *Store) dropUnlisted(id shards.BlobID, refs []Ref) (err error) {
	for _, b := range s.segments.at(nil) {
		_, _, rerr := b.remove(refs...)
		_, merr := b.removeMetadata(id)
		err = errors.Join(err, ignoreDropped(s, errors.Join(rerr, merr)))
	}
	return err
}

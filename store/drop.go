package store

import (
	"errors"
	"fmt"

	"walrus/shards"
)

// EndEpochs lists the end epochs that have a bucket, ascending. DropEpoch drops one of them.
func (s *Store) EndEpochs() []uint32 {
	var epochs []uint32
	for _, b := range s.allBuckets() {
		epochs = append([]uint32{b.epoch}, epochs...)
	}
	return epochs
}

// Blobs lists up to limit blobs that PutBlob has made known and whose IDs are greater than after, in the order of their
// IDs. The zero ID, which no blob has, is before the first. Fewer than limit means there are no more.
func (s *Store) Blobs(after shards.BlobID, limit int) ([]shards.BlobID, error) {
	ids, err := s.list(keyBlob, after, limit)
	if err != nil {
		return nil, fmt.Errorf("list blobs: %w", err)
	}
	return ids, nil
}

// list lists the blobs that have a record of a kind in meta.
func (s *Store) list(kind byte, after shards.BlobID, limit int) ([]shards.BlobID, error) {
	if err := s.open(); err != nil {
		return nil, err
	}
	var ids []shards.BlobID
	err := s.meta.scan([]byte{kind}, blobKey(kind, after), limit, false, func(k, _ []byte) error {
		if len(k) == 1+idSize {
			ids = append(ids, shards.BlobID(k[1:]))
		}
		return nil
	})
	return ids, s.closedError(err)
}

// DropBlob removes one blob before its end: the slivers on the given shards, metadata, certificate and record. The
// space of the slivers is free when their bucket is dropped. After an error call it again. A blob that does not exist
// is no error.
func (s *Store) DropBlob(id shards.BlobID, held []int) error {
	for _, shard := range held {
		for _, axis := range []shards.Axis{shards.Primary, shards.Secondary} {
			if err := s.DeleteSliver(Ref{Blob: id, Shard: shard, Axis: axis}); err != nil {
				return fmt.Errorf("drop blob %s: %w", id, err)
			}
		}
	}
	s.records.Lock()
	defer s.records.Unlock()
	for _, b := range s.allBuckets() {
		err := b.put(entry{key: blobKey(keyMetadata, id), del: true})
		if err != nil && !errors.Is(err, errGone) {
			return fmt.Errorf("drop blob %s: %w", id, s.closedError(err))
		}
	}
	if err := s.dropRecord(id); err != nil { // last, so that a crash in between leaves the record
		return fmt.Errorf("drop blob %s: %w", id, s.closedError(err))
	}
	return nil
}

// dropRecord deletes the record and the certificate of a blob, damaged or not. The caller holds records.
func (s *Store) dropRecord(id shards.BlobID) error {
	_, known := s.endEpoch(id)
	_, _, certified := s.certificate(id)
	if errors.Is(known, ErrNotFound) && errors.Is(certified, ErrNotFound) {
		return nil
	}
	if err := s.meta.put(entry{key: blobKey(keyBlob, id), del: true}, entry{key: blobKey(keyCertificate, id), del: true}); err != nil {
		return err
	}
	if !errors.Is(known, ErrNotFound) {
		s.blobs--
	}
	if !errors.Is(certified, ErrNotFound) {
		s.certs--
	}
	return nil
}

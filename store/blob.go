package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"walrus/shards"
)

// Greatest sizes in bytes.
const (
	// maxMetadata is a little over the metadata of a blob on the largest network (65,535 sliver pairs).
	maxMetadata = 8 << 20
	// maxCertificate leaves room for a bitmap of all shards beside the signature.
	maxCertificate = 64 << 10
	// maxState keeps node state small.
	maxState    = 256 << 10
	maxStateKey = 256
)

// BlobRecord describes a blob.
type BlobRecord struct {
	EndEpoch  uint32 // the epoch at whose beginning the blob ends
	Certified bool   // there is a certificate
	CertEpoch uint32 // the epoch of the certificate
}

// PutBlob keeps a blob's metadata until endEpoch. It must come before the slivers. A second PutBlob changes nothing,
// except that a later endEpoch extends the blob.
func (s *Store) PutBlob(id shards.BlobID, metadata []byte, endEpoch uint32) error {
	if len(metadata) > maxMetadata {
		return fmt.Errorf("put blob %s: metadata of %d bytes: the limit is %d", id, len(metadata), maxMetadata)
	}
	room := s.space.forData
	if _, err := s.catalog.endEpoch(id); err == nil {
		room = s.space.forRecord // extending a blob adds no data
	}
	if err := room(); err != nil {
		return fmt.Errorf("put blob %s: %w", id, err)
	}
	s.catalog.mu.Lock()
	defer s.catalog.mu.Unlock()
	if err := s.putBlob(id, metadata, endEpoch); err != nil {
		return fmt.Errorf("put blob %s: %w", id, s.life.closedError(err))
	}
	return nil
}

// putBlob does the work of PutBlob. The caller holds catalog.mu.
func (s *Store) putBlob(id shards.BlobID, metadata []byte, endEpoch uint32) error {
	old, rerr := s.catalog.endEpoch(id)
	if err := unknown(rerr); err != nil {
		return err
	}
	end := max(old, endEpoch)
	if m, err := s.findMetadata(id, end); err != nil || !bytes.Equal(m, metadata) {
		b, err := s.segments.at(end)
		if err != nil {
			return err
		}
		if err := b.put(entry{key: blobKey(keyMetadata, id), value: metadata}); err != nil {
			return err
		}
	}
	if rerr == nil && old == end {
		return nil
	}
	rec := entry{key: blobKey(keyBlob, id), value: binary.BigEndian.AppendUint32(nil, end)}
	if errors.Is(rerr, ErrNotFound) {
		rec.delta = 1
	}
	return s.catalog.db.change(rec)
}

// Metadata returns a blob's metadata as it was put. Errors: ErrNotFound, ErrCorrupt.
func (s *Store) Metadata(id shards.BlobID) ([]byte, error) {
	if err := s.life.open(); err != nil {
		return nil, err
	}
	end, err := s.catalog.endEpoch(id)
	if err != nil && !errors.Is(err, ErrNotFound) && !errors.Is(err, ErrCorrupt) {
		return nil, fmt.Errorf("metadata of blob %s: %w", id, s.life.closedError(err))
	}
	m, err := s.findMetadata(id, end)
	if err != nil {
		return nil, fmt.Errorf("metadata of blob %s: %w", id, s.life.closedError(err))
	}
	return m, nil
}

// findMetadata looks into the segment of epoch end first, then into all others: an extended blob stays in its first
// segment until that segment ends.
func (s *Store) findMetadata(id shards.BlobID, end uint32) ([]byte, error) {
	found := ErrNotFound
	for _, b := range s.segments.from(end) {
		m, err := b.metadata(id)
		switch {
		case err == nil:
			return m, nil
		case errors.Is(err, errGone):
		case errors.Is(err, ErrNotFound):
		default:
			found = s.incidents.blame("metadata", Ref{Blob: id, Shard: -1}, -1, err, b.path)
		}
	}
	if errors.Is(found, ErrNotFound) && s.life.closed.Load() {
		return nil, ErrClosed
	}
	return nil, found
}

// Blob returns the record of a blob. Errors: ErrNotFound, ErrCorrupt.
func (s *Store) Blob(id shards.BlobID) (BlobRecord, error) {
	if err := s.life.open(); err != nil {
		return BlobRecord{}, err
	}
	end, err := s.catalog.endEpoch(id)
	if err != nil {
		return BlobRecord{}, fmt.Errorf("blob %s: %w", id, s.life.closedError(err))
	}
	r := BlobRecord{EndEpoch: end}
	_, r.CertEpoch, err = s.catalog.certificate(id)
	r.Certified = err == nil
	return r, nil
}

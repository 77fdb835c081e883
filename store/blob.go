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
	room := s.room
	if _, err := s.endEpoch(id); err == nil {
		room = s.roomForRecord // extending a blob adds no data
	}
	if err := room(); err != nil {
		return fmt.Errorf("put blob %s: %w", id, err)
	}
	s.records.Lock()
	defer s.records.Unlock()
	if err := s.putBlob(id, metadata, endEpoch); err != nil {
		return fmt.Errorf("put blob %s: %w", id, s.closedError(err))
	}
	return nil
}

// putBlob needs records.
func (s *Store) putBlob(id shards.BlobID, metadata []byte, endEpoch uint32) error {
	old, rerr := s.endEpoch(id)
	if rerr != nil && !errors.Is(rerr, ErrNotFound) && !errors.Is(rerr, ErrCorrupt) {
		return rerr
	}
	end := max(old, endEpoch)
	if m, err := s.findMetadata(id, end); err != nil || !bytes.Equal(m, metadata) {
		b, err := s.bucket(end)
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
	err := s.meta.put(entry{key: blobKey(keyBlob, id), value: binary.BigEndian.AppendUint32(nil, end)})
	if err == nil && errors.Is(rerr, ErrNotFound) {
		s.blobs++
	}
	return err
}

// endEpoch reads a blob's record.
func (s *Store) endEpoch(id shards.BlobID) (uint32, error) {
	rec, err := s.meta.record(blobKey(keyBlob, id))
	if err == nil && len(rec) != 4 {
		err = fmt.Errorf("%w: record of %d bytes", ErrCorrupt, len(rec))
	}
	if err != nil {
		return 0, s.blame("blob record", Ref{Blob: id, Shard: -1}, -1, err, s.meta.path)
	}
	return binary.BigEndian.Uint32(rec), nil
}

// Metadata returns a blob's metadata as it was put. Errors: ErrNotFound, ErrCorrupt.
func (s *Store) Metadata(id shards.BlobID) ([]byte, error) {
	if err := s.open(); err != nil {
		return nil, err
	}
	end, err := s.endEpoch(id)
	if err != nil && !errors.Is(err, ErrNotFound) && !errors.Is(err, ErrCorrupt) {
		return nil, fmt.Errorf("metadata of blob %s: %w", id, s.closedError(err))
	}
	m, err := s.findMetadata(id, end)
	if err != nil {
		return nil, fmt.Errorf("metadata of blob %s: %w", id, s.closedError(err))
	}
	return m, nil
}

// findMetadata looks into the bucket of epoch end first, then into all others: an extended blob stays in its first
// bucket until that one ends.
func (s *Store) findMetadata(id shards.BlobID, end uint32) ([]byte, error) {
	found := ErrNotFound
	for _, b := range s.bucketsFrom(end) {
		m, err := b.metadata(id)
		switch {
		case err == nil:
			return m, nil
		case errors.Is(err, errGone):
		case errors.Is(err, ErrNotFound):
		default:
			found = s.blame("metadata", Ref{Blob: id, Shard: -1}, -1, err, b.path)
		}
	}
	if errors.Is(found, ErrNotFound) && s.closed.Load() {
		return nil, ErrClosed
	}
	return nil, found
}

// Blob returns the record of a blob. Errors: ErrNotFound, ErrCorrupt.
func (s *Store) Blob(id shards.BlobID) (BlobRecord, error) {
	if err := s.open(); err != nil {
		return BlobRecord{}, err
	}
	end, err := s.endEpoch(id)
	if err != nil {
		return BlobRecord{}, fmt.Errorf("blob %s: %w", id, s.closedError(err))
	}
	r := BlobRecord{EndEpoch: end}
	_, r.CertEpoch, err = s.certificate(id)
	r.Certified = err == nil
	return r, nil
}

// blame turns damage into a *CorruptError and records an incident. It returns other errors unchanged.
func (s *Store) blame(kind string, r Ref, segment int, err error, path string) error {
	if !errors.Is(err, ErrCorrupt) {
		return err
	}
	e := &CorruptError{Kind: kind, Ref: r, Segment: segment, Err: err}
	s.incidents.add(Incident{Path: path, Err: e})
	return e
}

// bucketsFrom returns all buckets, the bucket of epoch first.
func (s *Store) bucketsFrom(epoch uint32) []*bucket {
	all := s.allBuckets()
	for i, b := range all {
		if b.epoch == epoch {
			copy(all[1:i+1], all[:i])
			all[0] = b
			break
		}
	}
	return all
}

package store

import (
	"bytes"
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
	room := s.makeRoom
	if _, err := s.catalog.endEpoch(id); err == nil {
		room = s.space.forRecord // extending a blob adds no data
	}
	if err := room(); err != nil {
		return fmt.Errorf("put blob %s: %w", id, err)
	}
	lock := s.catalog.locks.of(id)
	lock.Lock()
	defer lock.Unlock()
	if err := s.putBlob(id, metadata, endEpoch); err != nil {
		return fmt.Errorf("put blob %s: %w", id, s.life.closedError(err))
	}
	return nil
}

// putBlob does the work of PutBlob. The caller holds the blob's lock.
func (s *Store) putBlob(id shards.BlobID, metadata []byte, endEpoch uint32) error {
	old, of, rerr := s.catalog.blob(id)
	if err := unknown(rerr); err != nil {
		return err
	}
	end := max(old, endEpoch)
	if rerr != nil {
		var err error
		if of, err = s.places.lifeOf(id); err != nil {
			return err
		}
		if of == 0 {
			of = newLife()
		}
	}
	var batch []entry
	if m, err := s.places.metadata(id); err != nil || !bytes.Equal(m, metadata) {
		placed, err := s.putMetadata(id, metadata, end, of)
		if err != nil {
			return err
		}
		if placed.key != nil {
			batch = append(batch, placed)
		}
	}
	if rerr != nil || old != end {
		rec := blobEntry(id, end, of)
		if errors.Is(rerr, ErrNotFound) {
			rec.delta = counts{1, 0}
		}
		batch = append(batch, rec)
	}
	if len(batch) == 0 {
		return nil
	}
	return s.catalog.db.change(batch...)
}

// putMetadata writes metadata into a segment, in place of any other copy. It returns what must be written to meta. The
// caller holds the blob's lock.
func (s *Store) putMetadata(id shards.BlobID, metadata []byte, end uint32, of life) (placed entry, err error) {
	others, err := s.places.lookup(id)
	if err != nil {
		return placed, err
	}
	size := metadataWeight(len(metadata))
	b, err := s.segments.writable(end, size)
	if err != nil {
		return placed, err
	}
	defer b.end(size)
	for _, o := range others {
		if o.segment != b {
			n, rerr := o.removeMetadata(id)
			if rerr == nil && n != (counts{}) {
				rerr = s.places.add(id, o.segment, o.life, n.negative())
			}
			err = errors.Join(err, ignoreDropped(s, rerr))
		}
	}
	if err != nil {
		return placed, err
	}
	return s.metadataIn(b, id, metadata, of)
}

// metadataIn writes metadata into segment b, and returns the entry that makes b a place of the blob. The caller holds
// the blob's lock.
func (s *Store) metadataIn(b *segment, id shards.BlobID, metadata []byte, of life) (entry, error) {
	list, err := s.places.of(id)
	if err != nil {
		return entry{}, err
	}
	for _, e := range list {
		if e.segment == b.id {
			of = e.life
		}
	}
	n, err := spot{b, place{life: of}}.putMetadata(id, metadata)
	if err != nil {
		return entry{}, err
	}
	e, _ := s.places.shifted(id, b, of, n, list)
	return e, nil
}

// putMetadataIn writes metadata into segment b, and makes b a place of the blob. The caller holds the blob's lock.
func (s *Store) putMetadataIn(b *segment, id shards.BlobID, metadata []byte, of life) error {
	e, err := s.metadataIn(b, id, metadata, of)
	if err != nil || e.key == nil {
		return err
	}
	return s.catalog.db.change(e)
}

// Metadata returns a blob's metadata as it was put. Errors: ErrNotFound, ErrCorrupt.
func (s *Store) Metadata(id shards.BlobID) ([]byte, error) {
	if err := s.life.open(); err != nil {
		return nil, err
	}
	m, err := s.places.metadata(id)
	if err != nil {
		return nil, fmt.Errorf("metadata of blob %s: %w", id, s.life.closedError(err))
	}
	return m, nil
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

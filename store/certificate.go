package store

import (
	"encoding/binary"
	"errors"
	"fmt"

	"walrus/shards"
)

// PutCertificate keeps the certificate of a blob that was certified in epoch. It replaces an earlier certificate.
func (s *Store) PutCertificate(id shards.BlobID, epoch uint32, cert []byte) error {
	if len(cert) > maxCertificate {
		return fmt.Errorf("put certificate of blob %s: %d bytes: the limit is %d", id, len(cert), maxCertificate)
	}
	if err := s.space.forRecord(); err != nil {
		return fmt.Errorf("put certificate of blob %s: %w", id, err)
	}
	lock := s.catalog.locks.of(id)
	lock.Lock()
	defer lock.Unlock()
	_, _, err := s.catalog.certificate(id)
	if err := unknown(err); err != nil {
		return fmt.Errorf("put certificate of blob %s: %w", id, s.life.closedError(err))
	}
	rec := entry{key: blobKey(keyCertificate, id), value: append(binary.BigEndian.AppendUint32(nil, epoch), cert...)}
	if errors.Is(err, ErrNotFound) {
		rec.delta = counts{0, 1}
	}
	if err := s.catalog.db.change(rec); err != nil {
		return fmt.Errorf("put certificate of blob %s: %w", id, s.life.closedError(err))
	}
	return nil
}

// Certificate returns the certificate of a blob as it was put. Errors: ErrNotFound, ErrCorrupt.
func (s *Store) Certificate(id shards.BlobID) ([]byte, error) {
	if err := s.life.open(); err != nil {
		return nil, err
	}
	cert, _, err := s.catalog.certificate(id)
	if err != nil {
		return nil, fmt.Errorf("certificate of blob %s: %w", id, s.life.closedError(err))
	}
	return cert, nil
}

// Certificates lists up to limit blobs that have a certificate, in order of ID, from the first ID above after. No blob
// has the zero ID, so the zero ID starts at the first blob. A list shorter than limit is the last.
func (s *Store) Certificates(after shards.BlobID, limit int) ([]shards.BlobID, error) {
	ids, err := s.catalog.list(keyCertificate, after, limit)
	if err != nil {
		return nil, fmt.Errorf("list certificates: %w", err)
	}
	return ids, nil
}

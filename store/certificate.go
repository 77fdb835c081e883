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
	if err := s.roomForRecord(); err != nil {
		return fmt.Errorf("put certificate of blob %s: %w", id, err)
	}
	s.records.Lock()
	defer s.records.Unlock()
	_, _, err := s.certificate(id)
	missing := errors.Is(err, ErrNotFound)
	value := append(binary.BigEndian.AppendUint32(nil, epoch), cert...)
	if err := s.meta.put(entry{key: blobKey(keyCertificate, id), value: value}); err != nil {
		return fmt.Errorf("put certificate of blob %s: %w", id, s.closedError(err))
	}
	if missing {
		s.certs++
	}
	return nil
}

// Certificate returns the certificate of a blob as it was put. Errors: ErrNotFound, ErrCorrupt.
func (s *Store) Certificate(id shards.BlobID) ([]byte, error) {
	if err := s.open(); err != nil {
		return nil, err
	}
	cert, _, err := s.certificate(id)
	if err != nil {
		return nil, fmt.Errorf("certificate of blob %s: %w", id, s.closedError(err))
	}
	return cert, nil
}

func (s *Store) certificate(id shards.BlobID) (cert []byte, epoch uint32, err error) {
	v, err := s.meta.record(blobKey(keyCertificate, id))
	if err == nil && len(v) < 4 {
		err = fmt.Errorf("%w: record of %d bytes", ErrCorrupt, len(v))
	}
	if err != nil {
		return nil, 0, s.blame("certificate", Ref{Blob: id, Shard: -1}, -1, err, s.meta.path)
	}
	return v[4:], binary.BigEndian.Uint32(v), nil
}

// Certificates lists up to limit blobs that have a certificate and whose IDs are greater than after, in the order
// of their IDs. The zero ID, which no blob has, is before the first. Fewer than limit means there are no more.
func (s *Store) Certificates(after shards.BlobID, limit int) ([]shards.BlobID, error) {
	ids, err := s.list(keyCertificate, after, limit)
	if err != nil {
		return nil, fmt.Errorf("list certificates: %w", err)
	}
	return ids, nil
}

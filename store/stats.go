package store

import "fmt"

// Stats counts the contents of a store.
type Stats struct {
	Blobs, Certificates, Slivers int64
	Bytes                        int64 // of disk space, copies of damaged databases included
}

// Stats returns the counts, and measures the disk space: it looks at every file.
func (s *Store) Stats() (t Stats, err error) {
	if t, err = s.Counts(); err != nil {
		return t, err
	}
	if t.Bytes, err = s.space.usage.measure(s.cfg.Dir, 0); err != nil {
		return t, fmt.Errorf("disk space of the store: %w", err)
	}
	return t, nil
}

// Counts returns the Stats that are kept in memory: all but Bytes.
func (s *Store) Counts() (t Stats, err error) {
	if err := s.life.open(); err != nil {
		return t, err
	}
	s.catalog.mu.Lock()
	t.Blobs, t.Certificates = s.catalog.blobs, s.catalog.certs
	s.catalog.mu.Unlock()
	for _, b := range s.buckets.all() {
		b.mu.Lock()
		t.Slivers += b.slivers
		b.mu.Unlock()
	}
	return t, nil
}

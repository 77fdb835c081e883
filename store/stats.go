package store

import "fmt"

// Stats counts the contents of a store.
type Stats struct {
	Blobs, Certificates, Slivers int64
	Bytes                        int64 // of disk space, copies of damaged databases included
}

// Stats returns counts that are kept in memory, and measures the disk space.
func (s *Store) Stats() (Stats, error) {
	if err := s.life.open(); err != nil {
		return Stats{}, err
	}
	var t Stats
	s.catalog.mu.Lock()
	t.Blobs, t.Certificates = s.catalog.blobs, s.catalog.certs
	s.catalog.mu.Unlock()
	for _, b := range s.buckets.all() {
		b.mu.Lock()
		t.Slivers += b.slivers
		b.mu.Unlock()
	}
	var err error
	if t.Bytes, err = s.space.usage.measure(s.cfg.Dir, 0); err != nil {
		return t, fmt.Errorf("disk space of the store: %w", err)
	}
	return t, nil
}

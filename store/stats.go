package store

// Stats counts the contents of a store.
type Stats struct {
	Blobs, Certificates, Slivers int64
	Bytes                        int64 // of disk space, copies of damaged databases included
}

// Stats returns what is kept by counting. After an upgrade or damage the counts are wrong until Tend has counted anew.
func (s *Store) Stats() (Stats, error) {
	if err := s.life.open(); err != nil {
		return Stats{}, err
	}
	t := Stats{Bytes: s.space.usage.bytes.Load()}
	n, _ := s.catalog.db.counts()
	t.Blobs, t.Certificates = n[0], n[1]
	s.segments.each(func(b *segment) { t.Slivers += s.catalog.live(b)[0] })
	return t, nil
}

// live returns the numbers of slivers, and of bytes that live, in a segment.
func (c *catalog) live(b *segment) counts {
	b.mu.Lock()
	n := b.fresh
	b.mu.Unlock()
	n.add(c.db.account(b.id))
	return n
}

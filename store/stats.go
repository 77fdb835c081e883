package store

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
)

// Stats is what a store holds.
type Stats struct {
	Blobs, Certificates, Slivers int64
	Bytes                        int64 // of disk space, copies of damaged databases included
}

// Stats counts; only the disk space takes a look at the files.
func (s *Store) Stats() (Stats, error) {
	if err := s.open(); err != nil {
		return Stats{}, err
	}
	var t Stats
	s.records.Lock()
	t.Blobs, t.Certificates = s.blobs, s.certs
	s.records.Unlock()
	for _, b := range s.allBuckets() {
		b.mu.Lock()
		t.Slivers += b.slivers
		b.mu.Unlock()
	}
	err := filepath.WalkDir(s.cfg.Dir, func(_ string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			var info fs.FileInfo
			if info, err = d.Info(); err == nil {
				t.Bytes += allocated(info)
			}
		}
		if errors.Is(err, fs.ErrNotExist) { // deleted meanwhile
			return nil
		}
		return err
	})
	if err != nil {
		return t, fmt.Errorf("disk space of the store: %w", err)
	}
	return t, nil
}

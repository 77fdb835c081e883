package store

import (
	"errors"
	"strings"
	"testing"
)

// TestLimit: a store takes data up to its limit, says how much of it is used, and keeps small records and what it has.
func TestLimit(t *testing.T) {
	cfg := small(t.TempDir())
	s := mustOpen(t, cfg)
	id := blobID(1)
	check(t, s.PutBlob(id, meta(1), 5))
	first := Ref{Blob: id}
	check(t, put(s, first, content(first, 1000)))
	r, err := s.Room()
	check(t, err)
	if r.Refuses != nil || r.Used <= 0 || r.Free <= 0 || r.Limit != 0 {
		t.Errorf("room without a limit: %+v", r)
	}
	const more = 8
	s.cfg.Limit = r.Used + more/2*extentSize
	taken := 0
	for i := range more {
		ref := Ref{Blob: id, Shard: i + 1}
		if err = put(s, ref, content(ref, extentSize)); err != nil {
			break
		}
		taken++
	}
	wantErr(t, err, ErrFull)
	if taken == 0 || taken == more {
		t.Errorf("%d of %d slivers were taken: the limit is that of half of them", taken, more)
	}
	wantErr(t, s.PutBlob(blobID(2), meta(2), 5), ErrFull)
	check(t, s.PutCertificate(id, 5, []byte("certificate")))
	check(t, s.PutState("a", nil))
	wantSliver(t, s, first, content(first, 1000))
	if r, err = s.Room(); err != nil || r.Refuses == nil || r.Used < r.Limit {
		t.Fatalf("room at the limit: %+v, %v", r, err)
	}
	var full *FullError
	if !errors.As(r.Refuses, &full) || full.Limit != s.cfg.Limit || !strings.Contains(full.Error(), "raise the limit") || strings.Contains(full.Reason(), cfg.Dir) {
		t.Errorf("refused with %v", r.Refuses)
	}
	check(t, s.PutBlob(id, meta(1), 6)) // extended
	check(t, s.DropEpoch(5))            // and moved
	wantSliver(t, s, first, content(first, 1000))
	check(t, s.DropEpoch(6))
	check(t, s.PutBlob(blobID(2), meta(2), 9))
}

package store

import (
	"os"
	"testing"
)

// TestPark keeps few of many segments open. Everything can be read and changed all the same, and a start opens none.
func TestPark(t *testing.T) {
	cfg := small(fastDir(t))
	cfg.Segment, cfg.Open = 1<<20, 3
	s := mustOpen(t, cfg)
	const n = 30
	live := map[int]bool{}
	for i := range n {
		ref, size := Ref{Blob: blobID(i + 1), Shard: i}, 1<<20
		check(t, s.PutBlob(ref.Blob, meta(i), 5))
		check(t, put(s, ref, content(ref, size)))
		check(t, s.Sync())
		live[i] = true
	}
	if got := len(segmentDirs(t, cfg.Dir)); got < n/2 {
		t.Fatalf("%d segments", got)
	}
	verify := func(kept bool) {
		t.Helper()
		if kept {
			if st, err := s.Stats(); err != nil || st.Slivers != int64(len(live)) {
				t.Errorf("%+v, %v: want %d", st, err, len(live))
			}
			if open := len(s.segments.opened()); open > 0 {
				t.Errorf("%d segments were opened by a start", open)
			}
		}
		for i := range live {
			ref := Ref{Blob: blobID(i + 1), Shard: i}
			wantSliver(t, s, ref, content(ref, 1<<20))
			if open := len(s.segments.opened()); open > cfg.Open+1 { // one more while another is parked
				t.Errorf("%d segments are open", open)
			}
		}
	}
	drop := func(i int) {
		check(t, s.DropBlob(blobID(i+1), []int{i}))
		delete(live, i)
	}
	verify(false)
	drop(3)
	check(t, s.Sync())
	verify(false)
	check(t, s.Close())
	s = mustOpen(t, cfg)
	verify(true)
	check(t, s.Close())
	s = mustOpen(t, cfg)
	drop(4)
	drop(5)
	if open := len(s.segments.opened()); open > 0 {
		t.Errorf("%d segments were opened by a drop", open)
	}
	verify(false)
	fresh := Ref{Blob: blobID(n + 1), Shard: n}
	check(t, s.PutBlob(fresh.Blob, meta(n), 5)) // the summary of its segment is not right any more
	check(t, put(s, fresh, content(fresh, 1<<20)))
	check(t, s.Sync())
	live[n] = true
	killed := fastDir(t)
	copyTree(t, killed, cfg.Dir)
	cfg.Dir = killed
	s = mustOpen(t, cfg)
	if open := len(s.segments.opened()); open == 0 || open > cfg.Open {
		t.Errorf("%d segments were opened after a kill", open)
	}
	verify(false)
	wantCounts(t, s)
	check(t, s.tending.list(t.Context()))
	check(t, s.Close())
	// A damaged summary is no summary.
	for _, dir := range segmentDirs(t, cfg.Dir)[:2] {
		b, err := os.ReadFile(dir + closedSuffix)
		check(t, err)
		b[9] ^= 1
		check(t, os.WriteFile(dir+closedSuffix, b, 0o600))
	}
	s = mustOpen(t, cfg)
	if open := len(s.segments.opened()); open != 2 {
		t.Errorf("%d segments were opened, want 2", open)
	}
	if st, err := s.Stats(); err != nil || st.Slivers != int64(len(live)) {
		t.Errorf("%+v, %v: want %d", st, err, len(live))
	}
	verify(false)
}

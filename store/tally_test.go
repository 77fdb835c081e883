package store

import (
	"bytes"
	"encoding/binary"
	"slices"
	"testing"

	"walrus/shards"
)

// recounted returns the numbers of records in a database, by listing them.
func recounted(t testing.TB, d *database) (n counts, damaged bool) {
	t.Helper()
	for _, kind := range countedKinds {
		check(t, d.pages([]byte{kind}, func(keys [][]byte) error {
			for _, k := range keys {
				one, err := d.countOf(k)
				check(t, err)
				n.add(one)
				if one == (counts{}) { // the value is lost: its bytes may be counted
					damaged = true
				}
			}
			return nil
		}))
	}
	return n, damaged
}

// wantCounts checks that the counts equal a recount: those that are in doubt after they were counted anew. It returns
// the number of databases in doubt.
func wantCounts(t testing.TB, s *Store) (doubts int) {
	t.Helper()
	same := func(d *database, n counts) bool {
		want, damaged := recounted(t, d)
		return n[0] == want[0] && (n[1] == want[1] || damaged)
	}
	for _, d := range s.tending.databases() {
		n, doubt := d.counts()
		if doubt {
			doubts++
		} else if !same(d, n) {
			t.Errorf("%s: counts are %v", d.path, n)
		}
	}
	check(t, s.tending.countAll(t.Context()))
	for _, d := range s.tending.databases() {
		if n, doubt := d.counts(); doubt || !same(d, n) {
			t.Errorf("%s: counts are %v (in doubt: %t) after counting", d.path, n, doubt)
		}
	}
	return doubts
}

// TestCountsKept changes a store in every way, and opens it again.
func TestCountsKept(t *testing.T) {
	cfg := small(t.TempDir())
	s := mustOpen(t, cfg)
	want := func(blobs, certs, slivers int64) {
		t.Helper()
		check(t, s.Sync())
		if n := wantCounts(t, s); n > 0 {
			t.Errorf("%d databases are in doubt", n)
		}
		st, err := s.Stats()
		check(t, err)
		if st.Blobs != blobs || st.Certificates != certs || st.Slivers != slivers {
			t.Errorf("got %+v, want %d blobs, %d certificates, %d slivers", st, blobs, certs, slivers)
		}
	}
	want(0, 0, 0)
	for n := range 4 {
		ref := Ref{Blob: blobID(n), Shard: n}
		check(t, s.PutBlob(ref.Blob, meta(n), uint32(5+n%2)))
		check(t, s.PutBlob(ref.Blob, meta(n), uint32(5+n%2)))
		check(t, put(s, ref, content(ref, 1000)))
		check(t, put(s, ref, content(ref, 1000)))
		check(t, s.PutCertificate(ref.Blob, 1, []byte("a")))
		check(t, s.PutCertificate(ref.Blob, 2, []byte("b")))
	}
	want(4, 4, 4)
	check(t, s.Close())
	s = mustOpen(t, cfg)
	want(4, 4, 4)
	gone := Ref{Blob: blobID(0), Shard: 0}
	check(t, s.DeleteSliver(gone))
	check(t, s.DeleteSliver(gone))
	want(4, 4, 3)
	check(t, put(s, gone, content(gone, 1000)))
	check(t, s.DeleteSliver(gone)) // while it is pending
	want(4, 4, 3)
	check(t, s.DropBlob(blobID(2), []int{2}))
	check(t, s.PutBlob(blobID(1), meta(1), 9)) // moves
	check(t, s.DropEpoch(6))
	want(1, 1, 1)
	check(t, s.Close())
	s = mustOpen(t, cfg)
	want(1, 1, 1)
}

// TestManyBatches makes more changes without a sync than there are slots.
func TestManyBatches(t *testing.T) {
	cfg := small(t.TempDir())
	s := mustOpen(t, cfg)
	const n = 2*tallySlots + 100
	for i := range n {
		check(t, s.PutCertificate(blobID(i), 1, nil))
	}
	killed := t.TempDir()
	copyTree(t, killed, cfg.Dir)
	s = mustOpen(t, small(killed))
	if doubts := wantCounts(t, s); doubts > 0 {
		t.Errorf("%d databases are in doubt after a kill", doubts)
	}
}

// TestLostBatch loses the record of a batch that was not synced: the records are counted again.
func TestLostBatch(t *testing.T) {
	cfg := small(t.TempDir())
	s := mustOpen(t, cfg)
	check(t, s.Sync())
	for i := range 5 {
		check(t, s.PutCertificate(blobID(i), 1, nil))
	}
	d := s.catalog.db
	check(t, d.put(entry{key: tallyKey((d.tally.seq - 2) % tallySlots), del: true}))
	killed := t.TempDir()
	copyTree(t, killed, cfg.Dir)
	s = mustOpen(t, small(killed))
	if doubts := wantCounts(t, s); doubts != 1 {
		t.Errorf("%d databases are in doubt, want 1", doubts)
	}
}

// TestOlderFormat opens a store without counts. It opens at once, is counted in the background while it changes, and
// then keeps the counts.
func TestOlderFormat(t *testing.T) {
	cfg := small(t.TempDir())
	s := mustOpen(t, cfg)
	const blobs = 2*batchKeys + 500
	for n := range blobs {
		check(t, s.PutBlob(blobID(n), []byte("m"), 5))
		check(t, put(s, Ref{Blob: blobID(n)}, []byte{1}))
	}
	check(t, s.Sync())
	for _, d := range s.tending.databases() {
		check(t, d.pages([]byte{keyTally}, func(keys [][]byte) error {
			for _, k := range keys {
				check(t, d.put(entry{key: k, del: true}))
			}
			return nil
		}))
		check(t, d.put(entry{key: []byte{keyFormat}, value: binary.BigEndian.AppendUint32(nil, 1)}))
		check(t, d.sync())
	}
	older := t.TempDir()
	copyTree(t, older, cfg.Dir)
	s = mustOpen(t, small(older))
	d := s.catalog.db
	if _, doubt := d.counts(); !doubt {
		t.Fatal("counts of a store without counts")
	}
	pages := 0
	check(t, d.count(func() error { // what changes behind and before the cursor
		pages++
		var first, last shards.BlobID
		last[0], last[31], first[31] = 255, byte(pages), byte(pages)
		for _, id := range []shards.BlobID{first, last} {
			check(t, s.PutBlob(id, []byte("m"), 6))
		}
		check(t, s.DropBlob(blobID(pages), nil))
		check(t, s.DropBlob(blobID(blobs-pages), nil))
		return nil
	}))
	if pages < 4 {
		t.Errorf("counted in %d pages", pages)
	}
	if n := wantCounts(t, s); n != 1 {
		t.Errorf("%d databases were still in doubt, want the segment of epoch 5", n)
	}
	check(t, s.Close())
	s = mustOpen(t, small(older))
	if n := wantCounts(t, s); n > 0 {
		t.Errorf("%d databases are in doubt", n)
	}
}

// TestSweep is killed in the middle of a drop, when the record is gone and the slivers are not, and removes these.
func TestSweep(t *testing.T) {
	cfg := small(t.TempDir())
	s := mustOpen(t, cfg)
	for n := 1; n <= 2; n++ {
		r := Ref{Blob: blobID(n), Shard: n}
		check(t, s.PutBlob(r.Blob, meta(n), 5))
		check(t, put(s, r, content(r, 5000)))
	}
	check(t, s.Sync())
	check(t, s.catalog.drop(blobID(1)))
	killed := t.TempDir()
	copyTree(t, killed, cfg.Dir)

	s = mustOpen(t, small(killed))
	check(t, s.Close()) // before the background work came to it
	s = mustOpen(t, small(killed))
	if st, err := s.Stats(); err != nil || st.Slivers != 2 {
		t.Fatalf("%+v before the sweep, %v", st, err)
	}
	check(t, s.tending.sweep(t.Context()))
	if st, err := s.Stats(); err != nil || st.Slivers != 1 {
		t.Errorf("%+v after the sweep, %v", st, err)
	}
	check(t, s.tending.list(t.Context()))
	wantReachable(t, s)
	wantCounts(t, s)
	check(t, s.Close())
	s = mustOpen(t, small(killed))
	if s.tending.orphans || len(s.segments.unlisted) > 0 {
		t.Error("there is still something to do")
	}
	r := Ref{Blob: blobID(2), Shard: 2}
	wantSliver(t, s, r, content(r, 5000))
}

// TestNewestFirst: after a kill, what was written since the mark is read first, and only that.
func TestNewestFirst(t *testing.T) {
	cfg := small(t.TempDir())
	s := mustOpen(t, cfg)
	write := func(from, to int) {
		for n := from; n < to; n++ {
			ref, size := powerSliver(n)
			check(t, s.PutBlob(ref.Blob, meta(n), templateEnd(n)))
			check(t, put(s, ref, content(ref, size)))
		}
		check(t, s.Sync())
	}
	newest := func() (stats ScrubStats) {
		at := s.Newest()
		for !at.Done() {
			part, err := s.ScrubPart(t.Context(), &at, func(r Ref, err error) { t.Errorf("%v: %v", r, err) })
			check(t, err)
			stats.add(part)
		}
		return stats
	}
	write(0, 20)
	check(t, s.Close())
	s = mustOpen(t, cfg)
	if st := newest(); st != (ScrubStats{}) {
		t.Errorf("read %+v after a clean stop", st)
	}
	write(20, 23)
	killed := t.TempDir()
	copyTree(t, killed, cfg.Dir)
	s = mustOpen(t, small(killed))
	if st := newest(); st.Slivers != 3 || st.Blobs != 3 {
		t.Errorf("read %+v after a kill, want 3 slivers and blobs", st)
	}
	if st := newest(); st != (ScrubStats{}) {
		t.Errorf("read %+v the second time", st)
	}
	killed = t.TempDir()
	copyTree(t, killed, s.cfg.Dir)
	s = mustOpen(t, small(killed))
	if st := newest(); st != (ScrubStats{}) {
		t.Errorf("read %+v after another kill, nothing was written in between", st)
	}
	marks := map[*database]uint64{}
	check(t, s.tending.mark(marks))
	write(23, 25)
	check(t, s.tending.mark(marks))
	write(25, 26)
	again := t.TempDir()
	copyTree(t, again, killed)
	s = mustOpen(t, small(again))
	if st := newest(); st.Slivers != 3 {
		t.Errorf("read %+v after a kill, want what came after the mark", st)
	}
}

// TestScrubResumes reads a store in parts, each in a process of its own, with positions kept in between.
func TestScrubResumes(t *testing.T) {
	cfg := small(t.TempDir())
	s := mustOpen(t, cfg)
	const n = 60
	for i := range n {
		ref, size := powerSliver(i)
		check(t, s.PutBlob(ref.Blob, meta(i), templateEnd(i)))
		check(t, put(s, ref, content(ref, size)))
		check(t, s.PutCertificate(ref.Blob, 1, []byte("c")))
	}
	check(t, s.Sync())
	var kept []byte
	var stats ScrubStats
	parts := 0
	for {
		check(t, s.Close())
		s = mustOpen(t, cfg)
		var at Position
		if kept != nil {
			check(t, at.UnmarshalBinary(kept))
		}
		if at.Done() {
			break
		}
		part, err := s.ScrubPart(t.Context(), &at, func(r Ref, err error) { t.Errorf("%v: %v", r, err) })
		check(t, err)
		stats.add(part)
		parts++
		kept, err = at.MarshalBinary()
		check(t, err)
	}
	if stats.Slivers != n || stats.Blobs != n || stats.Certificates != n || parts < 6 {
		t.Errorf("read %+v in %d parts", stats, parts)
	}
	for _, b := range [][]byte{nil, {1}, {200, 0, 0, 0, 0}, bytes.Repeat([]byte{1}, 200)} {
		var at Position
		if at.UnmarshalBinary(b) == nil {
			t.Errorf("%x is a position", b)
		}
	}
}

// wantReachable checks that each sliver of each segment belongs to a blob and is found by its places.
func wantReachable(t testing.TB, s *Store) {
	t.Helper()
	for _, b := range s.segments.all() {
		check(t, b.contents(func(keys [][]byte) error {
			for _, k := range keys {
				id, ok := keyBlobID(k)
				if _, err := s.catalog.endEpoch(id); err != nil || !ok {
					t.Errorf("%s: %x belongs to no blob: %v", b.path, k, err)
				}
				list, err := s.places.lookup(id)
				check(t, err)
				if !slices.Contains(list, b) {
					t.Errorf("%s: %x is not found by the places of its blob", b.path, k)
				}
			}
			return nil
		}))
	}
}

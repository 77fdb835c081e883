package store

import (
	"bytes"
	"encoding/binary"
	"testing"

	"walrus/shards"
)

// recounted returns the numbers of records in a database, by listing them.
func recounted(t testing.TB, d *database) (n counts) {
	t.Helper()
	for _, k := range countedKinds {
		check(t, d.pages([]byte{k.kind}, func(keys [][]byte) error {
			n[k.place] += int64(len(keys))
			return nil
		}))
	}
	return n
}

// wantCounts checks that the counts equal a recount: those that are in doubt after they were counted anew. It returns
// the number of databases in doubt.
func wantCounts(t testing.TB, s *Store) (doubts int) {
	t.Helper()
	for _, d := range s.tending.databases() {
		want := recounted(t, d)
		n, doubt := d.counts()
		if doubt {
			doubts++
		} else if n != want {
			t.Errorf("%s: counts are %v, there are %v", d.path, n, want)
		}
	}
	check(t, s.tending.countAll(t.Context()))
	for _, d := range s.tending.databases() {
		if n, doubt := d.counts(); doubt || n != recounted(t, d) {
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
	want(2, 2, 1)
	check(t, s.Close())
	s = mustOpen(t, cfg)
	want(2, 2, 1)
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
	check(t, d.count(&s.catalog.mu, func() error { // what changes behind and before the cursor
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

// TestSweep removes what a crash left, and nothing of open writers.
func TestSweep(t *testing.T) {
	cfg := small(t.TempDir())
	s := mustOpen(t, cfg)
	id := blobID(1)
	check(t, s.PutBlob(id, meta(1), 5))
	left, err := s.Create(Ref{Blob: id, Shard: 1}, 2*extentSize)
	check(t, err)
	_, err = left.Write(make([]byte, extentSize))
	check(t, err)
	check(t, put(s, Ref{Blob: id, Shard: 2}, content(Ref{Blob: id, Shard: 2}, 5000)))
	check(t, s.Sync())
	killed := t.TempDir()
	copyTree(t, killed, cfg.Dir)

	cfg = small(killed)
	s = mustOpen(t, cfg)
	check(t, s.Close()) // before the background work came to it
	s = mustOpen(t, cfg)
	open := Ref{Blob: id, Shard: 1} // the same sliver again
	b := content(open, 2*extentSize)
	w, err := s.Create(open, int64(len(b)))
	check(t, err)
	_, err = w.Write(b[:extentSize])
	check(t, err)
	pending := Ref{Blob: id, Shard: 3}
	check(t, put(s, pending, content(pending, 5000)))
	extents := func() (n int) {
		check(t, s.segments.all()[0].pages([]byte{keyExtent}, func(keys [][]byte) error {
			n += len(keys)
			return nil
		}))
		return n
	}
	if n := extents(); n != 4 {
		t.Fatalf("%d extents before the sweep", n)
	}
	check(t, s.tending.sweep(t.Context()))
	if n := extents(); n != 3 {
		t.Errorf("%d extents are left, want 3", n)
	}
	_, err = w.Write(b[extentSize:])
	check(t, err)
	check(t, w.Commit())
	check(t, s.Sync())
	wantSliver(t, s, open, b)
	wantSliver(t, s, pending, content(pending, 5000))
	if live := s.segments.all()[0].live; len(live) > 0 {
		t.Errorf("%d writers are still live", len(live))
	}
	check(t, s.Close())
	s = mustOpen(t, cfg)
	if s.tending.orphans {
		t.Error("there is still something to sweep")
	}
	wantSliver(t, s, open, b)
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
	if stats.Slivers != n || stats.Blobs != n || stats.Certificates != n || parts < 8 {
		t.Errorf("read %+v in %d parts", stats, parts)
	}
	for _, b := range [][]byte{nil, {1}, {200, 0, 0, 0, 0}, bytes.Repeat([]byte{1}, 200)} {
		var at Position
		if at.UnmarshalBinary(b) == nil {
			t.Errorf("%x is a position", b)
		}
	}
}

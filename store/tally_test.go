package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"

	"walrus/shards"
)

// recounted returns the numbers of records in meta and the accounts, by listing them.
func recounted(t testing.TB, d *database) (r recount) {
	t.Helper()
	r.accounts = map[uint64]counts{}
	for _, kind := range countedKinds {
		check(t, d.pages([]byte{kind}, func(keys [][]byte) error {
			for _, k := range keys {
				n, shifts, err := d.countOf(k)
				check(t, err)
				r.add(n, shifts)
			}
			return nil
		}))
	}
	return r
}

// lives returns what lives in a segment, by looking at each of its keys.
func lives(t testing.TB, s *Store, b *segment) (n counts, damaged bool) {
	t.Helper()
	refs := map[Ref]bool{}
	b.mu.Lock()
	for _, blob := range b.pending {
		for r := range blob {
			refs[r] = true
		}
	}
	b.mu.Unlock()
	alive := func(id shards.BlobID, of life) bool {
		is, err := s.places.alive(id, b, of)
		check(t, err)
		return is
	}
	check(t, b.contents(func(keys [][]byte) error {
		for _, k := range keys {
			if r, ok := parseSliverKey(k); ok && k[0] == keySliver {
				refs[r] = true
				continue
			}
			m, err := b.record(k)
			damaged = damaged || errors.Is(err, ErrCorrupt)
			check(t, unknown(err))
			if id, _ := keyBlobID(k); err == nil && alive(id, metadataLife(k)) {
				n.add(counts{0, metadataWeight(len(m))})
			}
		}
		return nil
	}))
	for r := range refs {
		v, err := b.find(r)
		damaged = damaged || errors.Is(err, ErrCorrupt)
		check(t, unknown(err))
		if err == nil && alive(r.Blob, v.life()) {
			n.add(counts{1, v.weight()})
		}
	}
	return n, damaged
}

// wantCounts checks the counts: those of meta, unless in doubt, the accounts, unless in doubt, and all of them after
// they were counted anew. It reports whether those of meta were in doubt.
func wantCounts(t testing.TB, s *Store) (doubts int) {
	t.Helper()
	compare := func(when string) {
		t.Helper()
		if n, doubt := s.catalog.db.counts(); !doubt {
			want := recounted(t, s.catalog.db)
			if n != want.n {
				t.Errorf("%s: meta counts %v, want %v", when, n, want.n)
			}
			s.segments.each(func(b *segment) {
				if got := s.catalog.db.account(b.id); got != want.accounts[b.id] {
					t.Errorf("%s: the account of %s is %v, the places say %v", when, b.path, got, want.accounts[b.id])
				}
			})
		} else {
			doubts++
			return
		}
		for _, b := range s.segments.all() {
			s.segments.mu.RLock()
			unlisted := s.segments.unlisted[b.id] != nil
			s.segments.mu.RUnlock()
			if got := s.catalog.live(b); !unlisted && !b.doubted.Load() {
				if want, damaged := lives(t, s, b); got != want && !damaged {
					t.Errorf("%s: %s counts %v, %v live", when, b.path, got, want)
				}
			}
		}
	}
	compare("before")
	check(t, s.tending.count(t.Context()))
	check(t, s.tending.settle(t.Context()))
	was := doubts
	compare("after counting")
	if doubts > was {
		t.Error("still in doubt after counting")
	}
	return was
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
	for _, d := range []*database{s.catalog.db} {
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
	if n := wantCounts(t, s); n != 0 {
		t.Errorf("%d databases were still in doubt", n)
	}
	check(t, s.Close())
	s = mustOpen(t, small(older))
	if n := wantCounts(t, s); n > 0 {
		t.Errorf("%d databases are in doubt", n)
	}
}

// doubted returns the segments whose accounts are in doubt.
func doubted(s *Store) (list []*segment) {
	s.segments.each(func(b *segment) {
		if b.doubted.Load() {
			list = append(list, b)
		}
	})
	return list
}

// TestSettle is killed in the middle of a sync, when slivers are in the accounts but not in the segment. That is
// corrected in the background, once.
func TestSettle(t *testing.T) {
	cfg := small(t.TempDir())
	s := mustOpen(t, cfg)
	for n := 1; n <= 3; n++ {
		r := Ref{Blob: blobID(n), Shard: n}
		check(t, s.PutBlob(r.Blob, meta(n), 5))
		check(t, put(s, r, content(r, 5000)))
		if n == 2 {
			check(t, s.Sync())
		}
	}
	b := s.segments.all()[0]
	check(t, b.flush().data(&s.places))
	check(t, s.catalog.db.sync())
	if got := s.catalog.live(b)[0]; got != 3 {
		t.Fatalf("%d slivers are counted", got)
	}
	killed := t.TempDir()
	copyTree(t, killed, cfg.Dir)

	s = mustOpen(t, small(killed))
	check(t, s.Close()) // before the background work came to it
	s = mustOpen(t, small(killed))
	if st, err := s.Stats(); err != nil || st.Slivers != 3 || len(doubted(s)) != 1 {
		t.Fatalf("%+v before, %v, %d in doubt", st, err, len(doubted(s)))
	}
	check(t, s.tending.settle(t.Context()))
	if st, err := s.Stats(); err != nil || st.Slivers != 2 {
		t.Errorf("%+v after, %v", st, err)
	}
	wantCounts(t, s)
	check(t, s.Close())
	s = mustOpen(t, small(killed))
	if len(doubted(s)) > 0 || len(s.segments.unlisted) > 0 {
		t.Error("there is still something to do")
	}
	wantCounts(t, s)
	r := Ref{Blob: blobID(2), Shard: 2}
	wantSliver(t, s, r, content(r, 5000))
	_, err := get(s, Ref{Blob: blobID(3), Shard: 3})
	wantErr(t, err, ErrNotFound)
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

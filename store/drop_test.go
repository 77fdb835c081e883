package store

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"walrus/internal/faultfs"
	"walrus/shards"
)

// TestDropBlob drops one of three blobs, whose slivers are in two segments because it was extended, and leaves the
// others.
func TestDropBlob(t *testing.T) {
	cfg := small(t.TempDir())
	s := mustOpen(t, cfg)
	held := []int{3, 7}
	for n := 1; n <= 3; n++ {
		if err := s.PutBlob(blobID(n), meta(n), 5); err != nil {
			t.Fatal(err)
		}
		if err := put(s, Ref{Blob: blobID(n), Shard: 3}, content(Ref{Blob: blobID(n), Shard: 3}, 5000)); err != nil {
			t.Fatal(err)
		}
		if err := s.PutCertificate(blobID(n), 1, []byte("certificate")); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.PutBlob(blobID(2), meta(2), 9); err != nil { // extended
		t.Fatal(err)
	}
	ref := Ref{Blob: blobID(2), Shard: 7, Axis: shards.Secondary}
	if err := put(s, ref, content(ref, 5000)); err != nil {
		t.Fatal(err)
	}
	all, err := s.Blobs(shards.BlobID{}, 10)
	if err != nil || len(all) != 3 {
		t.Fatalf("blobs %v, %v", all, err)
	}
	if rest, err := s.Blobs(all[0], 1); err != nil || len(rest) != 1 || rest[0] != all[1] {
		t.Errorf("blobs after the first: %v, %v", rest, err)
	}
	for range 2 { // the second time it is gone
		if err := s.DropBlob(blobID(2), held); err != nil {
			t.Fatal(err)
		}
		checkDropped(t, s)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	checkDropped(t, mustOpen(t, cfg))
}

// checkDropped wants blobs 1 and 3 whole, and nothing of blob 2.
func checkDropped(t *testing.T, s *Store) {
	t.Helper()
	if st, err := s.Stats(); err != nil || st.Blobs != 2 || st.Certificates != 2 || st.Slivers != 2 {
		t.Errorf("stats %+v, %v", st, err)
	}
	id := blobID(2)
	_, record := s.Blob(id)
	_, certificate := s.Certificate(id)
	_, metadata := s.Metadata(id)
	_, sliver := s.OpenSliver(Ref{Blob: id, Shard: 3})
	_, extended := s.OpenSliver(Ref{Blob: id, Shard: 7, Axis: shards.Secondary})
	for what, err := range map[string]error{"record": record, "certificate": certificate, "metadata": metadata, "sliver": sliver, "sliver of the new segment": extended} {
		if !errors.Is(err, ErrNotFound) {
			t.Errorf("%s of the dropped blob: %v", what, err)
		}
	}
	for _, n := range []int{1, 3} {
		if _, err := s.Metadata(blobID(n)); err != nil {
			t.Error(err)
		}
		if ok, err := s.HasSliver(Ref{Blob: blobID(n), Shard: 3}); !ok || err != nil {
			t.Errorf("sliver of blob %d: %v, %v", n, ok, err)
		}
	}
}

// TestDropStaysGone drops a blob and puts it again: its old slivers and metadata stay in a segment that is a place of
// it again, and nothing shows them: no read, no kill, no count, no compaction.
func TestDropStaysGone(t *testing.T) {
	s := mustOpen(t, small(t.TempDir()))
	const size = 2*extentSize + 9
	refs := make([]Ref, 4)
	for n := range refs {
		refs[n] = Ref{Blob: blobID(n + 1), Shard: n}
		check(t, s.PutBlob(refs[n].Blob, meta(n), 5))
		check(t, put(s, refs[n], content(refs[n], size)))
	}
	check(t, s.Sync())
	gone := refs[2]
	reader, err := s.OpenSliver(gone)
	check(t, err)
	_, err = reader.ReadAt(make([]byte, 10), 0)
	check(t, err)
	writer, err := s.Create(Ref{Blob: gone.Blob, Shard: 9}, 10)
	check(t, err)
	_, err = writer.Write(make([]byte, 10))
	check(t, err)
	check(t, put(s, Ref{Blob: gone.Blob, Shard: 8}, make([]byte, 10))) // pending

	check(t, s.DropBlob(gone.Blob, []int{gone.Shard}))
	again := meta(1000)
	check(t, s.PutBlob(gone.Blob, again, 5))
	if n := len(s.segments.all()); n != 1 {
		t.Fatalf("%d segments: the test wants the new metadata beside the old", n)
	}
	_, err = reader.ReadAt(make([]byte, 10), extentSize)
	wantErr(t, err, ErrNotFound)
	wantErr(t, writer.Commit(), ErrNotFound)
	look := func(when string) {
		t.Helper()
		if m, err := s.Metadata(gone.Blob); err != nil || !bytes.Equal(m, again) {
			t.Errorf("%s: metadata is %.20q, %v", when, m, err)
		}
		for _, shard := range []int{gone.Shard, 8, 9} {
			if has, err := s.HasSliver(Ref{Blob: gone.Blob, Shard: shard}); has || err != nil {
				t.Errorf("%s: sliver on shard %d is back: %t, %v", when, shard, has, err)
			}
		}
		for _, n := range []int{0, 1, 3} {
			wantSliver(t, s, refs[n], content(refs[n], size))
		}
		stats, err := s.Scrub(t.Context(), func(r Ref, err error) { t.Errorf("%s: %v: %v", when, r, err) })
		check(t, err)
		if st, err := s.Stats(); stats.Slivers != 3 || st.Slivers != 3 || err != nil {
			t.Errorf("%s: read %d slivers, counted %+v, %v", when, stats.Slivers, st, err)
		}
		wantCounts(t, s)
	}
	look("at once")
	check(t, s.Sync())
	look("synced")
	killed := t.TempDir()
	copyTree(t, killed, s.cfg.Dir)
	s = mustOpen(t, small(killed))
	look("killed")
	if n, err := compactNow(s); n != 1 || err != nil {
		t.Errorf("%d segments were compacted, %v", n, err)
	}
	look("compacted")
	check(t, put(s, gone, content(refs[0], size)))
	check(t, s.Sync())
	wantSliver(t, s, gone, content(refs[0], size))
	wantCounts(t, s)
}

// TestPowerLossDrop loses power while blobs are dropped and made known again: what was dropped durably stays away, and
// everything else is there.
func TestPowerLossDrop(t *testing.T) {
	moments := 16
	if testing.Short() {
		moments = 5
	}
	disk := faultfs.Mount(t)
	s, err := Open(small(filepath.Join(disk.Dir(), "store")))
	check(t, err)
	for moment := range moments {
		const each = 9 // of which two in three are dropped, and every other of those is made known again
		first := each * moment
		for n := first; n < first+each; n++ {
			ref, size := powerSliver(n)
			check(t, errors.Join(s.PutBlob(ref.Blob, meta(n), 5), put(s, ref, content(ref, size))))
		}
		check(t, s.Sync())
		for n := first; n < first+each; n++ {
			if ref, _ := powerSliver(n); n%3 > 0 {
				check(t, s.DropBlob(ref.Blob, []int{ref.Shard}))
			}
		}
		check(t, s.Sync())
		for n := first; n < first+each; n++ {
			if ref, _ := powerSliver(n); n%3 == 2 {
				check(t, s.PutBlob(ref.Blob, meta(n), 5))
			}
		}
		before, err := disk.Ops()
		check(t, err)
		done := make(chan error, 1)
		go func() { done <- s.Sync() }()
		for now := before; now < before+int64(moment); {
			now, err = disk.Ops()
			check(t, err)
			if len(done) > 0 {
				break
			}
		}
		out := t.TempDir()
		check(t, disk.PowerLoss(out, uint64(moment)))
		check(t, <-done)
		lost := mustOpen(t, small(filepath.Join(out, "store")))
		wantCounts(t, lost)
		for n := range first + each {
			ref, size := powerSliver(n)
			got, err := get(lost, ref)
			if n%3 == 0 && !bytes.Equal(got, content(ref, size)) || n%3 > 0 && !errors.Is(err, ErrNotFound) {
				t.Errorf("moment %d: sliver %d: %d of %d bytes, %v", moment, n, len(got), size, err)
			}
		}
		check(t, lost.Close())
		check(t, os.RemoveAll(out))
	}
	check(t, s.Close())
}

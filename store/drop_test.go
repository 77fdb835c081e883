package store

import (
	"errors"

	"testing"

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

package store

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"walrus/shards"
)

// TestMisdirected puts values that are whole, but another key's or too short, in place of others.
func TestMisdirected(t *testing.T) {
	s := mustOpen(t, small(t.TempDir()))
	a := Ref{Blob: blobID(1), Shard: 1, Axis: shards.Primary}
	b := Ref{Blob: blobID(2), Shard: 1, Axis: shards.Primary}
	for _, r := range []Ref{a, b} {
		check(t, s.PutBlob(r.Blob, r.Blob[:], 5))
		check(t, put(s, r, content(r, extentSize+5)))
		check(t, s.PutCertificate(r.Blob, 1, r.Blob[:]))
		check(t, s.PutState(r.Blob.String(), r.Blob[:]))
	}
	check(t, s.Sync())
	segment := s.segments.all()[0]
	va, err := segment.find(a)
	check(t, err)
	vb, err := segment.find(b)
	check(t, err)

	sliverErr := func() error { _, err := get(s, a); return err }
	tests := []struct {
		name     string
		db       *database
		key, old []byte // old is the key that the value belongs to
		kind     string
		extent   int
		read     func() error
	}{
		{"extent", segment.database, extentKey(a, va.write, 1), extentKey(b, vb.write, 1), "sliver", 1, sliverErr},
		{"other extent", segment.database, extentKey(a, va.write, 1), extentKey(a, va.write, 0), "sliver", 1, sliverErr},
		{"sliver", segment.database, sliverKey(a), sliverKey(b), "sliver", -1, sliverErr},
		{"metadata", segment.database, metadataKey(a.Blob, va.life()), metadataKey(b.Blob, vb.life()), "metadata", -1,
			func() error { _, err := s.Metadata(a.Blob); return err }},
		{"certificate", s.catalog.db, blobKey(keyCertificate, a.Blob), blobKey(keyCertificate, b.Blob), "certificate", -1,
			func() error { _, err := s.Certificate(a.Blob); return err }},
		{"record", s.catalog.db, blobKey(keyBlob, a.Blob), blobKey(keyBlob, b.Blob), "blob record", -1,
			func() error { _, err := s.Blob(a.Blob); return err }},
		{"state", s.catalog.db, stateKey(a.Blob.String()), stateKey(b.Blob.String()), "state", -1,
			func() error { _, err := s.State(a.Blob.String()); return err }},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			value := func(key []byte) (v []byte) {
				check(t, test.db.get(key, func(b []byte) error { v = bytes.Clone(b); return nil }))
				return v
			}
			good := value(test.key)
			for _, bad := range [][]byte{value(test.old), good[:len(good)-1], {1, 2, 3}, {}} {
				check(t, test.db.write(entry{key: test.key, value: bad}))
				err := test.read()
				var e *CorruptError
				if !errors.As(err, &e) || !errors.Is(err, ErrCorrupt) {
					t.Fatalf("value of %d bytes: got error %v", len(bad), err)
				}
				if e.Kind != test.kind || e.Extent != test.extent || test.kind != "state" && e.Ref.Blob != a.Blob {
					t.Errorf("got %+v", e)
				}
				reports := 0
				_, err = s.Scrub(context.Background(), func(r Ref, err error) {
					reports++
					if r.Blob != a.Blob || (test.kind == "sliver") != (r == a) || !errors.Is(err, ErrCorrupt) {
						t.Errorf("scrub reports %v: %v", r, err)
					}
				})
				check(t, err)
				if want := min(len(test.kind), 1); test.kind != "state" && reports != want {
					t.Errorf("%d reports, want %d", reports, want)
				}
			}
			check(t, test.db.write(entry{key: test.key, value: good}))
			check(t, test.read())
		})
	}
	if n := len(s.Incidents()); n < len(tests) {
		t.Errorf("%d incidents", n)
	}
}

// TestReplace puts a sliver again whose extents or record are damaged.
func TestReplace(t *testing.T) {
	for _, damageRecord := range []bool{false, true} {
		cfg := small(t.TempDir())
		s := mustOpen(t, cfg)
		r := Ref{Blob: blobID(1), Shard: 1, Axis: shards.Primary}
		b := content(r, 2*extentSize)
		check(t, s.PutBlob(r.Blob, meta(1), 5))
		check(t, put(s, r, b))
		check(t, s.Sync())
		segment := s.segments.all()[0]
		v, err := segment.find(r)
		check(t, err)
		key := extentKey(r, v.write, 1)
		if damageRecord {
			key = sliverKey(r)
		}
		check(t, segment.write(entry{key: key, value: []byte("junk")}))
		_, err = get(s, r)
		wantErr(t, err, ErrCorrupt)
		check(t, s.DeleteSliver(r))
		if ok, err := s.HasSliver(r); ok || err != nil {
			t.Fatalf("deleted, but has: %t, %v", ok, err)
		}
		check(t, put(s, r, b))
		check(t, s.Sync())
		check(t, s.Close())
		s = mustOpen(t, cfg)
		wantSliver(t, s, r, b)
		if st, err := s.Stats(); err != nil || st.Slivers != 1 {
			t.Errorf("%+v, %v", st, err)
		}
	}
}

// TestIncidents checks that the list is bounded and the same damage is in it once.
func TestIncidents(t *testing.T) {
	var s Store
	for i := range 2 * maxIncidents {
		err := &CorruptError{Kind: "metadata", Ref: Ref{Blob: blobID(i)}, Extent: -1}
		for range 3 {
			s.incidents.add(Incident{Path: "p", Err: err})
		}
	}
	list := s.Incidents()
	if len(list) != maxIncidents || list[0].Count != 3 {
		t.Fatalf("%d incidents, the first %d times", len(list), list[0].Count)
	}
}

// TestDamagedIndex damages a block in the middle of an index table. If the file was changed, Open leaves the table
// out, and the next Open has nothing to say. If the disk has lost what it had, the store opens without reading the
// block; the scrub finds it, and the next Open leaves the table out.
func TestDamagedIndex(t *testing.T) {
	type round struct{ incidents, leftOut int }
	for _, tt := range []struct {
		name   string
		decay  bool
		rounds []round
	}{
		{"changed", false, []round{{1, 1}, {0, 1}}},
		{"decayed", true, []round{{1, 0}, {1, 1}, {0, 1}}},
	} {
		cfg := small(t.TempDir())
		s := mustOpen(t, cfg)
		fillSmall(t, s, 8000)
		check(t, s.Close())
		tables, err := filepath.Glob(filepath.Join(cfg.Dir, segmentsName, "*", "*.sst"))
		if err != nil || len(tables) == 0 {
			t.Fatalf("%d tables, %v", len(tables), err)
		}
		info, err := os.Stat(tables[0])
		check(t, err)
		b, err := os.ReadFile(tables[0])
		check(t, err)
		b[len(b)/3] ^= 1
		check(t, os.WriteFile(tables[0], b, 0o600))
		if tt.decay {
			check(t, os.Chtimes(tables[0], time.Time{}, info.ModTime()))
		}
		for n, want := range tt.rounds {
			s = mustOpen(t, cfg)
			var bad []Ref
			_, err := s.Scrub(t.Context(), func(r Ref, _ error) { bad = append(bad, r) })
			check(t, err)
			for _, r := range bad { // whose record is in another table than the rest
				if r.Shard < 0 {
					check(t, s.PutBlob(r.Blob, []byte("m"), 5))
				} else {
					check(t, s.DeleteSliver(r))
				}
			}
			if got := s.Incidents(); len(got) < want.incidents || want.incidents == 0 && len(got) > 0 {
				t.Errorf("%s, round %d: incidents %+v", tt.name, n, got)
			}
			if left, _ := filepath.Glob(tables[0] + ".corrupt"); len(left) != want.leftOut {
				t.Errorf("%s, round %d: %d tables are left out, want %d", tt.name, n, len(left), want.leftOut)
			}
			if doubts := len(doubted(s)); (doubts > 0) != (n < len(tt.rounds)-1) {
				t.Errorf("%s, round %d: %d segments are in doubt", tt.name, n, doubts)
			}
			wantCounts(t, s)
			check(t, s.Close())
		}
	}
}

package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// bucketEnds are end epochs of different classes: in format 2 each had a folder.
var bucketEnds = []uint32{5, 9, 17}

func bucketBlob(n int) (Ref, uint32) { return Ref{Blob: blobID(n), Shard: n % 5}, bucketEnds[n%3] }

// makeBuckets makes a store of format 2 with n blobs, and leaves it as a kill does.
func makeBuckets(t *testing.T, n int) string {
	work, dir := t.TempDir(), t.TempDir()
	s := mustOpen(t, small(work))
	for i := range n {
		ref, end := bucketBlob(i)
		check(t, errors.Join(s.PutBlob(ref.Blob, meta(i), end), put(s, ref, content(ref, 100_000)),
			s.PutCertificate(ref.Blob, 1, []byte("c"))))
	}
	check(t, s.Sync())
	format := entry{key: []byte{keyFormat}, value: binary.BigEndian.AppendUint32(nil, 2)}
	for _, kind := range []byte{keyPlace, keyListed, keyAccount, keyNext, keyEnded, keyForgot} {
		check(t, s.catalog.db.pages([]byte{kind}, func(keys [][]byte) error {
			for _, k := range keys {
				check(t, s.catalog.db.put(entry{key: k, del: true}))
			}
			return nil
		}))
	}
	withoutLives(t, s)
	check(t, s.catalog.db.put(format))
	check(t, s.catalog.db.sync())
	copyTree(t, filepath.Join(dir, metaName), filepath.Join(work, metaName))
	for _, b := range s.segments.all() {
		check(t, b.put(format))
		check(t, b.sync())
		end := bucketEnds[b.id-1]
		copyTree(t, filepath.Join(dir, sliversName, fmt.Sprint(end)), b.path)
	}
	return dir
}

// withoutLives writes records and metadata as formats before 4 did.
func withoutLives(t *testing.T, s *Store) {
	check(t, s.catalog.db.pages([]byte{keyBlob}, func(keys [][]byte) error {
		for _, k := range keys {
			v, err := s.catalog.db.record(k)
			check(t, err)
			check(t, s.catalog.db.put(entry{key: k, value: v[:4]}))
		}
		return nil
	}))
	for _, b := range s.segments.all() {
		check(t, b.pages([]byte{keyMetadata}, func(keys [][]byte) error {
			for _, k := range keys {
				m, err := b.record(k)
				check(t, err)
				id, _ := keyBlobID(k)
				check(t, b.put(entry{key: metadataKey(id, 0), value: m}, entry{key: k, del: true}))
			}
			return nil
		}))
	}
}

// TestUpgrade takes over a store of format 2: everything is there at once, also after kills, before any of the work in
// the background. Its segments are then compacted as others are.
func TestUpgrade(t *testing.T) {
	const n = 60
	dir := makeBuckets(t, n)
	cfg := small(dir)
	s := mustOpen(t, cfg)
	live := map[int]bool{}
	for i := range n {
		live[i] = true
	}
	verify := func() {
		t.Helper()
		certs := 0
		for i := range n {
			ref, _ := bucketBlob(i)
			_, merr := s.Metadata(ref.Blob)
			_, cerr := s.Certificate(ref.Blob)
			if !live[i] {
				_, err := get(s, ref)
				wantErr(t, err, ErrNotFound)
				wantErr(t, merr, ErrNotFound)
				continue
			}
			certs++
			wantSliver(t, s, ref, content(ref, 100_000))
			check(t, errors.Join(merr, cerr))
		}
		if st, err := s.Stats(); err != nil || st.Slivers != int64(certs) && len(s.segments.unlisted) == 0 || st.Blobs != int64(certs) {
			t.Errorf("%+v, %v: want %d", st, err, certs)
		}
	}
	kill := func() {
		t.Helper()
		killed := t.TempDir()
		copyTree(t, killed, s.cfg.Dir)
		s = mustOpen(t, small(killed))
	}
	drop := func(i int) {
		ref, _ := bucketBlob(i)
		check(t, s.DropBlob(ref.Blob, []int{ref.Shard}))
		delete(live, i)
	}
	verify()
	if done, err := compactNow(s); done > 0 || err != nil {
		t.Errorf("%d segments were compacted before they were listed, %v", done, err)
	}
	drop(0)
	verify()
	kill()
	verify()
	// A kill in the middle of the listing.
	stop := errors.New("killed")
	b := s.segments.all()[0]
	if err := s.places.list(b, func() error { return stop }); err != stop {
		t.Fatal(err)
	}
	check(t, s.Sync())
	kill()
	verify()
	if len(s.segments.unlisted) != len(bucketEnds) {
		t.Errorf("%d segments are to be listed", len(s.segments.unlisted))
	}
	check(t, errors.Join(s.tending.count(t.Context()), s.tending.settle(t.Context()), s.tending.list(t.Context())))
	wantCounts(t, s)
	verify()
	// New slivers do not go into old segments, which are compacted, and removed when they end.
	for i := 0; i < n; i += 3 {
		if i > 3 && live[i] {
			drop(i)
		}
	}
	fresh := Ref{Blob: blobID(1000)}
	check(t, s.PutBlob(fresh.Blob, meta(1000), 5))
	check(t, put(s, fresh, content(fresh, 5000)))
	ref, _ := bucketBlob(1)
	check(t, s.PutBlob(ref.Blob, meta(1), 30)) // extended
	old := filepath.Join(s.cfg.Dir, sliversName)
	for _, step := range []struct {
		do   func() error
		left []string
	}{
		{func() error { return nil }, []string{"17", "5", "9"}},
		{func() error { _, err := compactNow(s); return err }, []string{"17", "9"}},
		{func() error { return s.DropEpoch(9) }, []string{"17", "9"}},
		{func() error { _, err := compactNow(s); return err }, []string{"17"}},
		{func() error { return s.DropEpoch(17) }, nil},
	} {
		check(t, step.do())
		var got []string
		list, err := os.ReadDir(old)
		check(t, err)
		for _, f := range list {
			if f.IsDir() {
				got = append(got, f.Name())
			}
		}
		if fmt.Sprint(got) != fmt.Sprint(step.left) {
			t.Errorf("folders %q, want %q", got, step.left)
		}
	}
	wantSliver(t, s, ref, content(ref, 100_000))
	if st, err := s.Stats(); err != nil || st.Slivers != 1 || st.Blobs != 1 {
		t.Errorf("%+v, %v", st, err)
	}
	wantCounts(t, s)
}

// TestUpgradeFormat3 takes over a store of format 3, whose places are numbers of segments and whose segments kept their
// own accounts, while it is changed: also after a kill, before any of the work in the background.
func TestUpgradeFormat3(t *testing.T) {
	const n = 24
	cfg := small(t.TempDir())
	s := mustOpen(t, cfg)
	for i := range n {
		ref, end := bucketBlob(i)
		check(t, errors.Join(s.PutBlob(ref.Blob, meta(i), end), put(s, ref, content(ref, 50_000))))
	}
	check(t, s.Sync())
	withoutLives(t, s)
	for _, b := range s.segments.all() {
		check(t, b.put(entry{key: []byte{keyFormat}, value: binary.BigEndian.AppendUint32(nil, 3)}))
		check(t, b.sync())
	}
	meta := s.catalog.db
	check(t, meta.pages([]byte{keyPlace}, func(keys [][]byte) error {
		for _, k := range keys {
			id, _ := keyBlobID(k)
			list, err := s.catalog.places(id)
			check(t, err)
			var old []byte
			for _, e := range list {
				old = binary.BigEndian.AppendUint64(old, e.segment)
			}
			check(t, meta.put(entry{key: k, value: old}))
		}
		return nil
	}))
	for _, b := range s.segments.all() {
		check(t, meta.put(entry{key: listedKey(b.id), del: true}, entry{key: accountKey(b.id), del: true},
			entry{key: binary.BigEndian.AppendUint64([]byte{'l'}, b.id)}))
	}
	check(t, meta.put(entry{key: []byte{keyNext}, del: true},
		entry{key: []byte{keyFormat}, value: binary.BigEndian.AppendUint32(nil, 3)}))
	check(t, meta.sync())
	old := t.TempDir()
	copyTree(t, old, cfg.Dir)

	s = mustOpen(t, small(old))
	drop := func(i int) {
		ref, _ := bucketBlob(i)
		check(t, s.DropBlob(ref.Blob, []int{ref.Shard}))
	}
	again := func(i int) {
		ref, end := bucketBlob(i)
		check(t, s.PutBlob(ref.Blob, []byte("again"), end))
	}
	look := func(when string) {
		t.Helper()
		for i := range n {
			ref, _ := bucketBlob(i)
			got, err := get(s, ref)
			if gone := i < 6; gone && !errors.Is(err, ErrNotFound) || !gone && !bytes.Equal(got, content(ref, 50_000)) {
				t.Errorf("%s: sliver %d: %d bytes, %v", when, i, len(got), err)
			}
		}
	}
	for i := range 3 {
		drop(i)
		again(i)
	}
	drop(3)
	drop(4)
	drop(5)
	look("upgraded")
	check(t, s.Sync())
	killed := t.TempDir()
	copyTree(t, killed, old)
	s = mustOpen(t, small(killed))
	look("killed")
	check(t, errors.Join(s.tending.count(t.Context()), s.tending.settle(t.Context()), s.tending.list(t.Context())))
	wantCounts(t, s)
	for i := 3; i < 6; i++ {
		again(i)
	}
	look("listed")
	if st, err := s.Stats(); err != nil || st.Slivers != n-6 || st.Blobs != n {
		t.Errorf("%+v, %v", st, err)
	}
	_, err := compactNow(s)
	check(t, err)
	look("compacted")
	wantCounts(t, s)
}

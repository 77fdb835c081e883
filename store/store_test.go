package store

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"walrus/internal/badgerdisk"
	"walrus/shards"
)

// small is a configuration for many stores in one process.
func small(dir string) Config {
	c := Default(dir)
	c.MemTable, c.ValueLog, c.Segment, c.MinFree = 1<<20, 4<<20, 32<<20, 0
	return c
}

func mustOpen(t testing.TB, cfg Config) *Store {
	t.Helper()
	s, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func blobID(n int) shards.BlobID {
	var id shards.BlobID
	binary.BigEndian.PutUint64(id[:], uint64(n)*0x9e3779b97f4a7c15)
	binary.BigEndian.PutUint64(id[24:], uint64(n))
	return id
}

// content is the bytes that a test stores under ref.
func content(ref Ref, size int) []byte {
	b := make([]byte, size)
	r := rand.NewChaCha8([32]byte(ref.Blob[:]))
	r.Read(b)
	for i := range b {
		b[i] += byte(ref.Shard)<<1 + byte(ref.Axis)
	}
	return b
}

func meta(n int) []byte {
	return fmt.Appendf(nil, "metadata of %d %s", n, bytes.Repeat([]byte{byte(n)}, 3000))
}

func put(s *Store, ref Ref, b []byte) error {
	w, err := s.Create(ref, int64(len(b)))
	if err != nil {
		return err
	}
	defer w.Abort()
	for len(b) > 0 {
		n := min(len(b), 100_003)
		if _, err := w.Write(b[:n]); err != nil {
			return err
		}
		b = b[n:]
	}
	return w.Commit()
}

func get(s *Store, ref Ref) ([]byte, error) {
	r, err := s.OpenSliver(ref)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	_, err = r.WriteTo(&b)
	return b.Bytes(), err
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantErr(t testing.TB, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("got error %v, want %v", err, want)
	}
}

func wantSliver(t testing.TB, s *Store, ref Ref, want []byte) {
	t.Helper()
	got, err := get(s, ref)
	check(t, err)
	if !bytes.Equal(got, want) {
		t.Fatalf("%s: %d bytes differ from the %d written", ref, len(got), len(want))
	}
}

var sizes = []int{0, 1, 2, 1000, extentSize - 1, extentSize, extentSize + 1, 3*extentSize + 12345}

// TestConformance runs the rules that every store must keep. reopen returns the store again, with its content.
func TestConformance(t *testing.T) {
	dir := t.TempDir()
	s := mustOpen(t, small(dir))
	testConformance(t, s, func() *Store {
		check(t, s.Close())
		s = mustOpen(t, small(dir))
		return s
	})
	if i := s.Incidents(); len(i) != 0 {
		t.Errorf("incidents: %v", i)
	}
}

func testConformance(t *testing.T, s *Store, reopen func() *Store) {
	id := blobID(1)
	ref := Ref{Blob: id, Shard: 7, Axis: shards.Secondary}
	_, err := s.Create(ref, 10)
	wantErr(t, err, ErrNotFound)
	_, err = s.Metadata(id)
	wantErr(t, err, ErrNotFound)
	_, err = s.Blob(id)
	wantErr(t, err, ErrNotFound)
	_, err = s.OpenSliver(ref)
	wantErr(t, err, ErrNotFound)
	_, err = s.Certificate(id)
	wantErr(t, err, ErrNotFound)
	_, err = s.State("a")
	wantErr(t, err, ErrNotFound)

	check(t, s.PutBlob(id, meta(1), 5))
	check(t, s.PutBlob(id, meta(1), 3))
	rec, err := s.Blob(id)
	check(t, err)
	if rec != (BlobRecord{EndEpoch: 5}) {
		t.Fatalf("record %+v", rec)
	}
	check(t, s.PutCertificate(id, 4, []byte("cert")))
	check(t, s.PutState("a", []byte("one")))
	check(t, s.PutState("a", []byte("two")))
	for i, size := range sizes {
		r := Ref{Blob: id, Shard: i, Axis: shards.Primary}
		check(t, put(s, r, content(r, size)))
	}
	for round := range 3 {
		for i, size := range sizes {
			r := Ref{Blob: id, Shard: i, Axis: shards.Primary}
			wantSliver(t, s, r, content(r, size))
		}
		m, err := s.Metadata(id)
		check(t, err)
		c, err := s.Certificate(id)
		check(t, err)
		v, err := s.State("a")
		check(t, err)
		rec, err := s.Blob(id)
		check(t, err)
		if !bytes.Equal(m, meta(1)) || string(c) != "cert" || string(v) != "two" ||
			rec != (BlobRecord{EndEpoch: 5, Certified: true, CertEpoch: 4}) {
			t.Fatalf("read %q, %q, %q, %+v", m, c, v, rec)
		}
		st, err := s.Stats()
		check(t, err)
		if st.Blobs != 1 || st.Certificates != 1 || st.Slivers != int64(len(sizes)) || st.Bytes == 0 && s.cfg.engine == nil {
			t.Fatalf("stats %+v", st)
		}
		sc, err := s.Scrub(context.Background(), func(r Ref, err error) { t.Errorf("scrub: %v: %v", r, err) })
		check(t, err)
		if round > 0 && sc.Slivers != int64(len(sizes)) || sc.Blobs != 1 || sc.Certificates != 1 {
			t.Fatalf("scrub %+v", sc)
		}
		if round == 0 {
			check(t, s.Sync())
		} else {
			s = reopen()
		}
	}
	testReader(t, s, Ref{Blob: id, Shard: len(sizes) - 1}, sizes[len(sizes)-1])
	testWriter(t, s, ref)
	testLists(t, s)
}

func testReader(t *testing.T, s *Store, ref Ref, size int) {
	want := content(ref, size)
	r, err := s.OpenSliver(ref)
	check(t, err)
	if r.Size() != int64(size) {
		t.Fatalf("size %d", r.Size())
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 30 {
		off := rnd.IntN(size)
		p := make([]byte, rnd.IntN(size-off)+1)
		n, err := r.ReadAt(p, int64(off))
		check(t, err)
		if n != len(p) || !bytes.Equal(p, want[off:off+n]) {
			t.Fatalf("read %d of %d at %d", n, len(p), off)
		}
	}
	p := make([]byte, 10)
	if n, err := r.ReadAt(p, int64(size-4)); n != 4 || err != io.EOF {
		t.Fatalf("read past the end: %d, %v", n, err)
	}
	if _, err := r.ReadAt(p, -1); err == nil {
		t.Fatal("read before the beginning")
	}
	head := make([]byte, 1000)
	if _, err := io.ReadFull(r, head); err != nil {
		t.Fatal(err)
	}
	rest, err := io.ReadAll(r)
	check(t, err)
	if !bytes.Equal(append(head, rest...), want) {
		t.Fatal("read differs")
	}
}

func testWriter(t *testing.T, s *Store, ref Ref) {
	for _, bad := range []Ref{{Shard: -1}, {Shard: shards.MaxShards}, {Axis: 2}} {
		if _, err := s.Create(bad, 1); err == nil {
			t.Errorf("create %+v: no error", bad)
		}
		if err := s.DeleteSliver(bad); err == nil {
			t.Errorf("delete %+v: no error", bad)
		}
	}
	if _, err := s.Create(ref, -1); err == nil {
		t.Error("create of −1 bytes: no error")
	}
	if _, err := s.Create(ref, 1<<60); err == nil {
		t.Error("create of 2⁶⁰ bytes: no error")
	}
	b := content(ref, extentSize+10)
	w, err := s.Create(ref, int64(len(b)))
	check(t, err)
	_, err = w.Write(b[:len(b)-1])
	check(t, err)
	if ok, _ := s.HasSliver(ref); ok {
		t.Fatal("visible before commit")
	}
	if err := w.Commit(); err == nil {
		t.Fatal("commit of too few bytes")
	}
	w, err = s.Create(ref, 3)
	check(t, err)
	if _, err := w.Write(b); err == nil {
		t.Fatal("write of too many bytes")
	}
	w.Abort()
	// The first of two wins, the other is a no-op, and neither disturbs the other.
	first, err := s.Create(ref, int64(len(b)))
	check(t, err)
	second, err := s.Create(ref, int64(len(b)))
	check(t, err)
	for _, w := range []*SliverWriter{first, second} {
		_, err := w.Write(b)
		check(t, err)
	}
	check(t, second.Commit())
	check(t, first.Commit())
	first.Abort()
	second.Abort()
	wantSliver(t, s, ref, b)
	check(t, s.Sync())
	third, err := s.Create(ref, int64(len(b)))
	check(t, err)
	_, err = third.Write(b)
	check(t, err)
	check(t, third.Commit())
	wantSliver(t, s, ref, b)
	if err := third.Commit(); err == nil {
		t.Fatal("committed twice")
	}
	r, err := s.OpenSliver(ref)
	check(t, err)
	check(t, s.DeleteSliver(ref))
	check(t, s.DeleteSliver(ref))
	_, err = r.ReadAt(make([]byte, 10), 0)
	wantErr(t, err, ErrNotFound)
	if ok, err := s.HasSliver(ref); ok || err != nil {
		t.Fatalf("deleted, but has: %t, %v", ok, err)
	}
	check(t, s.Sync())
	if ok, err := s.HasSliver(ref); ok || err != nil {
		t.Fatalf("deleted, but has after a sync: %t, %v", ok, err)
	}
}

// testLists fills three segments and lists.
func testLists(t *testing.T, s *Store) {
	var certs []shards.BlobID
	const n = 1500
	for i := 10; i < 10+n; i++ {
		id := blobID(i)
		check(t, s.PutBlob(id, []byte("m"), uint32(20+i%3)))
		r := Ref{Blob: id, Shard: 99, Axis: shards.Axis(i & 1)}
		check(t, put(s, r, []byte{byte(i)}))
		check(t, s.PutCertificate(id, 1, []byte{1}))
		certs = append(certs, id)
		if i == n/2 {
			check(t, s.Sync())
		}
	}
	certs = append(certs, blobID(1))
	slices.SortFunc(certs, func(a, b shards.BlobID) int { return bytes.Compare(a[:], b[:]) })
	var list []shards.BlobID
	var after shards.BlobID
	for {
		page, err := s.Certificates(after, 7)
		check(t, err)
		list = append(list, page...)
		if len(page) < 7 {
			break
		}
		after = page[6]
	}
	if !slices.Equal(list, certs) {
		t.Fatalf("%d certificates, want %d", len(list), len(certs))
	}
}

func TestLocked(t *testing.T) {
	cfg := small(t.TempDir())
	s := mustOpen(t, cfg)
	_, err := Open(cfg)
	wantErr(t, err, ErrLocked)
	check(t, s.Close())
	check(t, s.Close())
	mustOpen(t, cfg)
}

func TestClosed(t *testing.T) {
	s := mustOpen(t, small(t.TempDir()))
	ref := Ref{Blob: blobID(1)}
	check(t, s.PutBlob(ref.Blob, meta(1), 5))
	check(t, put(s, ref, content(ref, 2*extentSize)))
	r, err := s.OpenSliver(ref)
	check(t, err)
	w, err := s.Create(Ref{Blob: ref.Blob, Shard: 3}, 1)
	check(t, err)
	check(t, s.Close())
	_, metaErr := s.Metadata(ref.Blob)
	_, blobErr := s.Blob(ref.Blob)
	_, certErr := s.Certificate(ref.Blob)
	_, openErr := s.OpenSliver(ref)
	_, hasErr := s.HasSliver(ref)
	_, createErr := s.Create(ref, 1)
	_, readErr := r.ReadAt(make([]byte, 1), 0)
	_, writeErr := w.Write([]byte{1})
	_, statsErr := s.Stats()
	_, scrubErr := s.Scrub(context.Background(), nil)
	for i, err := range []error{metaErr, blobErr, certErr, openErr, hasErr, createErr, readErr, writeErr, statsErr,
		scrubErr, s.PutBlob(ref.Blob, nil, 9), s.PutState("a", nil), s.Sync(), s.DropEpoch(1),
		s.DeleteSliver(ref), s.PutCertificate(ref.Blob, 1, nil)} {
		if !errors.Is(err, ErrClosed) {
			t.Errorf("call %d: %v", i, err)
		}
	}
	w.Abort()
}

func TestFormat(t *testing.T) {
	cfg := small(t.TempDir())
	s := mustOpen(t, cfg)
	check(t, s.catalog.db.put(entry{key: []byte{keyFormat}, value: []byte{0, 0, 0, formatVersion + 1}}))
	check(t, s.Close())
	_, err := Open(cfg)
	wantErr(t, err, ErrFormat)
	if m, _ := filepath.Glob(filepath.Join(cfg.Dir, "*corrupt*")); len(m) > 0 {
		t.Fatalf("a newer database was moved aside: %v", m)
	}
}

func TestDropEpoch(t *testing.T) {
	cfg := small(t.TempDir())
	s := mustOpen(t, cfg)
	put := func(n, size int, end uint32) Ref {
		ref := Ref{Blob: blobID(n), Shard: n, Axis: shards.Primary}
		check(t, s.PutBlob(ref.Blob, meta(n), end))
		check(t, put(s, ref, content(ref, size)))
		check(t, s.PutCertificate(ref.Blob, 1, []byte("c")))
		return ref
	}
	ends := put(1, 3*extentSize, 10)
	extended := put(2, 2*extentSize+5, 10)
	other := put(3, 1000, 11)
	check(t, s.Sync())
	pending := put(4, 700_000, 10)
	check(t, s.PutBlob(extended.Blob, meta(2), 30))
	check(t, s.PutBlob(pending.Blob, meta(4), 11))
	reader, err := s.OpenSliver(extended)
	check(t, err)
	dead, err := s.OpenSliver(ends)
	check(t, err)
	writer, err := s.Create(Ref{Blob: ends.Blob, Shard: 77}, 1)
	check(t, err)

	check(t, s.DropEpoch(10))
	verify := func() {
		t.Helper()
		for ref, size := range map[Ref]int{extended: 2*extentSize + 5, other: 1000, pending: 700_000} {
			wantSliver(t, s, ref, content(ref, size))
			m, err := s.Metadata(ref.Blob)
			check(t, err)
			if !bytes.Equal(m, meta(ref.Shard)) {
				t.Fatal("metadata differs")
			}
		}
		_, err = s.OpenSliver(ends)
		wantErr(t, err, ErrNotFound)
		_, err = s.Metadata(ends.Blob)
		wantErr(t, err, ErrNotFound)
		_, err = s.Blob(ends.Blob)
		wantErr(t, err, ErrNotFound)
		_, err = s.Certificate(ends.Blob)
		wantErr(t, err, ErrNotFound)
		st, err := s.Stats()
		check(t, err)
		if st.Blobs != 3 || st.Slivers != 3 || st.Certificates != 3 {
			t.Fatalf("stats %+v", st)
		}
	}
	verify()
	got, err := io.ReadAll(reader)
	check(t, err)
	if !bytes.Equal(got, content(extended, 2*extentSize+5)) {
		t.Fatal("a reader that was open when its sliver moved read something else")
	}
	_, err = dead.Read(make([]byte, 1))
	wantErr(t, err, ErrNotFound)
	_, err = writer.Write([]byte{1})
	check(t, err)
	wantErr(t, writer.Commit(), ErrNotFound)
	check(t, s.Close())
	s = mustOpen(t, cfg)
	verify()
	check(t, s.DropEpoch(10))
	verify()
}

// TestConcurrent has writers, readers, deletions, syncs and drops at the same time.
func TestConcurrent(t *testing.T) {
	s := mustOpen(t, small(t.TempDir()))
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 30 {
				n := 1000*g + i
				ref := Ref{Blob: blobID(n), Shard: g, Axis: shards.Primary}
				end := uint32(10 + i%4)
				b := content(ref, 1+i*20_000)
				if err := errors.Join(s.PutBlob(ref.Blob, meta(n), end), put(s, ref, b)); err != nil {
					if end < 12 && g == 0 {
						continue
					}
					if end >= 12 {
						t.Error(err)
					}
					continue
				}
				if i%3 == 0 {
					if err := s.Sync(); err != nil {
						t.Error(err)
					}
				}
				got, err := get(s, ref)
				if err == nil && !bytes.Equal(got, b) {
					t.Errorf("%s differs", ref)
				}
				if err != nil && (end >= 12 || !errors.Is(err, ErrNotFound)) {
					t.Error(err)
				}
				if i%5 == 4 {
					if err := s.DeleteSliver(ref); err != nil {
						t.Error(err)
					}
				}
				if i%10 == 9 {
					if err := s.DropEpoch(uint32(10 + g%2)); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	wg.Wait()
	for g := range 8 {
		for i := range 30 {
			ref := Ref{Blob: blobID(1000*g + i), Shard: g, Axis: shards.Primary}
			if 10+i%4 < 12 {
				continue
			}
			if i%5 == 4 {
				_, err := s.OpenSliver(ref)
				wantErr(t, err, ErrNotFound)
				continue
			}
			wantSliver(t, s, ref, content(ref, 1+i*20_000))
		}
	}
	_, err := s.Scrub(context.Background(), func(r Ref, err error) { t.Errorf("%v: %v", r, err) })
	check(t, err)
}

// TestBubble runs ten stores in virtual time, where a goroutine that outlives its store is a failure.
func TestBubble(t *testing.T) {
	dir := t.TempDir()
	for range 2 {
		synctest.Test(t, func(t *testing.T) {
			var wg sync.WaitGroup
			for i := range 10 {
				wg.Go(func() {
					s, err := Open(small(filepath.Join(dir, fmt.Sprint(i))))
					if err != nil {
						t.Error(err)
						return
					}
					ref := Ref{Blob: blobID(i), Shard: i, Axis: shards.Primary}
					b := content(ref, 700_000)
					err = errors.Join(s.PutBlob(ref.Blob, meta(i), 5), put(s, ref, b), s.Sync())
					got, gerr := get(s, ref)
					if !bytes.Equal(got, b) {
						t.Errorf("store %d: differs", i)
					}
					if err := errors.Join(err, gerr, s.Close()); err != nil {
						t.Error(err)
					}
				})
			}
			wg.Wait()
		})
	}
}

// TestMetaStaysSmall writes the same state again and again.
func TestMetaStaysSmall(t *testing.T) {
	cfg := small(t.TempDir())
	s := mustOpen(t, cfg)
	value := make([]byte, 100_000)
	rnd := rand.NewChaCha8([32]byte{1})
	const n = 300
	for i := range n {
		rnd.Read(value)
		check(t, s.PutState(fmt.Sprint("key", i%3), value))
	}
	before, err := badgerdisk.Used(cfg.Dir)
	check(t, err)
	check(t, s.DropEpoch(1))
	after, err := badgerdisk.Used(cfg.Dir)
	check(t, err)
	if after > before/5 {
		t.Errorf("%d bytes of disk space, %d before", after, before)
	}
	check(t, s.Close())
	s = mustOpen(t, cfg)
	got, err := s.State(fmt.Sprint("key", (n-1)%3))
	check(t, err)
	if !bytes.Equal(got, value) {
		t.Error("state differs")
	}
}

// TestSmallerMemTable opens a store that was killed with larger memtables than it has now.
func TestSmallerMemTable(t *testing.T) {
	cfg := small(t.TempDir())
	cfg.MemTable = 8 << 20
	s := mustOpen(t, cfg)
	const n = 6000
	for i := range n {
		check(t, s.PutState(fmt.Sprint("key", i), bytes.Repeat([]byte{byte(i)}, 1000)))
	}
	killed := t.TempDir()
	copyTree(t, killed, cfg.Dir)
	s = mustOpen(t, small(killed))
	for i := range n {
		v, err := s.State(fmt.Sprint("key", i))
		check(t, err)
		if !bytes.Equal(v, bytes.Repeat([]byte{byte(i)}, 1000)) {
			t.Fatalf("state %d differs", i)
		}
	}
}

// TestStateKeys lists names by their beginning, page by page, and removes some.
func TestStateKeys(t *testing.T) {
	s := mustOpen(t, small(t.TempDir()))
	for _, key := range []string{"a", "b-1", "b-2", "b-3", "c"} {
		check(t, s.PutState(key, []byte("v")))
	}
	check(t, s.PutState("b-2", nil))
	_, err := s.State("b-2")
	wantErr(t, err, ErrNotFound)
	var all []string
	for after := ""; ; {
		page, err := s.StateKeys("b-", after, 1)
		check(t, err)
		if len(page) == 0 {
			break
		}
		all, after = append(all, page...), page[0]
	}
	if !slices.Equal(all, []string{"b-1", "b-3"}) {
		t.Errorf("names %q", all)
	}
	check(t, s.Close())
}

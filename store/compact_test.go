package store

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"testing"
)

func TestClass(t *testing.T) {
	for _, tt := range []struct {
		end, now uint32
		want     class
	}{
		{5, 0, class{4, 7}}, {5, 4, class{5, 5}}, {5, 5, class{5, 5}}, {5, 9, class{5, 5}}, {6, 4, class{6, 7}},
		{7, 4, class{6, 7}}, {1, 0, class{1, 1}}, {0, 0, class{0, 0}}, {1<<32 - 1, 0, class{1 << 31, 1<<32 - 1}},
		{500, 499, class{500, 500}}, {553, 500, class{544, 575}},
	} {
		got := classOf(tt.end, tt.now)
		if got != tt.want {
			t.Errorf("class of %d at %d is %v, want %v", tt.end, tt.now, got, tt.want)
		}
		if left := max(tt.end, tt.now+1) - tt.now; got.last-got.first >= left || tt.end < got.first || tt.end > got.last {
			t.Errorf("class %v of %d at %d", got, tt.end, tt.now)
		}
		name := segmentName(17, got)
		if id, c, ok := parseSegmentName(name); !ok || id != 17 || c != got {
			t.Errorf("%s is %d, %v, %t", name, id, c, ok)
		}
	}
	for _, bad := range []string{"", "5", "000001", "000001_5", "1_5-5", "000001_5-5.closed", "000001_5-5.corrupt-1", "000000_5-5", "000001_05-5"} {
		if _, _, ok := parseSegmentName(bad); ok {
			t.Errorf("%q is the name of a segment", bad)
		}
	}
}

func TestVictim(t *testing.T) {
	const mib = 1 << 20
	for _, tt := range []struct {
		name  string
		list  []load
		short bool
		want  int
	}{
		{"nothing", nil, true, -1},
		{"all lives", []load{{size: 64 * mib, live: 63 * mib, slivers: 9}}, true, -1},
		{"a third is dead", []load{{size: 64 * mib, live: 42 * mib, slivers: 9}}, false, -1},
		{"a third is dead, and room is short", []load{{size: 64 * mib, live: 42 * mib, slivers: 9}}, true, 0},
		{"the least share", []load{{size: 64 * mib, live: 20 * mib, slivers: 9}, {size: 8 * mib, live: 1 * mib, slivers: 9}}, false, 1},
		{"nothing was written yet", []load{{size: mib / 8}}, true, -1},
		{"nothing will be written", []load{{size: mib / 8, ended: true}}, false, 0},
		{"nothing lives", []load{{size: mib}}, false, 0},
		{"little, and half of it dead", []load{{size: mib, live: mib / 4, slivers: 1}}, false, -1},
	} {
		if got := victim(tt.list, 64*mib, tt.short); got != tt.want {
			t.Errorf("%s: %d, want %d", tt.name, got, tt.want)
		}
	}
}

// compactNow compacts as if room were short, until nothing is left to do.
func compactNow(s *Store) (n int, err error) {
	for {
		done, err := s.compactor.once(true, func() error { return nil })
		if err != nil || !done {
			return n, err
		}
		n++
	}
}

func segmentDirs(t *testing.T, dir string) []string {
	t.Helper()
	list, err := filepath.Glob(filepath.Join(dir, segmentsName, "*[0-9]"))
	check(t, err)
	return list
}

// TestCompact compacts a segment of which a few slivers live, among them one of a blob that was extended.
func TestCompact(t *testing.T) {
	cfg := small(t.TempDir())
	s := mustOpen(t, cfg)
	refs := make([]Ref, 20)
	for n := range refs {
		refs[n] = Ref{Blob: blobID(n + 1), Shard: n}
		check(t, s.PutBlob(refs[n].Blob, meta(n), 5))
		check(t, put(s, refs[n], content(refs[n], 300_000)))
	}
	check(t, s.PutBlob(refs[3].Blob, meta(3), 50))
	reader, err := s.OpenSliver(refs[3])
	check(t, err)
	head := make([]byte, 1000)
	_, err = io.ReadFull(reader, head)
	check(t, err)
	if n, err := compactNow(s); n != 0 || err != nil {
		t.Fatalf("%d segments with nothing dead were compacted, %v", n, err)
	}
	old := segmentDirs(t, cfg.Dir)
	for n, r := range refs {
		switch {
		case n == 3 || n == 4:
		case n%2 == 0:
			check(t, s.DropBlob(r.Blob, []int{r.Shard}))
		default:
			check(t, s.DeleteSliver(r))
		}
	}
	wantCounts(t, s)
	n, err := compactNow(s)
	check(t, err)
	if n != 1 || len(old) != 1 {
		t.Fatalf("%d segments were compacted, there were %q", n, old)
	}
	if _, err := os.Stat(old[0]); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the segment is still there: %v", err)
	}
	verify := func() {
		t.Helper()
		for _, n := range []int{3, 4} {
			wantSliver(t, s, refs[n], content(refs[n], 300_000))
			m, err := s.Metadata(refs[n].Blob)
			check(t, err)
			if !bytes.Equal(m, meta(n)) {
				t.Error("metadata differs")
			}
		}
		if st, err := s.Stats(); err != nil || st.Slivers != 2 || st.Blobs != 11 {
			t.Errorf("%+v, %v", st, err)
		}
		wantCounts(t, s)
	}
	verify()
	rest, err := io.ReadAll(reader)
	check(t, err)
	if !bytes.Equal(append(head, rest...), content(refs[3], 300_000)) {
		t.Error("a reader that was open when its sliver moved read something else")
	}
	if now := segmentDirs(t, cfg.Dir); len(now) != 2 { // of two classes
		t.Errorf("segments %q", now)
	}
	check(t, s.Close())
	s = mustOpen(t, cfg)
	verify()
	check(t, s.DropEpoch(5))
	wantSliver(t, s, refs[3], content(refs[3], 300_000))
	if now := segmentDirs(t, cfg.Dir); len(now) != 1 {
		t.Errorf("segments %q after the first class has ended", now)
	}
}

// TestCompactDamaged: a segment with a damaged sliver stays until that is deleted, and the node hears of it.
func TestCompactDamaged(t *testing.T) {
	s := mustOpen(t, small(t.TempDir()))
	for n := 1; n <= 10; n++ {
		r := Ref{Blob: blobID(n), Shard: n}
		check(t, s.PutBlob(r.Blob, meta(n), 5))
		check(t, put(s, r, content(r, 300_000)))
	}
	check(t, s.Sync())
	for n := 1; n <= 8; n++ {
		check(t, s.DropBlob(blobID(n), []int{n}))
	}
	b := s.segments.all()[0]
	bad, good := Ref{Blob: blobID(9), Shard: 9}, Ref{Blob: blobID(10), Shard: 10}
	v, err := b.stored(bad)
	check(t, err)
	check(t, b.write(entry{key: extentKey(bad, v.write, 0), value: []byte("junk")}))
	var told []Ref
	report := func(r Ref, err error) {
		wantErr(t, err, ErrCorrupt)
		told = append(told, r)
	}
	s.compactor.report.Store(&report)
	if n, err := compactNow(s); n > 0 || !errors.Is(err, errStays) {
		t.Fatalf("%d segments were compacted, %v", n, err)
	}
	if len(told) != 1 || told[0] != bad {
		t.Errorf("told of %v", told)
	}
	if n, err := compactNow(s); n > 0 || err != nil {
		t.Errorf("compacted %d segments again, %v", n, err)
	}
	_, err = get(s, bad)
	wantErr(t, err, ErrCorrupt)
	check(t, s.DeleteSliver(bad))
	if n, err := compactNow(s); n != 1 || err != nil {
		t.Errorf("compacted %d segments, %v", n, err)
	}
	wantSliver(t, s, good, content(good, 300_000))
	wantCounts(t, s)
}

// TestCommitAfterDrop: a sliver that was begun before its blob was dropped does not come back.
func TestCommitAfterDrop(t *testing.T) {
	for _, drop := range []func(s *Store) error{
		func(s *Store) error { return s.DropBlob(blobID(1), nil) },
		func(s *Store) error { return s.DropEpoch(5) },
	} {
		s := mustOpen(t, small(t.TempDir()))
		r := Ref{Blob: blobID(1)}
		check(t, s.PutBlob(r.Blob, meta(1), 5))
		w, err := s.Create(r, 10)
		check(t, err)
		_, err = w.Write(make([]byte, 10))
		check(t, err)
		check(t, drop(s))
		wantErr(t, w.Commit(), ErrNotFound)
		check(t, s.Sync())
		if st, err := s.Stats(); err != nil || st.Slivers != 0 {
			t.Errorf("%+v, %v", st, err)
		}
		check(t, s.PutBlob(r.Blob, meta(1), 9)) // it may be registered anew
		check(t, put(s, r, content(r, 10)))
		wantSliver(t, s, r, content(r, 10))
	}
}

// TestDropAgainstExtend extends blobs while their epoch is dropped: each is there as a whole, or gone as a whole and
// made anew.
func TestDropAgainstExtend(t *testing.T) {
	s := mustOpen(t, small(t.TempDir()))
	const n = 200
	for i := range n {
		r := Ref{Blob: blobID(i + 1), Shard: i % 7}
		check(t, s.PutBlob(r.Blob, meta(i), 5))
		check(t, put(s, r, content(r, 3000)))
		if i%3 == 0 {
			check(t, s.Sync())
		}
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := range n {
			if err := s.PutBlob(blobID(i+1), meta(i), 9); err != nil {
				t.Error(err)
			}
		}
	})
	wg.Go(func() {
		if err := s.DropEpoch(5); err != nil {
			t.Error(err)
		}
	})
	wg.Wait()
	kept := 0
	for i := range n {
		r := Ref{Blob: blobID(i + 1), Shard: i % 7}
		m, err := s.Metadata(r.Blob)
		if err != nil || !bytes.Equal(m, meta(i)) {
			t.Errorf("metadata of blob %d: %v", i, err)
		}
		got, err := get(s, r)
		switch {
		case err == nil && bytes.Equal(got, content(r, 3000)):
			kept++
		case !errors.Is(err, ErrNotFound):
			t.Errorf("sliver %d: %d bytes, %v", i, len(got), err)
		}
	}
	t.Logf("%d of %d were extended first", kept, n)
	check(t, s.Sync())
	wantCounts(t, s)
	if st, err := s.Stats(); err != nil || st.Blobs != n || st.Slivers != int64(kept) {
		t.Errorf("%+v, %v: %d slivers can be read", st, err, kept)
	}
}

// TestCompactConcurrent compacts all the time while others write, read, extend, delete, drop and sync.
func TestCompactConcurrent(t *testing.T) {
	cfg := small(t.TempDir())
	cfg.Segment = 1 << 20
	s := mustOpen(t, cfg)
	stop, stopped := make(chan struct{}), make(chan error, 1)
	go func() {
		var all int
		for {
			n, err := compactNow(s)
			if all += n; err != nil {
				stopped <- err
				return
			}
			select {
			case <-stop:
				t.Logf("%d segments were compacted", all)
				stopped <- nil
				return
			default:
			}
		}
	}()
	var wg sync.WaitGroup
	const writers, each = 6, 60
	for g := range writers {
		wg.Go(func() {
			for i := range each {
				n := 1000*(g+1) + i
				ref := Ref{Blob: blobID(n), Shard: g}
				b := content(ref, 1+(i*7919)%150_000)
				if err := errors.Join(s.PutBlob(ref.Blob, meta(n), uint32(10+i%5)), put(s, ref, b)); err != nil {
					t.Errorf("%d: %v", n, err)
				}
				if i%4 == 0 {
					if err := s.Sync(); err != nil {
						t.Error(err)
					}
				}
				for k := max(0, i-5); k <= i; k++ { // of which some were deleted
					ref := Ref{Blob: blobID(1000*(g+1) + k), Shard: g}
					got, err := get(s, ref)
					if err != nil != (k%3 == 2 && k < i) || err != nil && !errors.Is(err, ErrNotFound) {
						t.Errorf("read of %d: %v", k, err)
					}
					if err == nil && !bytes.Equal(got, content(ref, 1+(k*7919)%150_000)) {
						t.Errorf("%d differs", k)
					}
				}
				var err error
				switch i % 3 {
				case 0:
					err = s.PutBlob(ref.Blob, meta(n), 100)
				case 2:
					err = s.DropBlob(ref.Blob, []int{g})
				}
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	close(stop)
	check(t, <-stopped)
	check(t, s.DropEpoch(20))
	check(t, s.Sync())
	for g := range writers {
		for i := range each {
			n := 1000*(g+1) + i
			ref := Ref{Blob: blobID(n), Shard: g}
			got, err := get(s, ref)
			if i%3 == 0 && !bytes.Equal(got, content(ref, 1+(i*7919)%150_000)) || i%3 != 0 && !errors.Is(err, ErrNotFound) {
				t.Errorf("%s: %d bytes, %v", fmt.Sprint(g, i), len(got), err)
			}
		}
	}
	wantCounts(t, s)
	_, err := s.Scrub(t.Context(), func(r Ref, err error) { t.Errorf("%v: %v", r, err) })
	check(t, err)
}

// TestSmallSliversStay: what each sliver and metadata takes beside its bytes is not taken for dead, while it is fresh
// and after a restart.
func TestSmallSliversStay(t *testing.T) {
	cfg := small(fastDir(t))
	s := mustOpen(t, cfg)
	fillSmall(t, s, 30_000)
	for n := 1; n <= 3000; n++ {
		check(t, s.PutBlob(blobID(n), []byte("m"), 100))
	}
	check(t, s.Sync())
	for range 2 {
		_, loads := s.compactor.loads()
		for _, l := range loads {
			t.Logf("%d bytes on the disk, %d of them live, %d slivers", l.size, l.live, l.slivers)
		}
		if i := victim(loads, s.segments.most, true); i >= 0 || len(loads) == 0 {
			t.Errorf("%+v would be compacted", loads[i])
		}
		check(t, s.Close())
		s = mustOpen(t, cfg)
		for _, b := range s.segments.all() {
			_, err := b.metadata(blobID(1), 0) // opens it
			check(t, unknown(err))
		}
	}
}

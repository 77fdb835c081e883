package badgerdb

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"walrus/internal/badgerdisk"
)

func mustOpen(t testing.TB, dir string) *DB {
	t.Helper()
	db, err := Open(Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func write1(t testing.TB, db *DB, s *Space, key, value string) {
	t.Helper()
	var b Batch
	b.Set(s, []byte(key), []byte(value))
	check(t, db.Write(&b))
}

// crash copies the files of an open database, as they are when its process is killed.
func crash(t testing.TB, dir string) string {
	t.Helper()
	for {
		to := t.TempDir()
		before := listing(t, dir)
		err := copyFiles(to, dir)
		if bytes.Equal(listing(t, dir), before) { // or Badger was at work in the background
			check(t, err)
			return to
		}
	}
}

// listing tells which files make up a database.
func listing(t testing.TB, dir string) []byte {
	t.Helper()
	files, err := os.ReadDir(dir)
	check(t, err)
	list, err := os.ReadFile(filepath.Join(dir, "MANIFEST"))
	check(t, err)
	for _, f := range files {
		list = append(list, f.Name()...)
	}
	return list
}

func copyFiles(to, from string) error {
	files, err := os.ReadDir(from)
	for _, f := range files {
		var b []byte
		if b, err = os.ReadFile(filepath.Join(from, f.Name())); err != nil {
			return err
		}
		path := filepath.Join(to, f.Name())
		err = errors.Join(os.WriteFile(path, bytes.TrimRight(b, "\x00"), 0o600), os.Truncate(path, int64(len(b))))
		if err != nil {
			return err
		}
	}
	return err
}

func TestSpaces(t *testing.T) {
	for _, dir := range []string{"", t.TempDir()} {
		db := mustOpen(t, dir)
		a, b := db.Space("a"), db.Space("ab")
		write1(t, db, a, "key", "in a")
		write1(t, db, b, "key", "in ab")
		write1(t, db, a, "empty", "")
		for _, tt := range []struct {
			s         *Space
			key, want string
		}{{a, "key", "in a"}, {b, "key", "in ab"}} {
			if v, err := tt.s.Get([]byte(tt.key)); err != nil || string(v) != tt.want {
				t.Errorf("%s: %q, %v, want %q", tt.key, v, err, tt.want)
			}
		}
		if v, err := a.Get([]byte("empty")); err != nil || v == nil || len(v) != 0 {
			t.Errorf("empty value: %v, %v", v, err)
		}
		if v, err := b.Get([]byte("empty")); err != nil || v != nil {
			t.Errorf("absent value: %v, %v", v, err)
		}
		for _, descending := range []bool{false, true} {
			pairs, err := a.Scan(Range{Limit: 10, Descending: descending})
			check(t, err)
			if len(pairs) != 2 {
				t.Errorf("descending %t: %d pairs, want 2", descending, len(pairs))
			}
		}
	}
}

func TestScan(t *testing.T) {
	db := mustOpen(t, "")
	s := db.Space("s")
	for _, k := range []string{"b", "d", "f", "h", "\xff\xff"} {
		write1(t, db, s, k, "value of "+k)
	}
	write1(t, db, db.Space("r"), "z", "before")
	write1(t, db, db.Space("t"), "a", "behind")
	for _, tt := range []struct {
		r    Range
		want string
	}{
		{Range{Limit: 9}, "b d f h \xff\xff"},
		{Range{Limit: 2}, "b d"},
		{Range{}, ""},
		{Range{Limit: 9, From: []byte("d"), To: []byte("h")}, "d f"},
		{Range{Limit: 9, From: []byte("c"), To: []byte("g")}, "d f"},
		{Range{Limit: 9, Descending: true}, "\xff\xff h f d b"},
		{Range{Limit: 9, Descending: true, From: []byte("d"), To: []byte("h")}, "f d"},
		{Range{Limit: 9, Descending: true, From: []byte("c"), To: []byte("g")}, "f d"},
		{Range{Limit: 1, Descending: true, To: []byte("z")}, "h"},
		{Range{Limit: 9, From: []byte("i"), To: []byte("j")}, ""},
		{Range{Limit: 9, MaxBytes: 12}, "b d"},
	} {
		pairs, err := s.Scan(tt.r)
		check(t, err)
		var keys [][]byte
		for _, p := range pairs {
			keys = append(keys, p.Key)
			if string(p.Value) != "value of "+string(p.Key) {
				t.Errorf("%q has value %q", p.Key, p.Value)
			}
		}
		if got := string(bytes.Join(keys, []byte(" "))); got != tt.want {
			t.Errorf("%+v: %q, want %q", tt.r, got, tt.want)
		}
	}
}

func TestReopen(t *testing.T) {
	dir := t.TempDir()
	db := mustOpen(t, dir)
	for i := range 100 {
		write1(t, db, db.Space("s"), fmt.Sprint(i), fmt.Sprint("value ", i))
	}
	check(t, db.Sync())
	killed := crash(t, dir)
	if _, err := Open(Options{Dir: dir}); !errors.Is(err, ErrLocked) {
		t.Errorf("opened twice: %v, want ErrLocked", err)
	}
	check(t, db.Close())
	check(t, db.Close())
	for _, dir := range []string{dir, killed} {
		db := mustOpen(t, dir)
		for i := range 100 {
			v, err := db.Space("s").Get([]byte(fmt.Sprint(i)))
			if err != nil || string(v) != fmt.Sprint("value ", i) {
				t.Fatalf("%d: %q, %v", i, v, err)
			}
		}
	}
}

func TestClosed(t *testing.T) {
	db := mustOpen(t, t.TempDir())
	s := db.Space("s")
	write1(t, db, s, "a", "b")
	check(t, db.Close())
	var b Batch
	b.Set(s, []byte("a"), nil)
	_, getErr := s.Get([]byte("a"))
	_, scanErr := s.Scan(Range{Limit: 1})
	for i, err := range []error{getErr, scanErr, db.Write(&b), db.Sync()} {
		if !errors.Is(err, ErrClosed) {
			t.Errorf("call %d: %v, want ErrClosed", i, err)
		}
	}
}

func TestFull(t *testing.T) {
	db := mustOpen(t, t.TempDir())
	s := db.Space("s")
	write1(t, db, s, "a", "before")
	left := int64(MinFree - 1)
	db.measure = func(string) (int64, int64, error) { return left, 1 << 40, nil }
	var b Batch
	b.Set(s, []byte("a"), []byte("after"))
	if err := db.Write(&b); !errors.Is(err, ErrFull) {
		t.Errorf("write to a full disk: %v, want ErrFull", err)
	}
	if v, err := s.Get([]byte("a")); err != nil || string(v) != "before" {
		t.Errorf("%q, %v after that", v, err)
	}
	left++
	check(t, db.Write(&b))
}

// TestIdentify: only damage is called damage. What the system refuses says nothing about the files.
func TestIdentify(t *testing.T) {
	for _, tt := range []struct{ err, want, never error }{
		{badgerdisk.ErrLocked, ErrLocked, ErrCorrupt},
		{fmt.Errorf("open: %w", syscall.EMFILE), syscall.EMFILE, ErrCorrupt},
		{fmt.Errorf("open: %w", syscall.ENOSPC), syscall.ENOSPC, ErrCorrupt},
		{fmt.Errorf("%w: table 3", ErrCorrupt), ErrCorrupt, ErrLocked},
		{errors.New("bad magic"), ErrCorrupt, ErrLocked},
	} {
		if got := identify(tt.err); !errors.Is(got, tt.want) || errors.Is(got, tt.never) {
			t.Errorf("%v: %v, want %v", tt.err, got, tt.want)
		}
	}
}

// TestManifestLost: write-ahead logs alone are not taken for a whole database.
func TestManifestLost(t *testing.T) {
	db := mustOpen(t, t.TempDir())
	write1(t, db, db.Space("s"), "a", "b")
	check(t, db.Sync())
	killed := crash(t, db.dir)
	check(t, os.Remove(filepath.Join(killed, "MANIFEST")))
	if _, err := Open(Options{Dir: killed}); !errors.Is(err, ErrCorrupt) {
		t.Errorf("opened with %v, want ErrCorrupt", err)
	}
}

// fill makes a batch that needs the journal: it rewrites keys, removes some and adds others.
func fill(s *Space, version byte, n int) *Batch {
	var b Batch
	for i := range n {
		key := fmt.Appendf(nil, "key %06d", i)
		switch {
		case i%7 == int(version):
			b.Delete(s, key)
		default:
			b.Set(s, key, bytes.Repeat([]byte{version}, 400))
		}
	}
	return &b
}

// versions returns which versions of fill's values there are.
func versions(t *testing.T, s *Space) []byte {
	t.Helper()
	var found []byte
	r := Range{Limit: 1000}
	absent := map[byte]bool{0: true, 1: true, 2: true}
	total := 0
	for {
		pairs, err := s.Scan(r)
		check(t, err)
		if len(pairs) == 0 {
			break
		}
		for _, p := range pairs {
			total++
			if !slices.Contains(found, p.Value[0]) {
				found = append(found, p.Value[0])
			}
			var i int
			if _, err := fmt.Sscanf(string(p.Key), "key %d", &i); err != nil {
				t.Fatal(err)
			}
			if i%7 < 3 {
				absent[byte(i%7)] = false
			}
		}
		r.From = append(pairs[len(pairs)-1].Key, 0)
	}
	for _, v := range found {
		if !absent[v] {
			t.Errorf("version %d: keys that it removes are there", v)
		}
	}
	return found
}

const large = 8000 // writes of 400 bytes: several transactions

// TestLargeBatch ends at each step of a large batch, and opens what is left. Short tests end only at the first and the
// last step of each kind.
func TestLargeBatch(t *testing.T) {
	before := t.TempDir()
	db := mustOpen(t, before)
	check(t, db.Write(fill(db.Space("s"), 1, large)))
	check(t, db.Close())
	steps, kinds := largeSteps(t, before), map[string]int{}
	for i, step := range steps {
		kinds[step]++
		if testing.Short() && i > 0 && i+1 < len(steps) && steps[i-1] == step && steps[i+1] == step {
			continue
		}
		stopLarge(t, before, i, step)
	}
	if kinds["part"] < 3 || kinds["done"] != 1 || kinds["apply"] < 3 || kinds["clear"] < 1 {
		t.Errorf("steps %v: want several of each", kinds)
	}
}

// largeSteps writes a large batch after another, and returns its steps.
func largeSteps(t *testing.T, before string) (steps []string) {
	t.Helper()
	dir := t.TempDir()
	check(t, copyFiles(dir, before))
	db := mustOpen(t, dir)
	defer func() { check(t, db.Close()) }()
	db.hook = func(step string) error { steps = append(steps, step); return nil }
	s := db.Space("s")
	check(t, db.Write(fill(s, 2, large)))
	if got := versions(t, s); !bytes.Equal(got, []byte{2}) {
		t.Errorf("after the batch: versions %v", got)
	}
	return steps
}

// stopLarge writes a large batch after another, ends at a step, and opens what is left, twice.
func stopLarge(t *testing.T, before string, stop int, name string) {
	t.Helper()
	dir := t.TempDir()
	check(t, copyFiles(dir, before))
	db := mustOpen(t, dir)
	at, reached, killed := 0, "", ""
	db.hook = func(step string) error {
		if at++; at <= stop {
			return nil
		}
		reached, killed = step, crash(t, dir)
		return errors.New("stopped")
	}
	if err := db.Write(fill(db.Space("s"), 2, large)); err == nil || reached != name {
		t.Fatalf("stopped at %q, want %q: %v", reached, name, err)
	}
	check(t, db.Close())
	want := byte(2)
	if reached == "part" {
		want = 1
	}
	for round := range 2 {
		again := mustOpen(t, killed)
		if got := versions(t, again.Space("s")); !bytes.Equal(got, []byte{want}) {
			t.Errorf("stopped at step %d, %s, opened %d times: versions %v, want %d alone", stop, reached, round, got, want)
		}
		left, err := again.Space("journal").Scan(Range{Limit: 100})
		check(t, err)
		for _, p := range left {
			if reached != "clear" && round == 0 {
				t.Errorf("stopped at step %d, %s: %q is left of the journal", stop, reached, p.Key)
			}
		}
		check(t, again.Close())
	}
}

// TestJournalOfAnother opens journals that say what no journal says.
func TestJournalOfAnother(t *testing.T) {
	db := mustOpen(t, t.TempDir())
	journal := db.Space("journal")
	for _, mark := range []string{"x", "\xff\xff\xff\xff", "\x00\x00\x00\x02"} {
		write1(t, db, journal, "\x00\x00\x00\x00", "\x00\x00\x00\x03s/a\x00\x00\x00\x02v")
		write1(t, db, journal, "\x00\x00\x00\x01", "\x00\x00\x00\x09s/a")
		write1(t, db, journal, "done", mark)
		check(t, db.Sync())
		if _, err := Open(Options{Dir: crash(t, db.dir)}); !errors.Is(err, ErrCorrupt) {
			t.Errorf("mark %q: %v, want ErrCorrupt", mark, err)
		}
	}
}

func TestParseWrites(t *testing.T) {
	want := []write{{[]byte("key"), []byte("value")}, {[]byte("k"), nil}, {[]byte("e"), []byte{}}}
	var b []byte
	ends := map[int]bool{0: true}
	for _, w := range want {
		b = appendWrite(b, w)
		ends[len(b)] = true
	}
	for n := range len(b) + 1 {
		ws, err := parseWrites(b[:n])
		if (err == nil) != ends[n] {
			t.Errorf("%d of %d bytes: %v", n, len(b), err)
		}
		if n == len(b) {
			for i, w := range ws {
				if !bytes.Equal(w.key, want[i].key) || !bytes.Equal(w.value, want[i].value) ||
					(w.value == nil) != (want[i].value == nil) {
					t.Errorf("write %d: %v, want %v", i, w, want[i])
				}
			}
		}
	}
}

func BenchmarkWriteSync(b *testing.B) {
	db := mustOpen(b, b.TempDir())
	s := db.Space("s")
	value := make([]byte, 200)
	for i := 0; b.Loop(); i++ {
		var batch Batch
		for j := range 20 {
			batch.Set(s, fmt.Appendf(nil, "%d/%d", i, j), value)
		}
		check(b, db.Write(&batch))
		check(b, db.Sync())
	}
}

func BenchmarkGet(b *testing.B) {
	db := mustOpen(b, b.TempDir())
	s := db.Space("s")
	for i := range 100 {
		var batch Batch
		for j := range 1000 {
			batch.Set(s, fmt.Appendf(nil, "%d", i*1000+j), make([]byte, 100))
		}
		check(b, db.Write(&batch))
	}
	for i := 0; b.Loop(); i++ {
		if v, err := s.Get(fmt.Appendf(nil, "%d", i*7919%100_000)); err != nil || v == nil {
			b.Fatal(err)
		}
	}
}

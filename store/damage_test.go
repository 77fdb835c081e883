package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"walrus/internal/badgerdisk"
	"walrus/internal/faultfs"
	"walrus/shards"
)

// TestMain lets the tests run parts of themselves in processes of their own, which may die.
func TestMain(m *testing.M) {
	faultfs.Main()
	if part := os.Getenv("STORE_TEST_PART"); part != "" {
		parts[part](os.Getenv("STORE_TEST_DIR"))
		os.Exit(0)
	}
	os.Exit(m.Run())
}

var parts = map[string]func(dir string){"damaged": openDamaged, "live": cutWhileOpen, "writer": writeUntilKilled}

// command runs a part.
func command(ctx context.Context, part, dir string, env ...string) *exec.Cmd {
	c := exec.CommandContext(ctx, os.Args[0])
	c.Env = append(append(os.Environ(), "STORE_TEST_PART="+part, "STORE_TEST_DIR="+dir), env...)
	return c
}

func die(format string, a ...any) {
	fmt.Printf(format+"\n", a...)
	os.Exit(3)
}

const (
	templateBlobs = 60
	templateEpoch = 5 // and the two after
)

func templateRef(n int) (Ref, int) {
	size := 3000 + 37*n
	switch n % 10 {
	case 3:
		size = extentSize + 70_000
	case 7:
		size = 40
	}
	return Ref{Blob: blobID(n), Shard: n % 4, Axis: shards.Axis(n / 4 % 2)}, size
}

func templateEnd(n int) uint32 { return uint32(templateEpoch + n%3) }

// fillTemplate writes blobs [from, to) with all that belongs to them, each value once.
func fillTemplate(s *Store, from, to int) error {
	for n := from; n < to; n++ {
		ref, size := templateRef(n)
		err := errors.Join(
			s.PutBlob(ref.Blob, meta(n), templateEnd(n)),
			put(s, ref, content(ref, size)),
			s.PutCertificate(ref.Blob, uint32(n), fmt.Appendf(nil, "certificate %d", n)),
			s.PutState(fmt.Sprint("state", n), meta(n)))
		if err != nil {
			return err
		}
	}
	return s.Sync()
}

// makeTemplate makes a store that was opened twice, and the second time was closed or killed.
func makeTemplate(t *testing.T, killed bool) string {
	work, dir := t.TempDir(), t.TempDir()
	s, err := Open(small(work))
	check(t, err)
	check(t, fillTemplate(s, 0, templateBlobs/2))
	check(t, s.Close())
	s, err = Open(small(work))
	check(t, err)
	check(t, fillTemplate(s, templateBlobs/2, templateBlobs))
	if !killed {
		check(t, s.Close())
	}
	copyTree(t, dir, work)
	check(t, s.Close())
	return dir
}

// copyTree copies files and leaves holes where there are zeros. If a file vanishes meanwhile, because a table took the
// place of a log, it copies everything again.
func copyTree(t *testing.T, to, from string) {
	t.Helper()
	for range 100 {
		err := copyOnce(to, from)
		if err == nil {
			return
		}
		if !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
		check(t, os.RemoveAll(to))
	}
	t.Fatalf("%s does not come to rest", from)
}

func copyOnce(to, from string) error {
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		dst := filepath.Join(to, rel)
		if d.IsDir() {
			return os.MkdirAll(dst, 0o755)
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if err := os.WriteFile(dst, bytes.TrimRight(b, "\x00"), 0o644); err != nil {
			return err
		}
		return os.Truncate(dst, int64(len(b)))
	})
}

// harm damages one file and says how. Loss that this causes is noted by the store, if noted is set: of a
// log that ends early nobody can know.
func harm(r *rand.Rand, path string) (what string, noted bool, err error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return "", false, err
	}
	noted = true
	log := filepath.Ext(path) == ".mem" || filepath.Base(path) == "MANIFEST"
	// Most of a log file is a hole that nobody looks at.
	used := len(bytes.TrimRight(b, "\x00"))
	at := 0
	if used > 0 {
		at = r.IntN(used)
		if r.IntN(4) == 0 {
			at = min(used-1, r.IntN(200))
		}
	}
	switch k := r.IntN(7); {
	case k == 0 || len(b) == 0:
		what = "appended to"
		b = append(b, make([]byte, 1+r.IntN(5000))...)
		for i := used; i < len(b) && i < used+50; i++ {
			b[i] = byte(r.Uint32())
		}
	case k == 1:
		what, b, noted = fmt.Sprintf("cut at %d", at), b[:at], !log
	case k == 2:
		what, b, noted = "emptied", nil, !log
	case k == 3:
		n := min(1+r.IntN(600), len(b)-at)
		what, noted = fmt.Sprintf("zeroed %d at %d", n, at), !log
		clear(b[at:][:n])
	case k == 4:
		n := min(1+r.IntN(300), len(b)-at)
		what = fmt.Sprintf("overwrote %d at %d", n, at)
		for i := range n {
			b[at+i] = byte(r.Uint32())
		}
	case k == 5:
		what = fmt.Sprintf("set a byte to 255 at %d", at)
		b[at] = 255
	default:
		what = fmt.Sprintf("flipped a bit at %d", at)
		b[at] ^= 1 << r.IntN(8)
	}
	return fmt.Sprintf("%s: %s of %d", path, what, len(b)), noted, os.WriteFile(path, b, 0o644)
}

// pick chooses a file, each kind of file as often.
func pick(r *rand.Rand, dir string) (string, error) {
	kinds := map[string][]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			kind := filepath.Ext(path)
			switch d.Name() {
			case "MANIFEST":
				kind = "MANIFEST"
			case "KEYREGISTRY", "DISCARD", "LOCK", lockName, cleanName:
				kind = "other"
			}
			if strings.Contains(path, "meta") {
				kind = "meta" + kind
			}
			kinds[kind] = append(kinds[kind], path)
		}
		return err
	})
	var names []string
	for k := range kinds {
		names = append(names, k)
	}
	// The order of a map is not of the seed.
	for i := range names {
		for j := i; j > 0 && names[j] < names[j-1]; j-- {
			names[j], names[j-1] = names[j-1], names[j]
		}
	}
	files := kinds[names[r.IntN(len(names))]]
	return files[r.IntN(len(files))], err
}

// TestDamage flips, cuts and overwrites files of a stopped store and has another process make the best of it.
// STORE_TEST_TRIALS and STORE_TEST_SEED choose how often and how.
func TestDamage(t *testing.T) {
	trials := 16
	if testing.Short() {
		trials = 6
	}
	if n, err := strconv.Atoi(os.Getenv("STORE_TEST_TRIALS")); err == nil {
		trials = n
	}
	seed := rand.Uint64()
	if n, err := strconv.ParseUint(os.Getenv("STORE_TEST_SEED"), 10, 64); err == nil {
		seed = n
	}
	t.Logf("seed %d", seed)
	templates := []string{makeTemplate(t, false), makeTemplate(t, true)}
	for trial := range trials {
		t.Run(strconv.Itoa(trial), func(t *testing.T) {
			t.Parallel()
			damageTrial(t, rand.New(rand.NewPCG(seed, uint64(trial))), templates[trial%2])
		})
	}
}

func damageTrial(t *testing.T, r *rand.Rand, template string) {
	dir := t.TempDir()
	copyTree(t, dir, template)
	var harms []string
	noted := true
	for range 1 + r.IntN(3)*r.IntN(2) {
		path, err := pick(r, dir)
		check(t, err)
		what, n, err := harm(r, path)
		check(t, err)
		noted = noted && n
		harms = append(harms, what)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	out, err := command(ctx, "damaged", dir, fmt.Sprintf("STORE_TEST_NOTED=%t", noted)).CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s\n%.6000s", err, strings.Join(harms, "\n"), out)
	} else {
		t.Logf("%s\n%s", strings.Join(harms, "\n"), out)
	}
}

// openDamaged is the process that opens a damaged store: it must get right bytes or an error it knows for
// everything, be able to go on writing, and find the same after a restart.
func openDamaged(dir string) {
	cfg := small(dir)
	cfg.Logger = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError}))
	for round := range 2 {
		s, err := Open(cfg)
		if err != nil {
			die("open %d: %v", round, err)
		}
		readDamaged(s, round)
		n := 1000 + round
		ref := Ref{Blob: blobID(n), Shard: 1}
		err = errors.Join(s.PutBlob(ref.Blob, meta(n), templateEnd(n)), put(s, ref, content(ref, 600_000)),
			s.PutCertificate(ref.Blob, 1, []byte("new")), s.Sync())
		if err != nil {
			die("write after damage: %v", err)
		}
		for k := 1000; k <= n; k++ {
			ref := Ref{Blob: blobID(k), Shard: 1}
			if b, err := get(s, ref); err != nil || !bytes.Equal(b, content(ref, 600_000)) {
				die("read of what was written after damage: %v", err)
			}
		}
		if err := s.Close(); err != nil {
			die("close %d: %v", round, err)
		}
		if n := runtime.NumGoroutine(); n > 20 {
			die("%d goroutines are left", n)
		}
	}
}

// readDamaged reads everything of the template.
func readDamaged(s *Store, round int) {
	lost, corrupt := 0, map[string]bool{}
	see := func(what string, same bool, err error) {
		switch {
		case err == nil && !same:
			die("%s: wrong bytes", what)
		case errors.Is(err, ErrNotFound):
			lost++
		case errors.Is(err, ErrCorrupt):
			corrupt[what] = true
			lost++
		case err != nil:
			die("%s: %v", what, err)
		}
	}
	for n := range templateBlobs {
		ref, size := templateRef(n)
		b, err := get(s, ref)
		see(fmt.Sprint("sliver ", ref), bytes.Equal(b, content(ref, size)), err)
		b, err = s.Metadata(ref.Blob)
		see(fmt.Sprint("metadata ", ref.Blob), bytes.Equal(b, meta(n)), err)
		rec, err := s.Blob(ref.Blob)
		see(fmt.Sprint("blob record ", ref.Blob), rec.EndEpoch == templateEnd(n), err)
		b, err = s.Certificate(ref.Blob)
		see(fmt.Sprint("certificate ", ref.Blob), string(b) == fmt.Sprint("certificate ", n), err)
		b, err = s.State(fmt.Sprint("state", n))
		see(fmt.Sprint("state ", n), bytes.Equal(b, meta(n)), err)
	}
	reports := 0
	_, err := s.Scrub(context.Background(), func(r Ref, err error) {
		reports++
		var e *CorruptError
		if !errors.As(err, &e) {
			die("scrub reports %v", err)
		}
		what := e.Kind + " " + r.Blob.String()
		if e.Kind == "sliver" {
			what = e.Kind + " " + r.String()
		}
		delete(corrupt, what)
	})
	if err != nil {
		die("scrub: %v", err)
	}
	for what := range corrupt {
		// Scrub starts from the records; what has none is not looked for. State is not scrubbed.
		if !strings.HasPrefix(what, "state") && !strings.HasPrefix(what, "metadata") {
			die("%s is corrupt and scrub does not say so", what)
		}
	}
	if _, err := s.Stats(); err != nil {
		die("stats: %v", err)
	}
	incidents := s.Incidents()
	if lost > 0 && round == 0 && reports == 0 && len(incidents) == 0 && os.Getenv("STORE_TEST_NOTED") == "true" {
		die("%d values are lost and nobody is told", lost)
	}
	fmt.Printf("round %d: %d lost, %d reports, %d incidents\n", round, lost, reports, len(incidents))
}

// writeUntilKilled writes slivers for ever, and prints the number of each whose sync has returned.
func writeUntilKilled(dir string) {
	s, err := Open(small(dir))
	if err != nil {
		die("open: %v", err)
	}
	start, _ := strconv.Atoi(os.Getenv("STORE_TEST_START"))
	for n := start; ; n++ {
		ref := Ref{Blob: blobID(n), Shard: n % 4}
		err := errors.Join(s.PutBlob(ref.Blob, meta(n), templateEnd(n)), put(s, ref, content(ref, killSize(n))))
		if err != nil {
			die("write: %v", err)
		}
		if n%3 == 0 {
			if err := s.Sync(); err != nil {
				die("sync: %v", err)
			}
			fmt.Println(n)
		}
	}
}

func killSize(n int) int { return 1 + n*7919%1_500_000 }

// TestCutWhileOpen cuts sliver data under an open store, which has it mapped into its memory: reads behind the end
// are faults.
func TestCutWhileOpen(t *testing.T) {
	if out, err := command(t.Context(), "live", makeTemplate(t, false)).CombinedOutput(); err != nil {
		t.Errorf("%v\n%.6000s", err, out)
	}
}

func cutWhileOpen(dir string) {
	s, err := Open(small(dir))
	if err != nil {
		die("open: %v", err)
	}
	files, err := filepath.Glob(filepath.Join(dir, segmentsName, "*", "00000[12].vlog"))
	if err != nil || len(files) == 0 {
		die("%d files, %v", len(files), err)
	}
	for _, path := range files {
		if err := os.Truncate(path, 25); err != nil {
			die("%v", err)
		}
	}
	bad := 0
	for n := range templateBlobs {
		ref, size := templateRef(n)
		b, err := get(s, ref)
		switch {
		case err == nil && !bytes.Equal(b, content(ref, size)):
			die("wrong bytes")
		case errors.Is(err, ErrCorrupt), errors.Is(err, ErrNotFound):
			bad++
		case err != nil:
			die("read: %v", err)
		}
	}
	if _, err := s.Scrub(context.Background(), func(Ref, error) {}); err != nil && !errors.Is(err, ErrCorrupt) {
		die("scrub: %v", err)
	}
	if bad == 0 || len(s.Incidents()) == 0 {
		die("%d bad, %d incidents", bad, len(s.Incidents()))
	}
	ref := Ref{Blob: blobID(5000)}
	err = errors.Join(s.PutBlob(ref.Blob, meta(1), 99), put(s, ref, content(ref, 100_000)), s.Sync())
	if b, gerr := get(s, ref); err != nil || gerr != nil || !bytes.Equal(b, content(ref, 100_000)) {
		die("write: %v, %v", err, gerr)
	}
	if err := s.Close(); err != nil && !errors.Is(err, ErrCorrupt) {
		die("close: %v", err)
	}
}

// TestDatabaseInUse: a database that another program has open is not taken for a damaged one.
func TestDatabaseInUse(t *testing.T) {
	dir := makeTemplate(t, false)
	hold := func(glob string) (release func()) {
		paths, err := filepath.Glob(filepath.Join(dir, glob))
		if err != nil || len(paths) == 0 {
			t.Fatalf("%d databases, %v", len(paths), err)
		}
		var held []io.Closer
		for _, path := range paths {
			unlock, err := badgerdisk.Lock(path)
			check(t, err)
			held = append(held, unlock)
		}
		return func() {
			for _, h := range held {
				check(t, h.Close())
			}
		}
	}
	release := hold(metaName)
	_, err := Open(small(dir))
	wantErr(t, err, ErrLocked)
	release()
	release = hold("segments/*[0-9]") // opened when it is needed
	s := mustOpen(t, small(dir))
	ref, size := templateRef(0)
	_, err = get(s, ref)
	wantErr(t, err, ErrLocked)
	release()
	wantSliver(t, s, ref, content(ref, size))
	if list := s.Incidents(); len(list) > 0 {
		t.Errorf("incidents %+v", list)
	}
}

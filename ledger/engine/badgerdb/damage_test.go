package badgerdb

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/dgraph-io/badger/v4"

	"walrus/internal/faultfs"
)

// TestMain lets a test run a part of itself in a process that may die.
func TestMain(m *testing.M) {
	faultfs.Main()
	if dir := os.Getenv("BADGERDB_TEST_DIR"); dir != "" {
		seed, err := strconv.ParseUint(os.Getenv("BADGERDB_TEST_SEED"), 10, 64)
		rounds, err2 := strconv.Atoi(os.Getenv("BADGERDB_TEST_ROUNDS"))
		if err := errors.Join(err, err2, openDamaged(dir, seed, rounds)); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

const (
	templateKeys = 45_000 // several tables
	templateStep = 100    // keys in a batch
)

func templateValue(i int) []byte {
	return bytes.Repeat(fmt.Appendf(nil, "%d.", i), 40)
}

// makeTemplate makes a database whose batches are in order, so that whatever is lost must be lost from the end.
func makeTemplate(t *testing.T, killed bool) string {
	t.Helper()
	dir := t.TempDir()
	db := mustOpen(t, dir)
	for i := 0; i < templateKeys; i += templateStep {
		var b Batch
		for j := range templateStep {
			b.Set(db.Space("s"), fmt.Appendf(nil, "%08d", i+j), templateValue(i+j))
		}
		check(t, db.Write(&b))
	}
	check(t, db.Sync())
	if killed {
		return crash(t, dir)
	}
	check(t, db.Close())
	return dir
}

// TestDamage opens databases with one damaged file: the process goes on, and either the database is refused or what it
// has is right, but for batches at its end.
func TestDamage(t *testing.T) {
	rounds := 30
	if testing.Short() {
		rounds = 10
	}
	for _, killed := range []bool{false, true} {
		t.Run(fmt.Sprintf("killed=%t", killed), func(t *testing.T) {
			seed := uint64(time.Now().UnixNano())
			cmd := exec.CommandContext(t.Context(), os.Args[0])
			cmd.Env = append(os.Environ(), "BADGERDB_TEST_DIR="+makeTemplate(t, killed),
				fmt.Sprint("BADGERDB_TEST_SEED=", seed), fmt.Sprint("BADGERDB_TEST_ROUNDS=", rounds))
			out, err := cmd.CombinedOutput()
			lines := strings.Split(strings.TrimSpace(string(out)), "\n")
			if err != nil {
				t.Fatalf("seed %d: %v: %s", seed, err, strings.Join(lines[max(0, len(lines)-12):], "\n"))
			}
			refused := strings.Count(string(out), "refused")
			t.Logf("seed %d: %d of %d refused", seed, refused, rounds)
			if refused == 0 || refused == rounds {
				t.Errorf("%d of %d databases were refused: want some", refused, rounds)
			}
		})
	}
}

func openDamaged(template string, seed uint64, rounds int) error {
	for round := range rounds {
		r := rand.New(rand.NewPCG(seed, uint64(round)))
		dir, err := os.MkdirTemp("", "damaged")
		if err != nil {
			return err
		}
		what := ""
		if err = copyFiles(dir, template); err == nil {
			what, err = harm(r, dir)
		}
		if err != nil {
			return err
		}
		fmt.Printf("round %d: %s\n", round, what)
		if err := openAndRead(dir); err != nil {
			return fmt.Errorf("round %d: %s: %w", round, what, err)
		}
		if err := os.RemoveAll(dir); err != nil {
			return err
		}
	}
	return nil
}

// harm damages one file of a random kind and says how.
func harm(r *rand.Rand, dir string) (string, error) {
	files, err := os.ReadDir(dir)
	if err != nil {
		return "", err
	}
	kinds := map[string][]string{}
	var names []string
	for _, f := range files {
		kind := filepath.Ext(f.Name()) + f.Name()[:1]
		if !slices.Contains(names, kind) {
			names = append(names, kind)
		}
		kinds[kind] = append(kinds[kind], f.Name())
	}
	of := kinds[names[r.IntN(len(names))]]
	name := of[r.IntN(len(of))]
	path := filepath.Join(dir, name)
	b, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	at := 0
	if used := len(bytes.TrimRight(b, "\x00")); used > 0 {
		at = r.IntN(used)
		if r.IntN(4) == 0 {
			at = min(used-1, r.IntN(200))
		}
	}
	what := ""
	switch n := min(1+r.IntN(300), len(b)-at); r.IntN(6) {
	case 0:
		if name == badger.ManifestFilename && betweenEntries(b, at) {
			at++ // or it would be a manifest of fewer tables
		}
		what, b = "cut", b[:at]
	case 1:
		what, b = "emptied", nil
	case 2:
		what = "zeroed"
		clear(b[at:][:n])
	case 3:
		what = "overwrote"
		for i := range n {
			b[at+i] = byte(r.Uint32())
		}
	case 4:
		return name + " removed", os.Remove(path)
	default:
		what = "flipped"
		if len(b) > 0 {
			b[at] ^= 1 << r.IntN(8)
		}
	}
	return fmt.Sprintf("%s %s at %d of %d", name, what, at, len(b)), os.WriteFile(path, b, 0o600)
}

// betweenEntries says that an entry of a manifest begins at a byte.
func betweenEntries(b []byte, at int) bool {
	next := 8
	for next < at {
		next += 8 + int(binary.BigEndian.Uint32(b[next:]))
	}
	return next == at
}

func openAndRead(dir string) error {
	db, err := Open(Options{Dir: dir})
	if errors.Is(err, ErrCorrupt) {
		fmt.Println("refused:", err)
		return nil
	}
	if err != nil {
		return fmt.Errorf("refused, but not as damaged: %w", err)
	}
	next := 0
	r := Range{Limit: 1000}
	for {
		pairs, err := db.Space("s").Scan(r)
		if err != nil {
			return err
		}
		if len(pairs) == 0 {
			break
		}
		for _, p := range pairs {
			if string(p.Key) != fmt.Sprintf("%08d", next) || !bytes.Equal(p.Value, templateValue(next)) {
				return fmt.Errorf("key %s is there, or its value wrong; %d are in front of it", p.Key, next)
			}
			next++
		}
		r.From = append(pairs[len(pairs)-1].Key, 0)
	}
	fmt.Println("opened with", next)
	if next%templateStep != 0 {
		return fmt.Errorf("half a batch: %d keys", next)
	}
	var b Batch
	b.Set(db.Space("s"), []byte("new"), []byte("new"))
	return errors.Join(db.Write(&b), db.Sync(), db.Close())
}

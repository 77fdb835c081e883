package badgerdb

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestVerify: what the disk has lost in a table that was whole once is found by Verify. From then on Open refuses the
// database.
func TestVerify(t *testing.T) {
	dir := t.TempDir()
	db := mustOpen(t, dir)
	s := db.Space("s")
	for i := range 200 {
		write1(t, db, s, string([]byte{'a', byte(i)}), string(make([]byte, 200)))
	}
	check(t, db.Close())
	db = mustOpen(t, dir)
	check(t, db.verifyAll(t.Context()))
	check(t, db.Close())
	tables, err := filepath.Glob(filepath.Join(dir, "*.sst"))
	if err != nil || len(tables) != 1 {
		t.Fatalf("%d tables, %v", len(tables), err)
	}
	info, err := os.Stat(tables[0])
	check(t, err)
	b, err := os.ReadFile(tables[0])
	check(t, err)
	b[5000] ^= 1
	check(t, os.WriteFile(tables[0], b, 0o600))
	check(t, os.Chtimes(tables[0], time.Time{}, info.ModTime()))
	db = mustOpen(t, dir)
	if err := db.verifyAll(t.Context()); !errors.Is(err, ErrCorrupt) {
		t.Errorf("read back: %v, want ErrCorrupt", err)
	}
	check(t, db.Close())
	if _, err := Open(Options{Dir: dir}); !errors.Is(err, ErrCorrupt) {
		t.Errorf("opened with %v, want ErrCorrupt", err)
	}
}

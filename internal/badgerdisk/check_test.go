package badgerdisk

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/table"
)

var errDamage = errors.New("damage")

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func smallOptions(dir string) badger.Options {
	return Options(dir, nil).WithMemTableSize(1 << 20).WithNumMemtables(1).WithValueLogFileSize(1 << 20).
		WithValueThreshold(1 << 10).WithNumCompactors(0).WithNumLevelZeroTablesStall(1000)
}

// makeTemplate makes a database as its process leaves it when it is killed: two tables, a value log, and a write-ahead
// log that is longer than its entries.
func makeTemplate(t *testing.T) (dir string) {
	t.Helper()
	work, dir := t.TempDir(), t.TempDir()
	db, err := Open(smallOptions(work), errDamage)
	must(t, err)
	for i := range 3 {
		must(t, db.Do(func(b *badger.DB) error {
			txn := b.NewTransaction(true)
			defer txn.Discard()
			err := errors.Join(txn.Set(fmt.Appendf(nil, "short %d", i), []byte("value")),
				txn.Set(fmt.Appendf(nil, "long %d", i), make([]byte, 2000)))
			return errors.Join(err, txn.Commit())
		}))
		must(t, db.Sync())
		if i < 2 { // closing makes a table
			must(t, db.Close())
			db, err = Open(smallOptions(work), errDamage)
			must(t, err)
		}
	}
	copyFiles(t, dir, work)
	must(t, db.Close())
	return dir
}

func copyFiles(t *testing.T, to, from string) {
	t.Helper()
	files, err := os.ReadDir(from)
	must(t, err)
	for _, f := range files {
		b, err := os.ReadFile(filepath.Join(from, f.Name()))
		must(t, err)
		must(t, os.WriteFile(filepath.Join(to, f.Name()), b, 0o600))
	}
}

// first returns a file of a kind.
func first(t *testing.T, dir, ext string) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*"+ext))
	if err != nil || len(files) == 0 {
		t.Fatalf("no %s in %s: %v", ext, dir, err)
	}
	return files[0]
}

// edit changes the bytes of a file.
func edit(t *testing.T, path string, change func(b []byte) []byte) {
	t.Helper()
	b, err := os.ReadFile(path)
	must(t, err)
	must(t, os.WriteFile(path, change(b), 0o600))
}

// TestCheck damages a database and says what each mode makes of it. What a mode accepts, Badger opens.
func TestCheck(t *testing.T) {
	template := makeTemplate(t)
	manifest := func(dir string) string { return filepath.Join(dir, badger.ManifestFilename) }
	overwrite := func(at int) func([]byte) []byte {
		return func(b []byte) []byte { b[at] ^= 0xff; return b }
	}
	for _, tt := range []struct {
		name string
		harm func(t *testing.T, dir string)
		want [3]string // by mode, Patient as Salvage: "" as if nothing were, "refused: why", or "repaired: what"
	}{
		{"nothing", func(*testing.T, string) {}, [3]string{}},
		{"files without information are of another kind", func(t *testing.T, dir string) {
			for _, name := range []string{"LOCK", "DISCARD", "KEYREGISTRY"} {
				must(t, os.RemoveAll(filepath.Join(dir, name)))
				must(t, os.Mkdir(filepath.Join(dir, name), 0o700))
			}
		}, [3]string{}},
		{"manifest removed", func(t *testing.T, dir string) {
			must(t, os.Remove(manifest(dir)))
		}, [3]string{"refused: manifest: ", "refused: manifest: ", "repaired: manifest was rebuilt"}},
		{"manifest and tables removed", func(t *testing.T, dir string) {
			must(t, os.Remove(manifest(dir)))
			for range 2 {
				must(t, os.Remove(first(t, dir, ".sst")))
			}
		}, [3]string{"refused: manifest: ", "refused: manifest: ", "repaired: manifest was rebuilt"}},
		{"manifest cut", func(t *testing.T, dir string) {
			edit(t, manifest(dir), func(b []byte) []byte { return b[:len(b)-3] })
		}, [3]string{"refused: manifest: ends within an entry", "repaired: manifest ended within an entry",
			"repaired: manifest was rebuilt: ends within an entry"}},
		{"table overwritten", func(t *testing.T, dir string) {
			edit(t, first(t, dir, ".sst"), overwrite(3))
		}, [3]string{"refused: table ", "refused: table ", "repaired: index table "}},
		{"table removed", func(t *testing.T, dir string) {
			must(t, os.Remove(first(t, dir, ".sst")))
		}, [3]string{"refused: table ", "refused: table ", "repaired: index table "}},
		{"header of the value log overwritten", func(t *testing.T, dir string) {
			edit(t, first(t, dir, ".vlog"), overwrite(3))
		}, [3]string{"refused: wrong header", "repaired: header of 20 bytes", "repaired: header of 20 bytes"}},
		{"value log emptied", func(t *testing.T, dir string) {
			must(t, os.Truncate(first(t, dir, ".vlog"), 0))
		}, [3]string{"refused: wrong header", "repaired: header of 0 bytes", "repaired: header of 0 bytes"}},
		{"value log without a value, as a killed process leaves it, behind the last one", func(t *testing.T, dir string) {
			must(t, os.WriteFile(filepath.Join(dir, "000098.vlog"), make([]byte, logHeader), 0o600))
			must(t, os.WriteFile(filepath.Join(dir, "000099.vlog"), make([]byte, logHeader), 0o600))
		}, [3]string{}},
		{"newest value log made and never written", func(t *testing.T, dir string) {
			must(t, os.WriteFile(filepath.Join(dir, "000099.vlog"), nil, 0o600))
		}, [3]string{"", "repaired: header of 0 bytes", "repaired: header of 0 bytes"}},
		{"header of the write-ahead log overwritten", func(t *testing.T, dir string) {
			edit(t, first(t, dir, memExt), overwrite(3))
		}, [3]string{"refused: wrong header", "repaired: header of 20 bytes", "repaired: header of 20 bytes"}},
		{"write-ahead log emptied", func(t *testing.T, dir string) {
			must(t, os.Truncate(first(t, dir, memExt), 0))
		}, [3]string{}},
		{"entry of the write-ahead log overwritten", func(t *testing.T, dir string) {
			edit(t, first(t, dir, memExt), overwrite(logHeader+9))
		}, [3]string{"repaired: was cut at byte 20", "repaired: was cut at byte 20", "repaired: was cut at byte 20"}},
		{"file with the name of a table", func(t *testing.T, dir string) {
			must(t, os.WriteFile(filepath.Join(dir, "copy.sst"), nil, 0o600))
		}, [3]string{"refused: unexpected file", "refused: unexpected file", "refused: unexpected file"}},
	} {
		for mode := Refuse; mode <= Patient; mode++ {
			want := tt.want[min(mode, Salvage)]
			t.Run(fmt.Sprintf("%s/mode %d", tt.name, mode), func(t *testing.T) {
				dir := t.TempDir()
				copyFiles(t, dir, template)
				tt.harm(t, dir)
				opt := smallOptions(dir)
				repaired, err := Check(&opt, mode, errDamage)
				kind, text, _ := strings.Cut(want, ": ")
				switch {
				case kind == "refused":
					if !errors.Is(err, errDamage) || !strings.Contains(err.Error(), text) {
						t.Errorf("error %v, want damage with %q", err, text)
					}
					return
				case err != nil:
					t.Fatal(err)
				case kind == "" && len(repaired) > 0, kind == "repaired" && !strings.Contains(strings.Join(repaired, "; "), text):
					t.Errorf("repaired %q, want %q", repaired, text)
				}
				db, err := Open(opt, errDamage)
				must(t, err)
				must(t, db.Close())
			})
		}
	}
}

// decay changes a file as a disk does that forgets: the system does not know.
func decay(t *testing.T, path string, change func(b []byte) []byte) {
	t.Helper()
	info, err := os.Stat(path)
	must(t, err)
	edit(t, path, change)
	must(t, os.Chtimes(path, time.Time{}, info.ModTime()))
}

// TestVerified: a table is read as a whole once. Then only a change of its file, its index, its last block, scanned
// keys and distrust matter; CheckTable finds the rest.
func TestVerified(t *testing.T) {
	for mode := Refuse; mode <= Patient; mode++ {
		dir := t.TempDir()
		db, err := Open(manyBlocks(dir), errDamage)
		must(t, err)
		must(t, db.Do(func(b *badger.DB) error { return setAll(b, 500) }))
		must(t, db.Close())
		check := func(scanned ...Scan) error {
			opt := manyBlocks(dir)
			repaired, err := Check(&opt, mode, errDamage, scanned...)
			if len(repaired) > 0 && mode >= Salvage { // give the table back
				left := first(t, dir, ".corrupt")
				must(t, os.Rename(left, strings.TrimSuffix(left, ".corrupt")))
				return errDamage
			}
			return err
		}
		must(t, check())
		path := first(t, dir, tableExt)
		id, _ := table.ParseFileID(filepath.Base(path))
		if n, err := CheckTable(dir, id, errDamage); err != nil || n == 0 {
			t.Errorf("a whole table: %d bytes, %v", n, err)
		}
		whole, err := os.ReadFile(path)
		must(t, err)
		list, err := os.ReadFile(filepath.Join(dir, verifiedName))
		must(t, err)
		for _, tt := range []struct {
			name    string
			at      int // from the end, if negative
			edit    func(*testing.T, string, func([]byte) []byte)
			scanned []string
			before  func()
			want    bool
		}{
			{"first block", 3, decay, nil, nil, false},
			{"first block, others scanned", 3, decay, []string{"key 4", "a", "z"}, nil, false},
			{"first block, scanned", 3, decay, []string{"key 0000"}, nil, true},
			{"first block, all scanned", 3, decay, []string{"key"}, nil, true},
			{"first block, changed", 3, edit, nil, nil, true},
			{"first block, distrusted", 3, decay, nil, func() { must(t, Distrust(dir)) }, true},
			{"first block, list damaged", 3, decay, nil, func() {
				edit(t, filepath.Join(dir, verifiedName), func(b []byte) []byte { b[0] ^= 1; return b })
			}, true},
			{"index", -40, decay, nil, nil, true},
		} {
			tt.edit(t, path, func(b []byte) []byte { b[(tt.at+len(b))%len(b)] ^= 1; return b })
			if tt.before != nil {
				tt.before()
			}
			var scanned []Scan
			for _, s := range tt.scanned {
				scanned = append(scanned, Scan{Prefix: []byte(s), Last: 1})
			}
			if err := check(scanned...); errors.Is(err, errDamage) != tt.want {
				t.Errorf("mode %d, %s: %v, want damage: %t", mode, tt.name, err, tt.want)
			}
			if _, err := CheckTable(dir, id, errDamage); !errors.Is(err, errDamage) {
				t.Errorf("mode %d, %s: CheckTable: %v", mode, tt.name, err)
			}
			// As it was, to the nanosecond.
			must(t, os.WriteFile(path, whole, 0o600))
			must(t, os.WriteFile(filepath.Join(dir, verifiedName), list, 0o600))
			s := readVerified(dir)[id]
			must(t, os.Chtimes(path, time.Time{}, time.Unix(0, s.changed)))
			if mode >= Salvage {
				c := bare(dir, mode)
				c.tables[id] = true
				must(t, c.writeManifest())
			}
			must(t, check())
		}
		if _, err := CheckTable(dir, 999, errDamage); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("no table: %v", err)
		}
	}
}

func bare(dir string, mode Mode) *check {
	opt := manyBlocks(dir)
	return &check{dir: dir, opt: &opt, mode: mode, damage: errDamage, tables: map[uint64]bool{}}
}

func manyBlocks(dir string) badger.Options { return smallOptions(dir).WithBlockSize(1 << 10) }

func setAll(b *badger.DB, n int) error {
	txn := b.NewTransaction(true)
	defer txn.Discard()
	for i := range n {
		if err := txn.Set(fmt.Appendf(nil, "key %05d", i), make([]byte, 100)); err != nil {
			return err
		}
	}
	return txn.Commit()
}

// TestListedWhileOpen: tables that a process made are known to be whole after a kill, if it has synced since.
func TestListedWhileOpen(t *testing.T) {
	dir := t.TempDir()
	opt := manyBlocks(dir)
	_, err := Check(&opt, Refuse, errDamage)
	must(t, err)
	db, err := Open(opt, errDamage)
	must(t, err)
	for len(readVerified(dir)) < 2 {
		must(t, db.Do(func(b *badger.DB) error { return setAll(b, 500) }))
		must(t, db.Sync())
	}
	for id, s := range readVerified(dir) {
		info, err := os.Stat(table.NewFilename(id, dir))
		must(t, err)
		if stampOf(info) != s {
			t.Errorf("table %d: %+v is listed, not %+v", id, s, stampOf(info))
		}
	}
	must(t, db.Distrust())
	must(t, db.Do(func(b *badger.DB) error { return setAll(b, 500) }))
	must(t, db.Close())
	if list := readVerified(dir); list != nil {
		t.Errorf("distrusted, and lists %v", list)
	}
}

// TestRefusedIsUntouched: a database that is refused for a table keeps the end of its write-ahead log.
func TestRefusedIsUntouched(t *testing.T) {
	dir := makeTemplate(t)
	edit(t, first(t, dir, ".sst"), func(b []byte) []byte { return b[:len(b)/2] })
	before, err := os.ReadFile(first(t, dir, memExt))
	must(t, err)
	opt := smallOptions(dir)
	if _, err := Check(&opt, Refuse, errDamage); !errors.Is(err, errDamage) {
		t.Fatalf("checked with %v, want damage", err)
	}
	if after, err := os.ReadFile(first(t, dir, memExt)); err != nil || !bytes.Equal(before, after) {
		t.Errorf("write-ahead log of %d bytes became one of %d: %v", len(before), len(after), err)
	}
}

func TestLock(t *testing.T) {
	dir := t.TempDir()
	for _, path := range []string{dir, filepath.Join(dir, "file")} {
		unlock, err := Lock(path)
		must(t, err)
		if _, err := Lock(path); !errors.Is(err, ErrLocked) {
			t.Errorf("locked %s twice: %v, want ErrLocked", path, err)
		}
		must(t, unlock.Close())
	}
	db, err := Open(smallOptions(dir), errDamage)
	must(t, err)
	opt := smallOptions(dir)
	if _, err := Check(&opt, Salvage, errDamage); !errors.Is(err, ErrLocked) {
		t.Errorf("checked an open database: %v, want ErrLocked", err)
	}
	if _, err := Open(opt, errDamage); !errors.Is(err, ErrLocked) {
		t.Errorf("opened twice: %v, want ErrLocked", err)
	}
	must(t, db.Close())
	_, err = Check(&opt, Salvage, errDamage)
	must(t, err)
}

func TestRefused(t *testing.T) {
	for _, tt := range []struct {
		err  error
		want bool
	}{
		{fmt.Errorf("open: %w", syscall.EMFILE), true},
		{errors.New("while opening memtables: " + syscall.ENOSPC.Error()), true}, // as Badger says it
		{fmt.Errorf("read: %w", syscall.EIO), false},
		{errors.New("checksum mismatch"), false},
		{nil, false},
	} {
		if got := Refused(tt.err); got != tt.want {
			t.Errorf("%v: refused %t, want %t", tt.err, got, tt.want)
		}
	}
}

// TestFault: a panic becomes an error, and the database says that it must not be closed.
func TestFault(t *testing.T) {
	db, err := Open(smallOptions(""), errDamage)
	must(t, err)
	if db.Wedged() {
		t.Error("wedged before the fault")
	}
	if err := db.Do(func(*badger.DB) error { panic("fault") }); !errors.Is(err, errDamage) || !db.Wedged() {
		t.Errorf("after a panic: %v, wedged %t", err, db.Wedged())
	}
	must(t, db.Close()) // nothing of Badger's had panicked
}

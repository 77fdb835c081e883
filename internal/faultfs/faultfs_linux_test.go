package faultfs

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) {
	Main()
	os.Exit(m.Run())
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func syncPath(t *testing.T, path string) {
	t.Helper()
	f, err := os.Open(path)
	check(t, err)
	check(t, f.Sync())
	check(t, f.Close())
}

// left returns what a loss of power would leave of the file name: its content, or "-" if there is none.
func left(t *testing.T, fsys *FS, name string, seed uint64) string {
	t.Helper()
	out := t.TempDir()
	check(t, fsys.PowerLoss(out, seed))
	b, err := os.ReadFile(filepath.Join(out, name))
	if errors.Is(err, os.ErrNotExist) {
		return "-"
	}
	check(t, err)
	return string(b)
}

func TestForgets(t *testing.T) {
	fsys := Mount(t)
	name := filepath.Join(fsys.Dir(), "a")
	want := func(what, content string) {
		t.Helper()
		if got := left(t, fsys, "a", 0); got != content {
			t.Errorf("%s: %q is left, not %q", what, got, content)
		}
	}
	check(t, os.WriteFile(name, []byte("one"), 0o600))
	want("written", "-")
	syncPath(t, name)
	want("file synced, directory not", "-")
	syncPath(t, fsys.Dir())
	want("both synced", "one")

	f, err := os.OpenFile(name, os.O_RDWR, 0)
	check(t, err)
	defer func() { check(t, f.Close()) }()
	check(t, f.Truncate(10000))
	m, err := unix.Mmap(int(f.Fd()), 0, 10000, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	check(t, err)
	copy(m[9000:], "far")
	want("changed through a map", "one")
	check(t, unix.Msync(m, unix.MS_SYNC))
	want("map synced", "one"+string(make([]byte, 8997))+"far"+string(make([]byte, 997)))
	check(t, unix.Munmap(m))

	check(t, os.Rename(name, name+"b"))
	if got := left(t, fsys, "ab", 0); got != "-" {
		t.Errorf("a renamed file is left as %.10q without a sync of its directory", got)
	}
	syncPath(t, fsys.Dir())
	want("renamed, directory synced", "-")
	if got := left(t, fsys, "ab", 0); len(got) != 10000 {
		t.Errorf("of the renamed file %d bytes are left", len(got))
	}
}

// TestAnyPart finds that of unsynced writes everything may be left: nothing, all, some sectors.
func TestAnyPart(t *testing.T) {
	fsys := Mount(t)
	name := filepath.Join(fsys.Dir(), "a")
	check(t, os.WriteFile(name, bytes.Repeat([]byte("o"), pageSize), 0o600))
	syncPath(t, name)
	syncPath(t, fsys.Dir())
	check(t, os.WriteFile(name+"2", nil, 0o600))
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	check(t, err)
	_, err = f.Write(bytes.Repeat([]byte("n"), pageSize))
	check(t, err)
	check(t, f.Close())
	seen := map[string]bool{}
	for seed := uint64(1); seed < 60; seed++ {
		got := left(t, fsys, "a", seed)
		switch n := bytes.Count([]byte(got), []byte("n")); {
		case len(got) != pageSize || n%sectorSize != 0:
			t.Fatalf("seed %d: %d bytes with %d new ones", seed, len(got), n)
		case n == 0:
			seen["nothing"] = true
		case n == pageSize:
			seen["all"] = true
		default:
			seen["some"] = true
		}
		seen["entry "+left(t, fsys, "a2", seed)] = true
	}
	if len(seen) != 5 {
		t.Errorf("seen only: %v", seen)
	}
}

func TestFaults(t *testing.T) {
	fsys := Mount(t)
	name := filepath.Join(fsys.Dir(), "a")
	f, err := os.Create(name)
	check(t, err)
	defer func() { _ = f.Close() }()
	write := func() error { _, err := f.WriteAt([]byte("x"), 0); return err }

	check(t, fsys.Set(Fault{Op: Write, After: 1, Times: 1, Errno: syscall.EIO}))
	if a, b, c := write(), write(), write(); a != nil || !errors.Is(b, syscall.EIO) || c != nil {
		t.Errorf("second write must fail: %v, %v, %v", a, b, c)
	}
	check(t, fsys.Set(Fault{Op: Sync, Path: "/a", Errno: syscall.EIO}))
	if err := f.Sync(); !errors.Is(err, syscall.EIO) {
		t.Errorf("sync: %v", err)
	}
	check(t, fsys.Set(Fault{Errno: syscall.EROFS}))
	if _, err := os.Create(name + "2"); !errors.Is(err, syscall.EROFS) {
		t.Errorf("create: %v", err)
	}
	check(t, fsys.Set(Fault{Op: Write, Delay: 50 * time.Millisecond}))
	start := time.Now()
	check(t, write())
	if time.Since(start) < 50*time.Millisecond {
		t.Error("the write did not wait")
	}
	check(t, fsys.SetSize(1<<20))
	if _, err := f.WriteAt(make([]byte, 2<<20), 0); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("write beyond the size: %v", err)
	}
	var st unix.Statfs_t
	check(t, unix.Statfs(fsys.Dir(), &st))
	if total := int64(st.Blocks) * st.Bsize; total != 1<<20 {
		t.Errorf("the file system has %d bytes", total)
	}
}

// TestFailedSync finds that what a failed sync did not write stays lost, whatever a later one says.
func TestFailedSync(t *testing.T) {
	fsys := Mount(t)
	name := filepath.Join(fsys.Dir(), "a")
	check(t, os.WriteFile(name, []byte("one"), 0o600))
	syncPath(t, name)
	syncPath(t, fsys.Dir())
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	check(t, err)
	defer func() { check(t, f.Close()) }()
	_, err = f.WriteString("two")
	check(t, err)
	check(t, fsys.Set(Fault{Op: Sync, Times: 1, Errno: syscall.EIO}))
	if err := f.Sync(); !errors.Is(err, syscall.EIO) {
		t.Fatalf("sync: %v", err)
	}
	check(t, f.Sync())
	if got := left(t, fsys, "a", 0); got != "one" {
		t.Errorf("%q is left", got)
	}
	_, err = f.WriteAt([]byte("six"), 0)
	check(t, err)
	check(t, f.Sync())
	if got := left(t, fsys, "a", 0); got != "six" {
		t.Errorf("%q is left after another write", got)
	}
}

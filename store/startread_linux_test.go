package store

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"walrus/internal/badgerdisk"
)

// TestStartReadsDisk opens stores whose files are not in memory. Open reads a hundredth of a store at most, and not
// more from one with many times the bytes.
func TestStartReadsDisk(t *testing.T) {
	parent := diskDir(t)
	blobs := 4000
	if testing.Short() {
		blobs = 1500
	}
	var read []int64
	for _, size := range []int{64, 4096} {
		dir, err := os.MkdirTemp(parent, "store")
		check(t, err)
		t.Cleanup(func() { check(t, os.RemoveAll(dir)) })
		cfg := small(dir)
		s, err := Open(cfg)
		check(t, err)
		for i := range blobs {
			check(t, s.PutBlob(blobID(i), meta(i), 5))
			for shard := range 4 {
				check(t, put(s, Ref{Blob: blobID(i), Shard: shard}, make([]byte, size)))
			}
		}
		check(t, s.Close())
		total, err := badgerdisk.Used(dir)
		check(t, err)
		var most int64
		for range 3 {
			evict(t, dir)
			before := diskReads(t)
			s, err = Open(cfg)
			check(t, err)
			most = max(most, diskReads(t)-before)
			check(t, s.Close())
		}
		t.Logf("slivers of %d bytes: %d of %d KiB read", size, most>>10, total>>10)
		read = append(read, most)
		if size > 1000 && most > total/100 {
			t.Errorf("Open reads %d of %d bytes", most, total)
		}
	}
	if read[1] > 3*read[0]/2 {
		t.Errorf("Open reads %v bytes, more with more bytes", read)
	}
}

// diskDir is a directory on a disk whose reads the system counts.
func diskDir(t *testing.T) string {
	t.Helper()
	for _, dir := range []string{t.TempDir(), "/var/tmp"} {
		path := filepath.Join(dir, fmt.Sprintf("disk-%d", os.Getpid()))
		if os.Mkdir(path, 0o700) != nil {
			continue
		}
		t.Cleanup(func() { _ = os.RemoveAll(path) })
		check(t, os.WriteFile(filepath.Join(path, "file"), make([]byte, 1<<20), 0o600))
		evict(t, path)
		before := diskReads(t)
		_, err := os.ReadFile(filepath.Join(path, "file"))
		check(t, err)
		if diskReads(t)-before >= 1<<20 {
			return path
		}
	}
	t.Skip("no directory lies on a disk whose reads are counted")
	return ""
}

// diskReads returns the bytes that this process has had read from disks, through memory maps as well.
func diskReads(t *testing.T) (n int64) {
	t.Helper()
	b, err := os.ReadFile("/proc/self/io")
	check(t, err)
	_, rest, found := strings.Cut(string(b), "\nread_bytes: ")
	if _, err := fmt.Sscan(rest, &n); err != nil || !found {
		t.Fatalf("/proc/self/io: %q", b)
	}
	return n
}

// evict drops the files in dir from the page cache.
func evict(t *testing.T, dir string) {
	t.Helper()
	for _, pattern := range []string{"*", "*/*", "*/*/*"} {
		files, err := filepath.Glob(filepath.Join(dir, pattern))
		check(t, err)
		for _, path := range files {
			f, err := os.Open(path)
			check(t, err)
			check(t, unix.Fdatasync(int(f.Fd())))
			check(t, unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED))
			check(t, f.Close())
		}
	}
}

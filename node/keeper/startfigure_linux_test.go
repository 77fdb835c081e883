package keeper

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestStartFigure measures starts with many small slivers. Environment: KEEPER_START_SLIVERS, such as 1000000, and
// KEEPER_START_SIZE, the bytes of each, 64 by default. The files are evicted from memory before each start.
func TestStartFigure(t *testing.T) {
	slivers, err := strconv.Atoi(os.Getenv("KEEPER_START_SLIVERS"))
	if err != nil {
		t.Skip("set KEEPER_START_SLIVERS")
	}
	size := 64
	if text := os.Getenv("KEEPER_START_SIZE"); text != "" {
		size, err = strconv.Atoi(text)
		must(t, err)
	}
	h := newHome(t, 0)
	p := h.start(t)
	<-p.Serving()
	<-p.life.counted.done
	for i := range slivers / 2 {
		id := homeBlob(i)
		h.ledger.mu.Lock()
		h.certify(id)
		h.ledger.mu.Unlock()
		must(t, p.store.PutBlob(id, []byte("m"), 9))
		putPair(t, p.store, id, size)
		must(t, p.store.PutCertificate(id, 1, []byte("c")))
	}
	p.end()
	for _, killed := range []bool{false, true} {
		for range 2 {
			if killed { // an unclean stop is one without this file
				must(t, os.Remove(filepath.Join(h.dir, "clean")))
			}
			h.evict(t)
			runtime.GC()
			was := memory()
			began, read := time.Now(), diskReads(t)
			p := h.start(t)
			<-p.Serving()
			took := time.Since(began)
			runtime.GC()
			t.Logf("killed %t: %d slivers of %d bytes: serving after %v, %d KiB read from the disk, heap %d KiB, %d reads of the ledger",
				killed, slivers, size, took.Round(time.Millisecond), (diskReads(t)-read)>>10, (memory()-was)>>10,
				h.ledger.reads.Load())
			p.stop()
			must(t, p.tasks.Wait())
			must(t, p.store.Close())
		}
	}
}

func memory() int64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// diskReads returns the bytes that this process has had read from the disk, by mappings of files as well.
func diskReads(t *testing.T) (n int64) {
	t.Helper()
	b, err := os.ReadFile("/proc/self/io")
	must(t, err)
	_, rest, found := strings.Cut(string(b), "read_bytes: ")
	if _, err := fmt.Sscan(rest, &n); err != nil || !found {
		t.Fatalf("/proc/self/io: %q", b)
	}
	return n
}

// evict drops a home's files from the page cache.
func (h *home) evict(t *testing.T) {
	t.Helper()
	must(t, filepath.WalkDir(h.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		if err := unix.Fdatasync(int(f.Fd())); err != nil {
			return err
		}
		return unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED)
	}))
}

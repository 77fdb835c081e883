//go:build linux

package store

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"syscall"
	"testing"
	"time"

	"walrus/internal/badgerdisk"
)

// memoryDisk mounts a file system of so many bytes in memory.
func memoryDisk(t testing.TB, size int64) string {
	t.Helper()
	dir := t.TempDir()
	if os.Geteuid() != 0 {
		t.Skip("needs root, to mount a file system of a given size")
	}
	var memory syscall.Sysinfo_t
	if err := syscall.Sysinfo(&memory); err != nil || int64(memory.Totalram)*int64(memory.Unit) < 2*size {
		t.Skipf("needs %d MiB of memory for a file system of half of that: %v", 2*size>>20, err)
	}
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%d", size)); err != nil {
		t.Skipf("cannot mount a file system of a given size: %v", err)
	}
	t.Cleanup(func() { check(t, syscall.Unmount(dir, syscall.MNT_DETACH)) })
	return dir
}

// spaceRun stores and deletes on a small disk.
type spaceRun struct {
	t       *testing.T
	s       *Store
	r       *rand.Rand
	size    int64 // of the disk
	next    int   // number of the next blob
	blobs   []spaceBlob
	live    int64 // bytes of those
	written int64
	moved   int64
	worst   float64 // the greatest live share at which something was stored
}

type spaceBlob struct {
	ref  Ref
	size int
}

// store stores a blob, and sometimes aborts one first.
func (p *spaceRun) store() error {
	p.next++
	b := spaceBlob{Ref{Blob: blobID(p.next), Shard: p.next % 100}, int(p.size>>13) + p.r.IntN(int(p.size>>8))}
	if err := p.s.PutBlob(b.ref.Blob, meta(p.next), uint32(10+p.r.IntN(40))); err != nil {
		return err
	}
	if p.r.IntN(8) == 0 {
		w, err := p.s.Create(b.ref, int64(b.size))
		if err == nil {
			_, err = w.Write(make([]byte, b.size-1))
			w.Abort()
		}
		if err != nil {
			return err
		}
		p.written += int64(b.size)
	}
	err := put(p.s, b.ref, content(b.ref, b.size))
	if err == nil && p.next%4 == 0 {
		err = p.s.Sync()
	}
	if err != nil {
		return errors.Join(err, p.s.DropBlob(b.ref.Blob, []int{b.ref.Shard}))
	}
	p.blobs = append(p.blobs, b)
	p.live += int64(b.size)
	p.written += int64(b.size)
	p.worst = max(p.worst, float64(p.live)/float64(p.size))
	return nil
}

// drop deletes a blob: any, or the next.
func (p *spaceRun) drop(i int) {
	b := p.blobs[i]
	check(p.t, p.s.DropBlob(b.ref.Blob, []int{b.ref.Shard}))
	p.blobs[i] = p.blobs[len(p.blobs)-1]
	p.blobs = p.blobs[:len(p.blobs)-1]
	p.live -= int64(b.size)
}

// verify reads everything.
func (p *spaceRun) verify() {
	p.t.Helper()
	for _, b := range p.blobs {
		wantSliver(p.t, p.s, b.ref, content(b.ref, b.size))
	}
}

// TestSpace stores and deletes on a small disk 2.5 times what it holds. It never refuses while less than 75 % live.
// After it was full, deleting half brings it back, without any work in the background. STORE_SPACE_GIB chooses another
// size of the disk.
func TestSpace(t *testing.T) {
	size := int64(256 << 20)
	if testing.Short() { // under the race detector
		size /= 2
	}
	if gib := os.Getenv("STORE_SPACE_GIB"); gib != "" {
		n, err := strconv.ParseInt(gib, 10, 32)
		check(t, err)
		size = n << 30
	}
	cfg := Default(memoryDisk(t, size) + "/store")
	cfg.MinFree = size / 16
	if size < 1<<30 {
		cfg.MemTable, cfg.ValueLog = 1<<20, 4<<20
	}
	p := &spaceRun{t: t, s: mustOpen(t, cfg), r: rand.New(rand.NewPCG(1, 2)), size: size}
	start := time.Now()
	for goal := size * 5 / 2; p.written < goal; {
		for float64(p.live) > 0.735*float64(size) {
			p.drop(p.r.IntN(len(p.blobs)))
		}
		before := p.written
		if err := p.store(); err != nil {
			free, _ := badgerdisk.Free(cfg.Dir)
			t.Fatalf("after %d MiB, with %.1f %% live, %d MiB free: %v\n%s", p.written>>20, 100*float64(p.live)/float64(size), free>>20, err, tree(cfg.Dir))
		}
		if before/(size/2) != p.written/(size/2) { // now and then
			p.moved += p.s.compactor.moved.Load()
			check(t, p.s.Close())
			p.s = mustOpen(t, cfg)
		}
	}
	t.Logf("stored %d MiB in %v at up to %.1f %% live, moved %d MiB", p.written>>20, time.Since(start).Round(time.Millisecond), 100*p.worst, (p.moved+p.s.compactor.moved.Load())>>20)
	p.verify()
	var err error
	for err == nil {
		err = p.store()
	}
	wantErr(t, err, ErrFull)
	t.Logf("full with %.1f %% live: %v", 100*float64(p.live)/float64(size), err)
	deleting := time.Now()
	for range len(p.blobs) / 2 {
		p.drop(p.r.IntN(len(p.blobs)))
	}
	half := p.live
	t.Logf("deleted half in %v", time.Since(deleting).Round(time.Millisecond))
	for float64(p.live) < 0.74*float64(size) {
		if err := p.store(); err != nil {
			t.Fatalf("after half was deleted, %d of %d MiB more were stored: %v", (p.live-half)>>20, size>>20, err)
		}
	}
	t.Logf("stored %d MiB more after %v", (p.live-half)>>20, time.Since(deleting).Round(time.Millisecond))
	p.verify()
	wantCounts(t, p.s)
	// What ends takes its space along.
	check(t, p.s.DropEpoch(100))
	if st, err := p.s.Stats(); err != nil || st.Slivers != 0 || st.Blobs != 0 || st.Bytes > size/50 {
		t.Errorf("after the end: %+v, %v\n%s", st, err, tree(cfg.Dir))
	}
	if used, err := badgerdisk.Used(cfg.Dir); err != nil || used > size/20 {
		t.Errorf("after the end %d bytes are used, %v\n%s", used, err, tree(cfg.Dir))
	}
}

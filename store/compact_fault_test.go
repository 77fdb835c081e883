package store

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"walrus/internal/faultfs"
)

// compactRun makes segments of which a third lives.
type compactRun struct {
	t       *testing.T
	s       *Store
	written int
	live    map[int]bool
}

// fill stores n slivers and drops two thirds of them. All that is live is synced.
func (c *compactRun) fill(n int) {
	c.t.Helper()
	for i := c.written; i < c.written+n; i++ {
		ref, size := powerSliver(i)
		check(c.t, errors.Join(c.s.PutBlob(ref.Blob, meta(i), templateEnd(i)), put(c.s, ref, content(ref, size))))
		c.live[i] = true
	}
	for i := c.written; i < c.written+n; i++ {
		if i%3 > 0 {
			ref, _ := powerSliver(i)
			check(c.t, c.s.DropBlob(ref.Blob, []int{ref.Shard}))
			delete(c.live, i)
		}
	}
	c.written += n
	check(c.t, c.s.Sync())
}

// verify opens a store and checks that what lives is there.
func (c *compactRun) verify(cfg Config, why string) {
	c.t.Helper()
	s, err := Open(cfg)
	if err != nil {
		c.t.Fatalf("%s: %v\n%s", why, err, tree(cfg.Dir))
	}
	defer func() { check(c.t, s.Close()) }()
	c.check(s, why)
	wantCounts(c.t, s)
	if _, err := s.Scrub(c.t.Context(), func(r Ref, err error) { c.t.Errorf("%s: %v: %v", why, r, err) }); err != nil {
		c.t.Errorf("%s: scrub: %v", why, err)
	}
	check(c.t, s.tending.settle(c.t.Context()))
	check(c.t, s.tending.list(c.t.Context()))
	if _, err := compactNow(s); err != nil {
		c.t.Errorf("%s: compact again: %v", why, err)
	}
	c.check(s, why+", and after another compaction")
	if c.t.Failed() {
		c.t.Fatalf("%s: %v\n%s", why, s.Incidents(), tree(cfg.Dir))
	}
}

func (c *compactRun) check(s *Store, why string) {
	c.t.Helper()
	for n := range c.live {
		ref, size := powerSliver(n)
		if got, err := get(s, ref); err != nil || !bytes.Equal(got, content(ref, size)) {
			c.t.Errorf("%s: sliver %d: %d of %d bytes, %v", why, n, len(got), size, err)
		}
		if m, err := s.Metadata(ref.Blob); err != nil || !bytes.Equal(m, meta(n)) {
			c.t.Errorf("%s: metadata %d: %v", why, n, err)
		}
	}
}

func compactConfig(dir string) Config {
	cfg := small(dir)
	cfg.Segment = 1 << 20
	return cfg
}

// TestPowerLossCompact loses power at any moment of a compaction: what was synced stays.
func TestPowerLossCompact(t *testing.T) {
	moments := 24
	if testing.Short() {
		moments = 6
	}
	disk := faultfs.Mount(t)
	s, err := Open(compactConfig(filepath.Join(disk.Dir(), "store")))
	check(t, err)
	c := &compactRun{t: t, s: s, live: map[int]bool{}}
	cut := 0
	for moment := range moments {
		c.fill(12)
		before, err := disk.Ops()
		check(t, err)
		done := make(chan error, 1)
		go func() {
			_, err := compactNow(s)
			done <- err
		}()
		ended := false
		for now := before; now < before+int64(moment*moment/3); {
			now, err = disk.Ops()
			check(t, err)
			if ended = len(done) > 0; ended {
				break
			}
		}
		out := t.TempDir()
		check(t, disk.PowerLoss(out, uint64(moment)))
		if !ended {
			cut++
		}
		check(t, <-done)
		c.verify(compactConfig(filepath.Join(out, "store")), fmt.Sprintf("power lost at moment %d", moment))
		check(t, os.RemoveAll(out))
	}
	check(t, s.Close())
	if cut < moments/2 {
		t.Errorf("power was lost %d times during a compaction", cut)
	}
}

// TestBadDiskCompact makes the disk refuse during a compaction, at every kind of operation and at several moments. What
// lives can be read meanwhile, is there after a loss of power, and the compaction succeeds once the disk works again.
func TestBadDiskCompact(t *testing.T) {
	afters := []int{0, 1, 4, 12, 30}
	if testing.Short() {
		afters = []int{3}
	}
	for _, f := range []struct {
		name string
		op   faultfs.Op
		path string
		errs []syscall.Errno
	}{
		{"write", faultfs.Write, "", []syscall.Errno{syscall.EIO, syscall.ENOSPC}},
		{"sync", faultfs.Sync, "", []syscall.Errno{syscall.EIO, syscall.ENOSPC}},
		{"sync of a directory", faultfs.SyncOp, "", []syscall.Errno{syscall.EIO}},
		{"make, rename or remove", faultfs.DirOp, "", []syscall.Errno{syscall.EIO, syscall.ENOSPC, syscall.EROFS}},
		{"resize", faultfs.Resize, "", []syscall.Errno{syscall.EIO, syscall.ENOSPC}},
		// Badger ends the process if it cannot open its discard statistics.
		{"open a log", faultfs.Open, ".vlog", []syscall.Errno{syscall.EIO}},
		{"open a table", faultfs.Open, ".sst", []syscall.Errno{syscall.EIO}},
	} {
		for _, errno := range f.errs {
			for _, times := range []int{1, 0} {
				for _, after := range afters {
					name := fmt.Sprintf("%s, %v, %d times after %d", f.name, errno, times, after)
					t.Run(name, func(t *testing.T) {
						disk := faultfs.Mount(t)
						t.Parallel()
						badDiskCompact(t, disk, faultfs.Fault{Op: f.op, Path: f.path, Errno: errno, Times: times, After: after})
					})
				}
			}
		}
	}
}

func badDiskCompact(t *testing.T, disk *faultfs.FS, fault faultfs.Fault) {
	cfg := compactConfig(filepath.Join(disk.Dir(), "store"))
	s, err := Open(cfg)
	check(t, err)
	c := &compactRun{t: t, s: s, live: map[int]bool{}}
	c.fill(15)
	check(t, s.Close()) // segments are parked, and opened by the compaction
	s, err = Open(cfg)
	check(t, err)
	check(t, disk.Set(fault))
	if _, err := compactNow(s); err != nil {
		t.Logf("compact: %.200v", err)
	}
	out := t.TempDir()
	check(t, disk.PowerLoss(out, 0))
	check(t, disk.Set())
	c.verify(compactConfig(filepath.Join(out, "store")), "after a loss of power")
	again := func() error {
		c.check(s, "once the disk works again")
		for _, b := range s.segments.all() {
			b.blocked.Store(false)
		}
		_, err := compactNow(s)
		return errors.Join(err, s.Sync())
	}
	if err := again(); err != nil {
		t.Logf("closed and opened again: %.300v", err)
		if err := s.Close(); err != nil {
			t.Logf("close: %.200v", err)
		}
		s, err = Open(cfg)
		check(t, err)
		check(t, again())
	}
	check(t, s.Close())
	c.verify(cfg, "in the end")
}

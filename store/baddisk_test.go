package store

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"walrus/internal/faultfs"
)

// TestBadDisk makes a real disk refuse, at every kind of operation and at several moments. Whatever happens:
//
//   - nothing panics, and the store keeps answering;
//   - what a Sync without an error covered survives a loss of power;
//   - once the disk works again, so does the store, at the latest after it was closed and opened.
func TestBadDisk(t *testing.T) {
	afters := []int{0, 1, 5}
	if testing.Short() {
		afters = []int{1}
	}
	for _, c := range []struct {
		name   string
		faults []faultfs.Fault
	}{
		{"write fails once", []faultfs.Fault{{Op: faultfs.Write, Times: 1, Errno: syscall.EIO}}},
		{"writes fail", []faultfs.Fault{{Op: faultfs.Write, Errno: syscall.EIO}}},
		{"sync fails once", []faultfs.Fault{{Op: faultfs.Sync, Times: 1, Errno: syscall.EIO}}},
		{"syncs fail", []faultfs.Fault{{Op: faultfs.Sync, Errno: syscall.EIO}}},
		{"sync of the value log fails once", []faultfs.Fault{{Op: faultfs.Sync, Path: vlogExt, Times: 1, Errno: syscall.EIO}}},
		{"sync of the memtable's log fails once", []faultfs.Fault{{Op: faultfs.Sync, Path: ".mem", Times: 1, Errno: syscall.EIO}}},
		{"sync of a directory fails once", []faultfs.Fault{{Op: faultfs.SyncOp, Times: 1, Errno: syscall.EIO}}},
		{"syncs of directories fail", []faultfs.Fault{{Op: faultfs.SyncOp, Errno: syscall.EIO}}},
		{"no new files", []faultfs.Fault{{Op: faultfs.DirOp, Errno: syscall.ENOSPC}}},
		{"files cannot grow", []faultfs.Fault{{Op: faultfs.Resize, Errno: syscall.ENOSPC}}},
		{"writes find no space", []faultfs.Fault{{Op: faultfs.Write, Errno: syscall.ENOSPC}}},
		{"read-only", readOnly()},
		{"slow", []faultfs.Fault{{Times: 3, Delay: time.Second}}},
	} {
		for _, after := range afters {
			t.Run(fmt.Sprintf("%s after %d", c.name, after), func(t *testing.T) {
				// All file systems are mounted before the first test goes on: a child holds our locks until its exec.
				disk := faultfs.Mount(t)
				t.Parallel()
				faults := slices.Clone(c.faults)
				for i := range faults {
					faults[i].After = after
				}
				testBadDisk(t, disk, faults)
			})
		}
	}
}

// readOnly is a file system that its kernel has made read-only after an error.
func readOnly() (all []faultfs.Fault) {
	for _, op := range []faultfs.Op{faultfs.Write, faultfs.Sync, faultfs.SyncOp, faultfs.DirOp, faultfs.Resize} {
		all = append(all, faultfs.Fault{Op: op, Errno: syscall.EROFS})
	}
	return all
}

const vlogExt = ".vlog"

func testBadDisk(t *testing.T, disk *faultfs.FS, faults []faultfs.Fault) {
	cfg := small(filepath.Join(disk.Dir(), "store"))
	s, err := Open(cfg)
	check(t, err)
	durable := map[int]bool{}
	write := func(from, to int) error {
		var errs []error
		for n := from; n < to; n++ {
			ref, size := powerSliver(n)
			errs = append(errs, s.PutBlob(ref.Blob, meta(n), templateEnd(n)), put(s, ref, content(ref, size)))
		}
		return errors.Join(errs...)
	}
	// sync syncs, and if that succeeds takes note of what is visible.
	sync := func(to int) error {
		visible := map[int]bool{}
		for n := range to {
			ref, _ := powerSliver(n)
			if _, err := s.Metadata(ref.Blob); err == nil {
				visible[n], _ = s.HasSliver(ref)
			}
		}
		if err := s.Sync(); err != nil {
			return err
		}
		for n := range visible {
			ref, _ := powerSliver(n)
			if has, err := s.HasSliver(ref); err == nil && has {
				durable[n] = true
			}
		}
		return nil
	}
	check(t, write(0, 4))
	check(t, sync(4))
	check(t, disk.Set(faults...))
	for n := 4; n < 24; n += 4 {
		if err := write(n, n+4); err != nil {
			t.Logf("write: %.200v", err)
		}
		if err := sync(n + 4); err != nil {
			t.Logf("sync: %.200v", err)
		}
	}
	left := t.TempDir()
	check(t, disk.PowerLoss(left, 0))
	wantDurable(t, small(filepath.Join(left, "store")), durable)
	check(t, disk.Set())
	if err := errors.Join(write(24, 28), sync(28)); err != nil {
		t.Logf("closed and opened again: %.200v", err)
		if err := s.Close(); err != nil {
			t.Logf("close: %.200v", err)
		}
		s, err = Open(cfg)
		check(t, err)
		check(t, write(24, 28))
		check(t, sync(28))
	}
	if len(durable) < 8 {
		t.Errorf("only %d slivers are durable", len(durable))
	}
	check(t, s.Close())
	check(t, os.RemoveAll(left))
	check(t, os.Mkdir(left, 0o700))
	check(t, disk.PowerLoss(left, 0))
	wantDurable(t, small(filepath.Join(left, "store")), durable)
}

// wantDurable opens what a loss of power left.
func wantDurable(t *testing.T, cfg Config, durable map[int]bool) {
	t.Helper()
	s, err := Open(cfg)
	if err != nil {
		t.Fatalf("open after a loss of power: %v\n%s", err, tree(cfg.Dir))
	}
	defer func() { check(t, s.Close()) }()
	wantCounts(t, s)
	for n := range durable {
		ref, size := powerSliver(n)
		got, err := get(s, ref)
		if err != nil || !bytes.Equal(got, content(ref, size)) {
			t.Errorf("sliver %d: %d of %d bytes, %v", n, len(got), size, err)
		}
		if m, err := s.Metadata(ref.Blob); err != nil || !bytes.Equal(m, meta(n)) {
			t.Errorf("metadata %d: %v", n, err)
		}
	}
}

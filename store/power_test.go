package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"walrus/internal/faultfs"
)

// TestPowerLoss writes to a disk that forgets what was not synced. In whatever state a loss of power leaves the disk:
// the store opens, what was synced is there, and what is there is whole. Power is lost right after a sync, and at any
// moment of the next one.
func TestPowerLoss(t *testing.T) {
	moments := 20
	if testing.Short() {
		moments = 6
	}
	disk := faultfs.Mount(t)
	s, err := Open(small(filepath.Join(disk.Dir(), "store")))
	check(t, err)
	written := 0
	write := func(n int) {
		var wg sync.WaitGroup
		for i := written; i < written+n; i++ {
			wg.Go(func() {
				ref, size := powerSliver(i)
				err := errors.Join(s.PutBlob(ref.Blob, meta(i), templateEnd(i)), put(s, ref, content(ref, size)),
					s.PutCertificate(ref.Blob, uint32(i), fmt.Appendf(nil, "certificate %d", i)))
				if err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		written += n
	}
	for moment := range moments {
		write(10)
		check(t, s.Sync())
		synced := written
		write(6)
		afterPowerLoss(t, disk, 0, synced, written)
		before, err := disk.Ops()
		check(t, err)
		done := make(chan error, 1)
		go func() { done <- s.Sync() }()
		for now := before; now < before+int64(moment); { // the sync has come so far
			now, err = disk.Ops()
			check(t, err)
			if len(done) > 0 {
				break
			}
		}
		afterPowerLoss(t, disk, uint64(moment+1), synced, written)
		check(t, <-done)
	}
	check(t, s.Close())
	afterPowerLoss(t, disk, 0, written, written)
}

// TestPowerLossFullMemtable loses power while tables are slow to be written: records that were synced are then only in
// the logs of memtables that are full.
func TestPowerLossFullMemtable(t *testing.T) {
	disk := faultfs.Mount(t)
	s, err := Open(small(filepath.Join(disk.Dir(), "store")))
	check(t, err)
	check(t, disk.Set(faultfs.Fault{Op: faultfs.Sync, Path: ".sst", Delay: 2 * time.Second}))
	const blobs = 500
	for n := range blobs {
		check(t, s.PutState(fmt.Sprint("state", n), meta(n)))
	}
	check(t, s.Sync())
	out := t.TempDir()
	check(t, disk.PowerLoss(out, 0))
	check(t, disk.Set())
	check(t, s.Close())
	s = mustOpen(t, small(filepath.Join(out, "store")))
	for n := range blobs {
		if b, err := s.State(fmt.Sprint("state", n)); err != nil || !bytes.Equal(b, meta(n)) {
			t.Fatalf("state %d: %v", n, err)
		}
	}
}

func powerSliver(n int) (Ref, int) {
	return Ref{Blob: blobID(n), Shard: n % 4}, 1 + n*7919%300_000
}

// afterPowerLoss opens what is left of the disk now. The first synced slivers must be there; of the next ones, up to
// written, each may be.
func afterPowerLoss(t *testing.T, disk *faultfs.FS, seed uint64, synced, written int) {
	t.Helper()
	out := t.TempDir()
	check(t, disk.PowerLoss(out, seed))
	defer func() { check(t, os.RemoveAll(out)) }()
	s, err := Open(small(filepath.Join(out, "store")))
	if err != nil {
		t.Fatalf("seed %d, %d synced: %v\n%s", seed, synced, err, tree(out))
	}
	defer func() { check(t, s.Close()) }()
	if doubts := wantCounts(t, s); doubts > 0 {
		t.Logf("seed %d: %d databases were counted anew", seed, doubts)
	}
	for n := range written {
		ref, size := powerSliver(n)
		got, err := get(s, ref)
		if n >= synced && errors.Is(err, ErrNotFound) {
			continue
		}
		if err != nil || !bytes.Equal(got, content(ref, size)) {
			t.Fatalf("seed %d: sliver %d of %d synced: %d of %d bytes, %v\n%v", seed, n, synced, len(got), size, err, s.Incidents())
		}
		if n >= synced {
			continue
		}
		m, err := s.Metadata(ref.Blob)
		if err != nil || !bytes.Equal(m, meta(n)) {
			t.Fatalf("seed %d: metadata of blob %d of %d synced: %v", seed, n, synced, err)
		}
		c, err := s.Certificate(ref.Blob)
		if err != nil || string(c) != fmt.Sprintf("certificate %d", n) {
			t.Fatalf("seed %d: certificate %d of %d synced: %q, %v", seed, n, synced, c, err)
		}
	}
	if _, err := s.Scrub(context.Background(), func(r Ref, err error) { t.Errorf("seed %d: %v: %v", seed, r, err) }); err != nil {
		t.Fatal(err)
	}
	if seed != 0 {
		return // the torn end of a log looks like damage, and is listed as such
	}
	for _, i := range s.Incidents() {
		t.Errorf("incident after a loss of power: %+v", i)
	}
}

// tree lists the files in dir.
func tree(dir string) string {
	var b bytes.Buffer
	_ = filepath.WalkDir(dir, func(path string, d fs.DirEntry, _ error) error {
		if i, err := d.Info(); err == nil {
			fmt.Fprintf(&b, "%9d %s\n", i.Size(), path[len(dir):])
		}
		return nil
	})
	return b.String()
}

package badgerdb

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"walrus/internal/faultfs"
)

// TestPowerLoss writes batches to a disk that forgets what was not synced. In whatever state a loss of power leaves
// the disk: the database opens, batches that were synced are there, and each batch is there as a whole or not at all.
func TestPowerLoss(t *testing.T) {
	moments := 15
	if testing.Short() {
		moments = 5
	}
	const step = 60 // keys in a batch
	disk := faultfs.Mount(t)
	db, err := Open(Options{Dir: filepath.Join(disk.Dir(), "ledger")})
	check(t, err)
	written := 0
	write := func() {
		size := step
		if written%7 == 6 {
			size = 40 * step // goes through the journal
		}
		var b Batch
		for j := range size {
			b.Set(db.Space("s"), fmt.Appendf(nil, "%04d-%05d", written, j), templateValue(written))
		}
		b.Set(db.Space("sizes"), fmt.Appendf(nil, "%04d", written), fmt.Appendf(nil, "%d", size))
		check(t, db.Write(&b))
		written++
	}
	for moment := range moments {
		for range 1 + moment%3 {
			write()
		}
		check(t, db.Sync())
		synced := written
		write()
		afterPowerLoss(t, disk, 0, synced, written)
		done := make(chan error, 1)
		before, err := disk.Ops()
		check(t, err)
		go func() { done <- db.Sync() }()
		for now := before; now < before+int64(moment%12) && len(done) == 0; { // the sync has come so far
			now, err = disk.Ops()
			check(t, err)
		}
		afterPowerLoss(t, disk, uint64(moment+1), synced, written)
		check(t, <-done)
	}
	check(t, db.Close())
	afterPowerLoss(t, disk, 0, written, written)
}

// afterPowerLoss opens what is left of the disk now. The first synced batches must be there; of the next ones, up to
// written, each may be.
func afterPowerLoss(t *testing.T, disk *faultfs.FS, seed uint64, synced, written int) {
	t.Helper()
	out := t.TempDir()
	check(t, disk.PowerLoss(out, seed))
	defer func() { check(t, os.RemoveAll(out)) }()
	db, err := Open(Options{Dir: filepath.Join(out, "ledger")})
	if err != nil {
		t.Fatalf("seed %d, %d synced: %v", seed, synced, err)
	}
	defer func() { check(t, db.Close()) }()
	for n := range written {
		var size int
		text, err := db.Space("sizes").Get(fmt.Appendf(nil, "%04d", n))
		there := err == nil && text != nil
		if there {
			_, err = fmt.Sscan(string(text), &size)
		}
		if err != nil || !there && n < synced {
			t.Fatalf("seed %d: batch %d of %d synced: there %v, %v", seed, n, synced, there, err)
		}
		if !there {
			size = 1
		}
		for j := range size {
			v, err := db.Space("s").Get(fmt.Appendf(nil, "%04d-%05d", n, j))
			if err != nil || there != (v != nil) || there && !bytes.Equal(v, templateValue(n)) {
				t.Fatalf("seed %d: key %d of batch %d of %d synced, there %v: %.40q, %v", seed, j, n, synced, there, v, err)
			}
		}
	}
}

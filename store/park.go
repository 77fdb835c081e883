package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"

	"walrus/internal/badgerdisk"
)

// parking lets a segment's database be closed while it is not used, and opened when it is. What the store must know of
// a parked one is in memory, and for the next start in a summary beside its folder. A summary exists only while
// nothing has been written since, so it is never wrong.
type parking struct {
	reopen func() (*database, error) // nil: the database is never parked; constant
	opened func()                    // called after it was opened again; constant
	used   atomic.Int64              // when it was used last, by the clock of segments
	noted  atomic.Bool               // there is a summary

	mu sync.Mutex // held to remove the summary
}

// summarySize: version u64 ‖ noted version u64 ‖ disk space u64. Format 3 had two more numbers before the last.
const summarySize = 3 * 8

// summaryKey returns what the summary's checksum covers beside it.
func summaryKey(path string) []byte { return []byte(filepath.Base(path)) }

// forget removes the summary, durably, before the first write.
func (p *parking) forget(path string) error {
	if !p.noted.Load() {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.noted.Load() {
		return nil
	}
	if err := os.Remove(path + closedSuffix); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err := badgerdisk.SyncPath(filepath.Dir(path)); err != nil {
		return err
	}
	p.noted.Store(false)
	return nil
}

// summary encodes what the store must know of a database that is closed. The caller holds life.
func (d *database) summary() []byte {
	d.mu.Lock()
	defer d.mu.Unlock()
	b := make([]byte, 0, summarySize+crcSize)
	for _, n := range []uint64{d.eng.index().version(), d.marks.noted, uint64(d.size.Load())} {
		b = binary.BigEndian.AppendUint64(b, n)
	}
	return seal(summaryKey(d.path), b)
}

// parked returns the database that a summary describes, or nil if there is no good one.
func (o opener) parked(path string) *database {
	b, err := os.ReadFile(path + closedSuffix)
	if err != nil {
		return nil
	}
	b, err = unseal(summaryKey(path), b)
	if err != nil || len(b) != summarySize && len(b) != summarySize+2*8 {
		return nil
	}
	if _, err := os.Stat(path); err != nil {
		return nil
	}
	version, noted, size := binary.BigEndian.Uint64(b), binary.BigEndian.Uint64(b[8:]), binary.BigEndian.Uint64(b[len(b)-8:])
	d := newDatabase(path, nil)
	d.grew = o.usage.add
	d.marks = marks{opened: version, was: noted, noted: noted}
	d.size.Store(int64(size))
	d.park.noted.Store(true)
	return d
}

// unpark opens the database again.
func (d *database) unpark() error {
	err := func() error {
		d.life.Lock()
		defer d.life.Unlock()
		if d.closed {
			return errGone
		}
		if d.eng != nil {
			return nil
		}
		fresh, err := d.park.reopen()
		if err != nil {
			return err
		}
		fresh.mu.Lock()
		defer fresh.mu.Unlock()
		if fresh.doubted.Load() {
			d.doubted.Store(true)
		}
		if fresh.doubted.Load() || fresh.damaged || fresh.dirty.Load() {
			if err := d.park.forget(d.path); err != nil {
				return errors.Join(err, fresh.eng.close())
			}
		}
		d.mu.Lock()
		defer d.mu.Unlock()
		d.eng = fresh.eng
		if fresh.dirty.Load() { // it was damaged, and made anew
			maps.Copy(d.unsynced, fresh.unsynced)
			d.dirty.Store(true)
		}
		d.marks.noted = fresh.marks.noted
		d.size.Store(fresh.size.Load())
		return nil
	}()
	if err == nil {
		d.park.opened()
	}
	return err
}

// tryPark closes the database, if nobody uses it and everything in it is durable. It reports whether it did.
func (d *database) tryPark() (bool, error) {
	if d.park.reopen == nil || !d.life.TryLock() {
		return false, nil
	}
	defer d.life.Unlock()
	d.mu.Lock()
	busy := len(d.unsynced) > 0 || d.redo || d.tally.refused || d.doubted.Load()
	d.mu.Unlock()
	if d.closed || d.eng == nil || busy || !d.clean() {
		return false, nil
	}
	summary := d.summary()
	err := d.eng.close()
	if errors.Is(err, ErrCorrupt) { // it faulted, and stays open
		return false, err
	}
	d.eng = nil
	if err != nil {
		return true, fmt.Errorf("close %s: %w", d.path, err)
	}
	if d.park.noted.Swap(true) { // before the file: if that cannot be synced, it may be there all the same
		return true, nil
	}
	if err := writeFile(d.path+closedSuffix, summary); err != nil {
		return true, fmt.Errorf("note that %s is closed: %w", d.path, err)
	}
	return true, nil
}

// parks reports that the database is closed for now.
func (d *database) parks() bool {
	d.life.RLock()
	defer d.life.RUnlock()
	return d.eng == nil
}

// writeFile replaces a small file, durably.
func writeFile(path string, b []byte) error {
	if old, err := os.ReadFile(path); err == nil && bytes.Equal(old, b) {
		return nil
	}
	if err := os.WriteFile(path+newSuffix, b, 0o600); err != nil {
		return err
	}
	if err := badgerdisk.SyncPath(path + newSuffix); err != nil {
		return err
	}
	if err := os.Rename(path+newSuffix, path); err != nil {
		return err
	}
	return badgerdisk.SyncPath(filepath.Dir(path))
}

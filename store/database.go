package store

import (
	"bytes"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
)

// errGone is returned by a closed database: the store was closed, or the segment dropped.
var errGone = errors.New("database is closed")

// maxUnsynced bounds the small records that wait for a sync, in bytes.
const maxUnsynced = 8 << 20

// database is an engine that may be closed while others use it, and that keeps small records when a sync fails. The
// kernel drops pages that it could not write but calls them clean, so a second sync would succeed and mean nothing.
type database struct {
	path string // constant

	life   sync.RWMutex // held shared by each operation, exclusively to park and to close
	closed bool         // guarded by life
	eng    engine       // nil while parked; guarded by life
	park   parking
	// refused is called when a write or a sync failed, so that earlier unsynced writes may be lost; constant.
	refused func()
	// grew is called with the bytes written; constant.
	grew    func(n int64)
	dirty   atomic.Bool  // something was written since the last sync began
	syncing sync.Mutex   // one sync at a time, or the second would return before the first is done
	syncs   atomic.Int32 // syncs under way, or waiting
	// changing: counted records change one batch after the other.
	changing sync.Mutex
	size     atomic.Int64 // bytes of disk space, by what it was when opened and what was written since
	faults

	mu       sync.Mutex
	unsynced map[string]entry // records written since the last sync that succeeded; guarded by mu
	bytes    int              // of unsynced; guarded by mu
	redo     bool             // write unsynced again before the next sync; guarded by mu
	failures uint64           // of writes; guarded by mu
	tally    tally            // of meta; guarded by mu
	marks    marks            // see loadMark
}

// faults tells what damage and a refusing disk have done to a database.
type faults struct {
	damaged bool // something was lost when it was opened; constant after opening
	// doubted: of a segment, its account may be wrong until settleAll has counted anew.
	doubted atomic.Bool
}

func newDatabase(path string, eng engine) *database {
	return &database{path: path, eng: eng, refused: func() {}, grew: func(int64) {}, unsynced: make(map[string]entry)}
}

func (d *database) use(fn func() error) error {
	for {
		d.life.RLock()
		if d.closed {
			d.life.RUnlock()
			return errGone
		}
		if d.eng != nil {
			break
		}
		d.life.RUnlock()
		if err := d.unpark(); err != nil {
			return err
		}
	}
	defer d.life.RUnlock()
	return fn()
}

func (d *database) get(key []byte, fn func([]byte) error) error {
	return d.use(func() error { return d.eng.get(key, fn) })
}

// write applies a batch that need not survive a failed sync. A failed write counts as a failed sync, because the engine
// sometimes syncs by itself.
func (d *database) write(batch ...entry) error {
	return d.use(func() error {
		if err := d.park.forget(d.path); err != nil {
			return diskError(err)
		}
		err := d.eng.write(batch)
		d.dirty.Store(true) // after the write: a sync that clears the mark must cover it
		if err != nil {
			d.mu.Lock()
			d.redo, d.tally.refused = true, true
			d.failures++
			d.mu.Unlock()
			d.refused()
			return err
		}
		n := 0
		for _, e := range batch {
			n += len(e.key) + len(e.value)
		}
		d.size.Add(int64(n))
		d.grew(int64(n))
		return nil
	})
}

func (d *database) scan(prefix, after []byte, limit int, since uint64, fn func(key []byte) error) error {
	return d.use(func() error { return d.eng.scan(prefix, after, limit, since, fn) })
}

// record returns a copy of the payload of a sealed record.
func (d *database) record(key []byte) (payload []byte, err error) {
	err = d.get(key, func(v []byte) error {
		payload, err = unseal(key, bytes.Clone(v))
		return err
	})
	if err != nil {
		return nil, err
	}
	return payload, nil
}

// put seals and writes small records, and deletes others, all or none. Counted records need change.
func (d *database) put(batch ...entry) error {
	full, err := d.keep(batch)
	if err == nil && full {
		err = d.sync()
	}
	return err
}

// keep is put without a sync. It reports whether one is due.
func (d *database) keep(batch []entry) (full bool, err error) {
	for i, e := range batch {
		if !e.del {
			batch[i].value = seal(e.key, bytes.Clone(e.value))
		}
	}
	if err := d.write(batch...); err != nil {
		d.recall(batch)
		return false, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, e := range batch {
		d.remember(e)
	}
	return d.bytes > maxUnsynced, nil
}

// recall remembers what can be read after a batch has failed. It may have landed, and then a redo must not put earlier
// values in its place.
func (d *database) recall(batch []entry) {
	for _, e := range batch {
		now := entry{key: e.key}
		err := d.get(e.key, func(v []byte) error {
			now.value = bytes.Clone(v)
			return nil
		})
		if now.del = errors.Is(err, ErrNotFound); err != nil && !now.del {
			continue
		}
		d.mu.Lock()
		d.remember(now)
		d.mu.Unlock()
	}
}

// remember adds an entry to unsynced. The caller holds mu.
func (d *database) remember(e entry) {
	k := string(e.key)
	if old, ok := d.unsynced[k]; ok {
		d.bytes -= len(k) + len(old.value)
	}
	d.unsynced[k] = e
	d.bytes += len(k) + len(e.value)
}

// clean reports that everything written is durable.
func (d *database) clean() bool {
	// A sync clears the mark before it is done, and sets it again if it fails.
	return !d.dirty.Load() && d.syncs.Load() == 0 && !d.dirty.Load()
}

// sync makes everything written before the call durable.
func (d *database) sync() error {
	d.syncs.Add(1) // before the mark is cleared
	defer d.syncs.Add(-1)
	d.syncing.Lock()
	defer d.syncing.Unlock()
	if !d.dirty.Swap(false) {
		return nil
	}
	d.mu.Lock()
	batch, size, redo, failures, seq := d.unsynced, d.bytes, d.redo, d.failures, d.tally.seq
	d.unsynced, d.bytes, d.redo = make(map[string]entry), 0, false
	d.mu.Unlock()

	err := d.use(func() error {
		if redo {
			if err := d.rewrite(batch); err != nil {
				return err
			}
		}
		return d.eng.sync()
	})
	d.mu.Lock()
	if err == nil && d.failures != failures {
		err = errors.New("a write failed during the sync")
	}
	if err == nil {
		d.tally.synced = max(d.tally.synced, seq)
		d.mu.Unlock()
		return nil
	}
	d.redo, d.tally.refused = true, true
	newer := d.unsynced
	d.unsynced, d.bytes = batch, size
	for _, e := range newer {
		d.remember(e)
	}
	d.mu.Unlock()
	d.dirty.Store(true)
	d.refused()
	return fmt.Errorf("sync %s: %w", d.path, err)
}

// rewrite writes records again, one by one, after making sure that the next Open counts: a crash in between may leave
// records without their counts.
func (d *database) rewrite(batch map[string]entry) error {
	key := tallyKey(tallyRefused)
	if err := d.eng.write([]entry{{key: key, value: seal(key, nil)}}); err != nil {
		return err
	}
	if err := d.eng.sync(); err != nil {
		return err
	}
	for _, e := range batch {
		if err := d.eng.write([]entry{e}); err != nil {
			return err
		}
	}
	return nil
}

// close waits for running operations. Unsynced writes may be lost.
func (d *database) close() error {
	d.life.Lock()
	defer d.life.Unlock()
	if d.closed {
		return nil
	}
	d.closed = true
	if d.eng == nil {
		return nil
	}
	return d.eng.close()
}

package pin

import (
	"context"
	"errors"
	"fmt"
	"math/bits"
	"sync"
	"time"

	"walrus/shards"
)

// records are the requests and the records of blobs, and what follows from them. Everything that changes together is
// written together.
type records struct {
	schedules
	params shards.Params // constant, as the next three
	limit  int64         // bytes of disk; 0: none
	db     *database
	served *meter

	mu     sync.Mutex
	counts counts                      // guarded by mu
	active map[shards.BlobID]*activity // blobs worked on now; guarded by mu
	used   int64                       // bytes of the database, some seconds ago; guarded by mu
	closed bool                        // guarded by mu
	// stamped is the time of the newest request; guarded by mu
	stamped time.Time
}

// activity is work on one blob.
type activity struct {
	fetching bool // otherwise it is checked, or removed
	stop     context.CancelFunc
}

// alter changes the record of a blob and everything that follows from it, as a whole. fn gets the zero record for an
// unknown blob. If it leaves a record without requests, that is removed, and its files are to be. rs.mu is held.
func (rs *records) alter(t *tx, id shards.BlobID, c *counts, fn func(r *record) error) error {
	var r record
	known, err := t.get(blobKey(keyBlob, id), &r)
	if err != nil {
		return err
	}
	before, was := r.indexes(id), r.State
	if known {
		c.count(&r, rs.space(r.Size), -1)
	}
	if err := fn(&r); err != nil {
		return err
	}
	if known && (was == pinned) != (r.State == pinned) {
		if err := rs.reopen(t, id, r.State != pinned); err != nil {
			return err
		}
	}
	for _, key := range before {
		if known {
			if err := t.remove(key); err != nil {
				return err
			}
		}
	}
	if r.Refs == 0 {
		if err := errors.Join(t.remove(blobKey(keyBlob, id)), t.remove(blobKey(keyRows, id)), t.mark(blobKey(keyDrop, id))); err != nil {
			return err
		}
		return t.put([]byte{keyCounts}, c)
	}
	for _, key := range r.indexes(id) {
		if err := t.mark(key); err != nil {
			return err
		}
	}
	c.count(&r, rs.space(r.Size), 1)
	return errors.Join(t.put(blobKey(keyBlob, id), &r), t.put([]byte{keyCounts}, c))
}

// reopen puts the requests of a blob among those for blobs that are not pinned, or takes them out.
func (rs *records) reopen(t *tx, id shards.BlobID, open bool) error {
	prefix := blobKey(keyRef, id)
	return t.keys(prefix, nil, false, func(key []byte) (bool, error) {
		change := t.remove
		if open {
			change = t.mark
		}
		return true, change(openKey(string(key[len(prefix):])))
	})
}

// stamp returns the time at which a request is made, in whole milliseconds and later than those of all others: clients
// read lists page by page up to a time, and scripts know no finer ones.
func (rs *records) stamp(now time.Time) time.Time {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	now = now.Truncate(time.Millisecond)
	if !now.After(rs.stamped) {
		now = rs.stamped.Add(time.Millisecond)
	}
	rs.stamped = now
	return now
}

// update runs a transaction that may alter records.
func (rs *records) update(fn func(t *tx, c *counts) error) error {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	if rs.closed {
		return errors.New("the pins are closed")
	}
	c := rs.counts
	if err := rs.db.update(func(t *tx) error { return fn(t, &c) }); err != nil {
		return err
	}
	rs.counts = c
	return nil
}

// alterBlob changes one record, if there still is one.
func (rs *records) alterBlob(id shards.BlobID, fn func(r *record) error) error {
	return rs.update(func(t *tx, c *counts) error {
		return rs.alter(t, id, c, func(r *record) error {
			if r.Refs == 0 {
				return ErrNotFound
			}
			return fn(r)
		})
	})
}

// record reads the record of a blob.
func (rs *records) record(id shards.BlobID) (r record, err error) {
	err = rs.db.view(func(t *tx) error {
		known, err := t.get(blobKey(keyBlob, id), &r)
		if err == nil && !known {
			return fmt.Errorf("blob %s: %w", id, ErrNotFound)
		}
		return err
	})
	return r, err
}

func (rs *records) insert(t *tx, c *counts, r *Request) error {
	c.Requests++
	if err := t.put(requestKey(r.ID), r); err != nil {
		return err
	}
	if r.Until > 0 {
		if err := t.mark(endKey(r.Until, r.ID)); err != nil {
			return err
		}
	}
	if r.Blob == (shards.BlobID{}) {
		c.Foreign++
		return errors.Join(t.mark(openKey(r.ID)), t.put([]byte{keyCounts}, c))
	}
	if err := errors.Join(t.mark(refKey(r.Blob, r.ID)), t.remove(blobKey(keyDrop, r.Blob))); err != nil {
		return err
	}
	return rs.alter(t, r.Blob, c, func(b *record) error {
		if b.Refs++; b.State == pinned {
			return nil
		}
		if err := t.mark(openKey(r.ID)); err != nil {
			return err
		}
		b.State, b.Asked, b.NextTry, b.Tries, b.Queue = want, r.Created, r.Created, 0, 0
		return nil
	})
}

func (rs *records) delete(t *tx, c *counts, id string) error {
	var r Request
	if known, err := t.get(requestKey(id), &r); err != nil {
		return err
	} else if !known {
		return ErrNotFound
	}
	if err := errors.Join(t.remove(requestKey(id)), t.remove(openKey(id))); err != nil {
		return err
	}
	c.Requests--
	if r.Until > 0 {
		if err := t.remove(endKey(r.Until, id)); err != nil {
			return err
		}
	}
	if r.Blob == (shards.BlobID{}) {
		c.Foreign--
		return t.put([]byte{keyCounts}, c)
	}
	if err := t.remove(refKey(r.Blob, id)); err != nil {
		return err
	}
	return rs.alter(t, r.Blob, c, func(b *record) error {
		b.Refs--
		if work := rs.active[r.Blob]; b.Refs == 0 && work != nil {
			work.stop()
		}
		return nil
	})
}

// complete fills in how the blob of a request fares.
func (rs *records) complete(t *tx, r *Request) error {
	if r.Blob == (shards.BlobID{}) {
		return nil
	}
	var b record
	if known, err := t.get(blobKey(keyBlob, r.Blob), &b); err != nil || !known {
		return err
	}
	rs.mu.Lock()
	work := rs.active[r.Blob]
	rs.mu.Unlock()
	r.Have, r.Size, r.Reason = b.Have, b.Size, b.Reason
	if b.Known {
		r.Rows = rs.params.Rows()
	}
	r.LastVerified, r.Announced, r.Served = b.Verified, b.Announced, b.Served+rs.served.pending(r.Blob)
	switch {
	case b.State == pinned:
		r.Status, r.Reason = Pinned, ""
	case b.State == refused:
		r.Status = Failed
	case work != nil && work.fetching:
		r.Status, r.Reason = Pinning, ""
	case b.Tries > 0:
		r.Status, r.NextTry = Failed, b.NextTry
	default:
		r.Status = Queued
	}
	return nil
}

// dropped lists blobs whose files are to be removed, without those that skip names.
func (rs *records) dropped(most int, skip func(shards.BlobID) bool) (ids []shards.BlobID, err error) {
	err = rs.db.view(func(t *tx) error {
		return t.keys([]byte{keyDrop}, nil, false, func(key []byte) (bool, error) {
			if len(key) != 1+len(shards.BlobID{}) {
				return false, fmt.Errorf("%w: key %x", errDatabase, key)
			}
			if id := shards.BlobID(key[1:]); !skip(id) {
				ids = append(ids, id)
			}
			return len(ids) < most, nil
		})
	})
	return ids, err
}

// claim marks a blob as worked on. It fails if somebody works on it.
func (rs *records) claim(ctx context.Context, id shards.BlobID, fetching bool) (context.Context, func(), bool) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	if rs.active[id] != nil {
		return nil, nil, false
	}
	ctx, cancel := context.WithCancel(ctx)
	rs.active[id] = &activity{fetching: fetching, stop: cancel}
	return ctx, func() {
		cancel()
		rs.mu.Lock()
		delete(rs.active, id)
		rs.mu.Unlock()
		rs.wake()
	}, true
}

// origins reads the origins that the requests of a blob name.
func (rs *records) origins(id shards.BlobID) (origins []string, err error) {
	err = rs.db.view(func(t *tx) error {
		prefix := blobKey(keyRef, id)
		return t.keys(prefix, nil, false, func(key []byte) (bool, error) {
			var r Request
			_, err := t.get(requestKey(string(key[len(prefix):])), &r)
			origins = append(origins, r.Origins...)
			return len(origins) < MaxOrigins, err
		})
	})
	return origins, err
}

// admit refuses a request that would need disk space when there is none left, not even for the smallest blob.
func (rs *records) admit(id shards.BlobID) error {
	rs.mu.Lock()
	taken := rs.counts.Space + rs.used
	rs.mu.Unlock()
	if rs.limit == 0 || id == (shards.BlobID{}) || taken+rs.space(1) <= rs.limit {
		return nil
	}
	if r, err := rs.record(id); err == nil && r.Known || err != nil && !errors.Is(err, ErrNotFound) {
		return err
	}
	return fmt.Errorf("%w: %d of %d bytes are taken: remove pins, or raise --limit", ErrFull, taken, rs.limit)
}

// reserve takes the disk space of a blob, once, and returns the rows that are here.
func (rs *records) reserve(id shards.BlobID, meta *shards.Metadata) (rows bitmap, err error) {
	var full error
	err = rs.update(func(t *tx, c *counts) error {
		raw, err := t.raw(blobKey(keyRows, id))
		if err != nil {
			return err
		}
		rows = newBitmap(rs.params.Rows())
		copy(rows, raw)
		return rs.alter(t, id, c, func(r *record) error {
			if r.Refs == 0 {
				return ErrNotFound
			}
			if r.Known {
				return nil
			}
			if need := rs.space(meta.Length); rs.limit > 0 && c.Space+rs.used+need > rs.limit {
				full = fmt.Errorf("%w: the blob takes %d bytes, %d of %d are left: remove pins, or raise --limit", ErrFull, need, max(rs.limit-c.Space-rs.used, 0), rs.limit)
				return full
			}
			r.Known, r.Size = true, meta.Length
			return nil
		})
	})
	switch {
	case full != nil:
		return nil, full
	case errors.Is(err, ErrNotFound):
		return nil, err
	case err != nil:
		return nil, &databaseError{err}
	}
	return rows, nil
}

// forgetRows notes that rows must be fetched again.
func (rs *records) forgetRows(id shards.BlobID, bad []int) error {
	err := rs.changeRows(id, func(rows bitmap) {
		for _, i := range bad {
			rows.set(i, false)
		}
	})
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	return err
}

// changeRows changes the rows that are here.
func (rs *records) changeRows(id shards.BlobID, fn func(rows bitmap)) error {
	return rs.update(func(t *tx, c *counts) error {
		raw, err := t.raw(blobKey(keyRows, id))
		if err != nil {
			return err
		}
		rows := newBitmap(rs.params.Rows())
		copy(rows, raw)
		fn(rows)
		if err := t.t.Set(blobKey(keyRows, id), rows); err != nil {
			return err
		}
		return rs.alter(t, id, c, func(r *record) error {
			if r.Refs == 0 {
				return ErrNotFound
			}
			r.Have = 0
			for _, b := range rows {
				r.Have += bits.OnesCount8(b)
			}
			return nil
		})
	})
}

// due lists up to most blobs of an index that are due now and not worked on, and the time at which the next one is.
func (rs *records) due(prefix []byte, most int) (ids []shards.BlobID, later time.Time, err error) {
	rs.mu.Lock()
	busy := make(map[shards.BlobID]bool, len(rs.active))
	for id := range rs.active {
		busy[id] = true
	}
	rs.mu.Unlock()
	if most < 1 {
		return nil, later, nil // whoever ends wakes the schedule
	}
	now := time.Now()
	err = rs.db.view(func(t *tx) error {
		return t.keys(prefix, nil, false, func(key []byte) (bool, error) {
			at, id, err := due(len(prefix), key)
			if err != nil {
				return false, err
			}
			if at.After(now) {
				later = at
				return false, nil
			}
			if !busy[id] {
				ids = append(ids, id)
			}
			return len(ids) < most, nil
		})
	})
	return ids, later, err
}

// space returns the bytes of disk that a blob of size bytes takes.
func (rs *records) space(size uint64) int64 {
	n := int64(rs.params.MetadataSize()) + int64(size)
	return (n + block - 1) / block * block
}

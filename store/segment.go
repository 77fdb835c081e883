package store

import (
	"bytes"
	"errors"
	"maps"
	"slices"
	"sync"

	"walrus/shards"
)

// segment holds the slivers and metadata of the blobs that end in one epoch. Extended blobs stay until then.
//
// A sliver's record is written only when its extents are durable, so that no crash can leave a record without
// data. Until then a committed sliver is pending: visible, but forgotten when the process ends.
type segment struct {
	epoch uint32 // constant
	*database

	syncing sync.Mutex // held while records move from pending to the database, and by deletions

	mu      sync.Mutex
	pending map[Ref]pending // guarded by mu
	fresh   int64           // pending slivers without a record; guarded by mu
	live    map[uint64]bool // the writes of open writers; guarded by mu
	// refusals counts the times that the disk refused data: earlier writes of open writers may be lost; guarded by mu.
	refusals uint64
	// closings counts the calls of invalidate; guarded by mu.
	closings uint64
}

// pending is a committed sliver whose record is not yet durable.
type pending struct {
	sliver
	fresh bool // there is no record of this sliver, not even a damaged one
}

// maxPending bounds the slivers that wait for a sync. At the bound Commit syncs.
const maxPending = 4096

// batchKeys bounds the keys that are written, deleted or listed at once.
const batchKeys = 1024

func newSegment(epoch uint32, db *database) *segment {
	b := &segment{epoch: epoch, database: db, pending: make(map[Ref]pending), live: make(map[uint64]bool)}
	db.refused = b.refuse
	return b
}

// slivers counts the committed slivers.
func (b *segment) slivers() int64 {
	n, _ := b.counts()
	b.mu.Lock()
	defer b.mu.Unlock()
	return n[0] + b.fresh
}

// pages calls fn with all keys that begin with prefix, in order, a page at a time and outside of any lock.
func (d *database) pages(prefix []byte, fn func(keys [][]byte) error) error {
	var after []byte
	for {
		var page [][]byte
		err := d.scan(prefix, after, batchKeys, 0, func(k []byte) error {
			page = append(page, k)
			return nil
		})
		if err != nil || len(page) == 0 {
			return err
		}
		if err := fn(page); err != nil {
			return err
		}
		if len(page) < batchKeys {
			return nil
		}
		after = page[len(page)-1]
	}
}

// removeOrphans deletes extents that belong neither to a sliver nor to an open writer. Extents and records sort
// alike, so one write's extents come together. rest is called after each page, and may end the work.
func (b *segment) removeOrphans(rest func() error) error {
	var (
		last   []byte // the extent key looked at last, without the index: all extents of a write share it
		orphan bool
	)
	return b.pages([]byte{keyExtent}, func(keys [][]byte) error {
		var batch []entry
		for _, k := range keys {
			r, write, ok := parseExtentKey(k)
			if w := k[:max(len(k)-4, 0)]; !ok || !bytes.Equal(w, last) {
				last = w
				orphan = !ok || b.orphaned(r, write)
			}
			if orphan {
				batch = append(batch, entry{key: k, del: true})
			}
		}
		if len(batch) > 0 {
			if err := b.write(batch...); err != nil {
				return err
			}
		}
		return rest()
	})
}

// orphaned reports that a write is not under way and was not committed, or another took its place.
func (b *segment) orphaned(r Ref, write uint64) bool {
	b.mu.Lock()
	live := b.live[write] // before the record: commit makes it, and then the writer is no longer live
	b.mu.Unlock()
	if live {
		return false
	}
	v, err := b.find(r)
	return errors.Is(err, ErrNotFound) || err == nil && v.write != write
}

// stored reads the record of a sliver from the database.
func (b *segment) stored(r Ref) (sliver, error) {
	rec, err := b.record(sliverKey(r))
	if err != nil {
		return sliver{}, err
	}
	return unmarshalSliver(rec)
}

// find returns the record of a committed sliver.
func (b *segment) find(r Ref) (sliver, error) {
	b.mu.Lock()
	v, ok := b.pending[r]
	b.mu.Unlock()
	if ok {
		return v.sliver, nil
	}
	// A record enters the database before it leaves pending.
	return b.stored(r)
}

// commit makes v visible and returns first = true, unless another write of r is visible already.
func (b *segment) commit(r Ref, v sliver, started uint64) (first bool, waiting int, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.refusals+b.closings != started {
		return false, 0, ErrUnsynced
	}
	if _, ok := b.pending[r]; ok {
		return false, len(b.pending), nil
	}
	old, err := b.stored(r)
	fresh := errors.Is(err, ErrNotFound)
	switch {
	case err == nil && old.write != v.write:
		return false, len(b.pending), nil
	case err == nil, errors.Is(err, ErrCorrupt): // the count has it already
	case fresh:
		b.fresh++
	default:
		return false, 0, err
	}
	b.pending[r] = pending{v, fresh}
	delete(b.live, v.write)
	return true, len(b.pending), nil
}

// refuse forgets all slivers that are pending or being written: the disk refused data, so they may be lost.
func (b *segment) refuse() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.refusals++
	b.fresh = 0
	clear(b.pending)
}

// invalidate makes the commits of all open writers fail.
func (b *segment) invalidate() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closings++
}

// start returns a number that the writer of a write later passes to commit. If the number has changed by then, commit
// refuses.
func (b *segment) start(write uint64) uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.live[write] = true
	return b.refusals + b.closings
}

// end notes that a write is no longer under way.
func (b *segment) end(write uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.live, write)
}

// flush makes everything committed before the call durable: it syncs the data, writes the records, and syncs again.
func (b *segment) flush() error {
	b.syncing.Lock()
	defer b.syncing.Unlock()
	b.mu.Lock()
	refusals := b.refusals
	refs := slices.Collect(maps.Keys(b.pending))
	b.mu.Unlock()
	if err := b.sync(); err != nil {
		return err
	}
	if len(refs) == 0 {
		return nil
	}
	for page := range slices.Chunk(refs, batchKeys) {
		if err := b.writeRecords(page, refusals); err != nil {
			return err
		}
	}
	return b.sync()
}

// writeRecords moves slivers whose data is synced from pending to the database. The caller holds syncing, so nothing
// deletes or replaces them meanwhile. If the disk has refused data since the count was refusals, they are forgotten.
func (b *segment) writeRecords(refs []Ref, refusals uint64) error {
	batch := make([]entry, 0, len(refs))
	b.mu.Lock()
	if b.refusals != refusals {
		b.mu.Unlock()
		return ErrUnsynced
	}
	for _, r := range refs {
		e := entry{key: sliverKey(r), value: b.pending[r].marshal()}
		if b.pending[r].fresh {
			e.delta = 1
		}
		batch = append(batch, e)
	}
	b.mu.Unlock()
	if err := b.change(batch...); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.refusals == refusals {
		for _, r := range refs {
			b.forget(r)
		}
	}
	return nil
}

// forget removes a sliver from pending. The caller holds mu.
func (b *segment) forget(r Ref) {
	if b.pending[r].fresh {
		b.fresh--
	}
	delete(b.pending, r)
}

// remove deletes a sliver: first its record, so that a crash leaves only orphans.
func (b *segment) remove(r Ref) error {
	b.syncing.Lock()
	defer b.syncing.Unlock()
	v, err := b.find(r)
	if err != nil && !errors.Is(err, ErrCorrupt) {
		return err
	}
	damaged := err != nil
	record := entry{key: sliverKey(r), del: true}
	_, err = b.stored(r)
	if err := unknown(err); err != nil {
		return err
	}
	if !errors.Is(err, ErrNotFound) {
		record.delta = -1
	}
	if err := b.change(record); err != nil {
		return err
	}
	b.mu.Lock()
	b.forget(r)
	b.mu.Unlock()
	if damaged {
		return nil
	}
	return b.removeExtents(r, v.write, v.extents())
}

// removeExtents deletes the first n extents of a write.
func (b *segment) removeExtents(r Ref, write uint64, n uint32) error {
	for i := uint32(0); i < n; {
		batch := make([]entry, 0, min(n-i, batchKeys))
		for ; i < n && len(batch) < batchKeys; i++ {
			batch = append(batch, entry{key: extentKey(r, write, i), del: true})
		}
		if err := b.write(batch...); err != nil {
			return err
		}
	}
	return nil
}

// refs lists up to limit slivers of a shard after a blob and axis, in order, pending ones included.
func (b *segment) refs(shard int, after *Ref, limit int) ([]Ref, error) {
	prefix := sliverKey(Ref{Shard: shard})[:3]
	var from []byte
	if after != nil {
		from = sliverKey(*after)
	}
	var refs []Ref
	// Pending slivers first: a record that moves to the database meanwhile is then seen twice rather than missed.
	b.mu.Lock()
	for r := range b.pending {
		if r.Shard == shard && (after == nil || compareRefs(r, *after) > 0) {
			refs = append(refs, r)
		}
	}
	b.mu.Unlock()
	err := b.scan(prefix, from, limit, 0, func(k []byte) error {
		if r, ok := parseSliverKey(k); ok {
			refs = append(refs, r)
		}
		return nil
	})
	slices.SortFunc(refs, compareRefs)
	refs = slices.Compact(refs)
	return refs[:min(limit, len(refs))], err
}

// compareRefs orders slivers as their keys are ordered.
func compareRefs(a, b Ref) int { return bytes.Compare(sliverKey(a), sliverKey(b)) }

// metadata returns a blob's metadata.
func (b *segment) metadata(id shards.BlobID) ([]byte, error) {
	return b.record(blobKey(keyMetadata, id))
}

package store

import (
	"bytes"
	"errors"
	"maps"
	"slices"
	"sync"

	"walrus/shards"
)

// bucket holds the slivers and metadata of the blobs that end in one epoch. Extended blobs stay until then.
//
// A sliver's record is written only when its segments are durable, so that no crash can leave a record without
// data. Until then a committed sliver is pending: visible, but forgotten when the process ends.
type bucket struct {
	epoch uint32 // constant
	*database

	syncing sync.Mutex // held while records move from pending to the database, and by deletions

	mu      sync.Mutex
	pending map[Ref]sliver // committed, record not yet durable; guarded by mu
	// refusals counts the times that the disk refused data: earlier writes of open writers may be lost; guarded by mu.
	refusals uint64
	// closings counts the calls of invalidate; guarded by mu.
	closings uint64
	slivers  int64 // guarded by mu
}

// maxPending bounds the slivers that wait for a sync. At the bound Commit syncs.
const maxPending = 4096

// batchKeys bounds the keys that are written, deleted or listed at once.
const batchKeys = 1024

func newBucket(epoch uint32, db *database) *bucket {
	b := &bucket{epoch: epoch, database: db, pending: make(map[Ref]sliver)}
	db.refused = b.refuse
	return b
}

// load counts the slivers. Unless the last process closed the store, it also removes half-written slivers.
func (b *bucket) load(clean bool) error {
	if !clean {
		if err := b.removeOrphans(); err != nil {
			return err
		}
	}
	return b.pages([]byte{keySliver}, func(keys [][]byte) error {
		b.slivers += int64(len(keys))
		return nil
	})
}

// pages calls fn with all keys that begin with prefix, in order, a page at a time and outside of any lock.
func (d *database) pages(prefix []byte, fn func(keys [][]byte) error) error {
	var after []byte
	for {
		var page [][]byte
		err := d.scan(prefix, after, batchKeys, false, func(k, _ []byte) error {
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

// removeOrphans deletes segments that no record names. Segments and records sort alike, so one write's segments
// come together.
func (b *bucket) removeOrphans() error {
	var (
		last   []byte // the segment key looked at last, without the index: all segments of a write share it
		orphan bool
	)
	return b.pages([]byte{keySegment}, func(keys [][]byte) error {
		var batch []entry
		for _, k := range keys {
			r, write, ok := parseSegmentKey(k)
			if w := k[:max(len(k)-4, 0)]; !ok || !bytes.Equal(w, last) {
				last = w
				v, err := b.stored(r)
				orphan = !ok || errors.Is(err, ErrNotFound) || err == nil && v.write != write
			}
			if orphan {
				batch = append(batch, entry{key: k, del: true})
			}
		}
		if len(batch) == 0 {
			return nil
		}
		return b.write(batch...)
	})
}

// stored reads the record of a sliver from the database.
func (b *bucket) stored(r Ref) (sliver, error) {
	rec, err := b.record(sliverKey(r))
	if err != nil {
		return sliver{}, err
	}
	return unmarshalSliver(rec)
}

// find returns the record of a committed sliver.
func (b *bucket) find(r Ref) (sliver, error) {
	b.mu.Lock()
	v, ok := b.pending[r]
	b.mu.Unlock()
	if ok {
		return v, nil
	}
	// A record enters the database before it leaves pending.
	return b.stored(r)
}

// commit makes v visible and returns first = true, unless another write of r is visible already.
func (b *bucket) commit(r Ref, v sliver, started uint64) (first bool, pending int, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.refusals+b.closings != started {
		return false, 0, ErrUnsynced
	}
	if _, ok := b.pending[r]; ok {
		return false, len(b.pending), nil
	}
	old, err := b.stored(r)
	switch {
	case err == nil && old.write != v.write:
		return false, len(b.pending), nil
	case err == nil, errors.Is(err, ErrCorrupt): // the count has it already
	case errors.Is(err, ErrNotFound):
		b.slivers++
	default:
		return false, 0, err
	}
	b.pending[r] = v
	return true, len(b.pending), nil
}

// refuse forgets all slivers that are pending or being written: the disk refused data, so they may be lost.
func (b *bucket) refuse() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.refusals++
	b.slivers -= int64(len(b.pending))
	clear(b.pending)
}

// invalidate makes the commits of all open writers fail.
func (b *bucket) invalidate() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closings++
}

// start returns a number that a writer later passes to commit. If the number has changed by then, commit refuses.
func (b *bucket) start() uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.refusals + b.closings
}

// flush makes everything committed before the call durable: it syncs the data, writes the records, and syncs again.
func (b *bucket) flush() error {
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
func (b *bucket) writeRecords(refs []Ref, refusals uint64) error {
	batch := make([]entry, 0, len(refs))
	b.mu.Lock()
	if b.refusals != refusals {
		b.mu.Unlock()
		return ErrUnsynced
	}
	for _, r := range refs {
		batch = append(batch, entry{key: sliverKey(r), value: b.pending[r].marshal()})
	}
	b.mu.Unlock()
	if err := b.put(batch...); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.refusals == refusals {
		for _, r := range refs {
			delete(b.pending, r)
		}
	}
	return nil
}

// remove deletes a sliver: first its record, so that a crash leaves only orphans.
func (b *bucket) remove(r Ref) error {
	b.syncing.Lock()
	defer b.syncing.Unlock()
	v, err := b.find(r)
	if err != nil && !errors.Is(err, ErrCorrupt) {
		return err
	}
	damaged := err != nil
	if err := b.put(entry{key: sliverKey(r), del: true}); err != nil {
		return err
	}
	b.mu.Lock()
	delete(b.pending, r)
	b.slivers--
	b.mu.Unlock()
	if damaged {
		return nil
	}
	return b.removeSegments(r, v.write, v.segments())
}

// removeSegments deletes the first n segments of a write.
func (b *bucket) removeSegments(r Ref, write uint64, n uint32) error {
	for i := uint32(0); i < n; {
		batch := make([]entry, 0, min(n-i, batchKeys))
		for ; i < n && len(batch) < batchKeys; i++ {
			batch = append(batch, entry{key: segmentKey(r, write, i), del: true})
		}
		if err := b.write(batch...); err != nil {
			return err
		}
	}
	return nil
}

// refs lists up to limit slivers of a shard after a blob and axis, in order, pending ones included.
func (b *bucket) refs(shard int, after *Ref, limit int) ([]Ref, error) {
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
	err := b.scan(prefix, from, limit, false, func(k, _ []byte) error {
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
func (b *bucket) metadata(id shards.BlobID) ([]byte, error) {
	return b.record(blobKey(keyMetadata, id))
}

package store

import (
	"bytes"
	"errors"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"walrus/shards"
)

// segment is a database of bounded size that holds slivers and metadata of many blobs. It is written once: what is
// deleted or aborted stays in it, dead, until the compactor copies what lives and removes the segment.
//
// A sliver's record is written only when its extents are durable, so that no crash can leave a record without data.
// Until then a committed sliver is pending: visible, but forgotten when the process ends. Extents without a record are
// dead.
type segment struct {
	id    uint64 // constant
	class class  // constant
	*database

	syncing sync.Mutex // held while records move from pending to the database, and by deletions

	mu        sync.Mutex
	pending   map[Ref]pending // guarded by mu
	fresh     counts          // of pending slivers without a record; guarded by mu
	writers   int             // under way; guarded by mu
	announced int64           // bytes that these will write; guarded by mu
	sealed    bool            // takes no more; guarded by mu
	// refusals counts the times that the disk refused data: earlier writes of open writers may be lost; guarded by mu.
	refusals uint64
	blocked  atomic.Bool // something in it cannot be read, so it cannot be compacted
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

func newSegment(id uint64, c class, db *database) *segment {
	b := &segment{id: id, class: c, database: db, pending: make(map[Ref]pending)}
	db.refused = b.refuse
	return b
}

// live returns the numbers of slivers, and of bytes that live.
func (b *segment) live() counts {
	n, _ := b.counts()
	b.mu.Lock()
	defer b.mu.Unlock()
	n.add(b.fresh)
	return n
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

// contents calls fn with the keys of all metadata and slivers, a page at a time.
func (b *segment) contents(fn func(keys [][]byte) error) error {
	for _, kind := range []byte{keyMetadata, keySliver} {
		if err := b.pages([]byte{kind}, fn); err != nil {
			return err
		}
	}
	return nil
}

// begin admits a write of size bytes, unless the segment is sealed or has no room below most. Call end after it.
func (b *segment) begin(size, most int64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.sealed || b.size.Load()+b.announced >= most {
		return false
	}
	b.writers++
	b.announced += size
	return true
}

// end ends a write that begin has admitted.
func (b *segment) end(size int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.writers--
	b.announced -= size
}

// seal makes the segment take no more, unless a write is under way.
func (b *segment) seal() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.writers > 0 {
		return false
	}
	b.sealed = true
	return true
}

func (b *segment) isSealed() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.sealed
}

// idle reports that nothing is being written and nothing waits for a sync.
func (b *segment) idle() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.writers == 0 && len(b.pending) == 0
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

// commit makes v visible, unless another write of r is visible already. The caller holds the blob's lock.
func (b *segment) commit(r Ref, v sliver, started uint64) (waiting int, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.refusals != started {
		return 0, ErrUnsynced
	}
	if _, ok := b.pending[r]; ok {
		return len(b.pending), nil
	}
	old, err := b.stored(r)
	fresh := errors.Is(err, ErrNotFound)
	switch {
	case err == nil && old.write != v.write:
		return len(b.pending), nil
	case err == nil, errors.Is(err, ErrCorrupt): // the count has it already
	case fresh:
		b.fresh.add(counts{1, v.weight()})
	default:
		return 0, err
	}
	b.pending[r] = pending{v, fresh}
	return len(b.pending), nil
}

// refuse forgets all slivers that are pending or being written: the disk refused data, so they may be lost.
func (b *segment) refuse() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.refusals++
	b.fresh = counts{}
	clear(b.pending)
}

// started returns a number that a writer later passes to commit. If the number has changed by then, commit refuses.
func (b *segment) started() uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.refusals
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
		v, ok := b.pending[r]
		if !ok {
			continue
		}
		e := entry{key: sliverKey(r), value: v.marshal()}
		if v.fresh {
			e.delta = counts{1, v.weight()}
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
	if v := b.pending[r]; v.fresh {
		b.fresh.add(counts{-1, -v.weight()})
	}
	delete(b.pending, r)
}

// remove deletes slivers. Their extents stay, dead. Slivers that do not exist are no error. The caller holds the locks
// of their blobs.
func (b *segment) remove(refs ...Ref) error {
	b.syncing.Lock()
	defer b.syncing.Unlock()
	var batch []entry
	for _, r := range refs {
		v, err := b.stored(r)
		switch {
		case errors.Is(err, ErrNotFound):
			continue
		case errors.Is(err, ErrCorrupt):
			b.suspect() // its bytes were counted
		case err != nil:
			return err
		}
		n := counts{-1, 0}
		if err == nil {
			n[1] = -v.weight()
		}
		batch = append(batch, entry{key: sliverKey(r), del: true, delta: n})
	}
	if len(batch) > 0 {
		if err := b.change(batch...); err != nil {
			return err
		}
	}
	b.blocked.Store(false) // perhaps it was one of these
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, r := range refs {
		b.forget(r)
	}
	return nil
}

// compareRefs orders slivers as their keys are ordered.
func compareRefs(a, b Ref) int { return bytes.Compare(sliverKey(a), sliverKey(b)) }

// metadata returns a blob's metadata.
func (b *segment) metadata(id shards.BlobID) ([]byte, error) {
	return b.record(blobKey(keyMetadata, id))
}

// putMetadata keeps a blob's metadata. The caller holds the blob's lock.
func (b *segment) putMetadata(id shards.BlobID, m []byte) error {
	_, old, err := b.hasMetadata(id)
	if err != nil {
		return err
	}
	n := counts{0, metadataWeight(len(m))}
	n.add(old.negative())
	return b.change(entry{key: blobKey(keyMetadata, id), value: m, delta: n})
}

// removeMetadata deletes a blob's metadata, if it is there. The caller holds the blob's lock.
func (b *segment) removeMetadata(id shards.BlobID) error {
	has, old, err := b.hasMetadata(id)
	if err != nil || !has {
		return err
	}
	b.blocked.Store(false)
	return b.change(entry{key: blobKey(keyMetadata, id), del: true, delta: old.negative()})
}

// hasMetadata reports whether there is metadata of a blob, damaged or not, and how it counts.
func (b *segment) hasMetadata(id shards.BlobID) (has bool, n counts, err error) {
	m, err := b.metadata(id)
	switch {
	case errors.Is(err, ErrNotFound):
		return false, n, nil
	case errors.Is(err, ErrCorrupt):
		b.suspect() // its bytes were counted
		return true, n, nil
	}
	return true, counts{0, metadataWeight(len(m))}, err
}

package store

import (
	"bytes"
	"encoding/binary"
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
// A sliver's record is written only when its extents and its place are durable, so that no crash can leave a record
// without data, or one that no place leads to. Until then a committed sliver is pending: visible, but forgotten when
// the process ends. Extents without a record are dead.
type segment struct {
	id    uint64 // constant
	class class  // constant
	*database

	mu        sync.Mutex
	pending   map[shards.BlobID]map[Ref]pending // without empty ones; guarded by mu
	fresh     counts                            // of pending slivers that are not counted; guarded by mu
	number    int                               // of pending slivers; guarded by mu
	writers   int                               // under way; guarded by mu
	announced int64                             // bytes that these will write; guarded by mu
	sealed    bool                              // takes no more; guarded by mu
	// refusals counts the times that the disk refused data: earlier writes of open writers may be lost; guarded by mu.
	refusals uint64
	blocked  atomic.Bool // something in it cannot be read, so it cannot be compacted
}

// pending is a committed sliver whose record is not yet durable.
type pending struct {
	sliver
	counted bool // in the account of the segment, and in the place of the blob
}

// maxPending bounds the slivers that wait for a sync. At the bound Commit syncs.
const maxPending = 4096

// batchKeys bounds the keys that are written, deleted or listed at once.
const batchKeys = 1024

func newSegment(id uint64, c class, db *database) *segment {
	b := &segment{id: id, class: c, database: db, pending: make(map[shards.BlobID]map[Ref]pending)}
	db.refused = b.refuse
	return b
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
	return b.writers == 0 && b.number == 0
}

// stored reads the record of a sliver from the database.
func (b *segment) stored(r Ref) (sliver, error) {
	rec, err := b.record(sliverKey(r))
	if err != nil {
		return sliver{}, err
	}
	return unmarshalSliver(rec)
}

// find returns the record of a committed sliver, of whatever life.
func (b *segment) find(r Ref) (sliver, error) {
	if v, ok := b.waiting(r); ok {
		return v.sliver, nil
	}
	// A record enters the database before it leaves pending.
	return b.stored(r)
}

// waiting returns a pending sliver.
func (b *segment) waiting(r Ref) (pending, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	v, ok := b.pending[r.Blob][r]
	return v, ok
}

// committed returns the pending slivers of a blob.
func (b *segment) committed(id shards.BlobID) map[Ref]pending {
	b.mu.Lock()
	defer b.mu.Unlock()
	return maps.Clone(b.pending[id])
}

// set makes a sliver pending, in place of one that is. The caller holds mu.
func (b *segment) set(r Ref, v pending) {
	b.unset(r)
	if b.pending[r.Blob] == nil {
		b.pending[r.Blob] = map[Ref]pending{}
	}
	b.pending[r.Blob][r] = v
	b.number++
	if !v.counted {
		b.fresh.add(counts{1, v.weight()})
	}
}

// unset removes a sliver from pending. The caller holds mu.
func (b *segment) unset(r Ref) {
	v, ok := b.pending[r.Blob][r]
	if !ok {
		return
	}
	if !v.counted {
		b.fresh.add(counts{-1, -v.weight()})
	}
	b.number--
	delete(b.pending[r.Blob], r)
	if len(b.pending[r.Blob]) == 0 {
		delete(b.pending, r.Blob)
	}
}

// forget removes slivers from pending.
func (b *segment) forget(refs ...Ref) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, r := range refs {
		b.unset(r)
	}
}

// forgetBlob removes the slivers of a blob from pending.
func (b *segment) forgetBlob(id shards.BlobID) {
	b.forget(slices.Collect(maps.Keys(b.committed(id)))...)
}

// counted notes that slivers are in the accounts, unless they have been forgotten.
func (b *segment) counted(list map[Ref]pending) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for r, v := range list {
		if is, ok := b.pending[r.Blob][r]; ok && is.write == v.write {
			v.counted = true
			b.set(r, v)
			continue
		}
		b.doubted.Store(true) // the disk refused data meanwhile
	}
}

// commit makes v visible, unless another write of r is visible already in its life. The caller holds the blob's lock.
func (b spot) commit(r Ref, v sliver, started uint64) (waiting int, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.refusals != started {
		return 0, ErrUnsynced
	}
	if is, ok := b.pending[r.Blob][r]; ok && b.accepts(is.sliver) {
		return b.number, nil
	}
	old, err := b.stored(r)
	switch {
	case err == nil && b.accepts(old) && old.write != v.write:
		return b.number, nil
	case errors.Is(err, ErrCorrupt):
		b.doubted.Store(true) // it may have been counted
	case unknown(err) != nil:
		return 0, err
	}
	b.set(r, pending{sliver: v})
	return b.number, nil
}

// refuse forgets all slivers that are pending or being written: the disk refused data, so they may be lost.
func (b *segment) refuse() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.refusals++
	b.fresh, b.number = counts{}, 0
	clear(b.pending)
	b.doubted.Store(true) // some may have been counted
}

// started returns a number that a writer later passes to commit. If the number has changed by then, commit refuses.
func (b *segment) started() uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.refusals
}

// flushing makes committed slivers of a segment durable, in the steps of Store.flush.
type flushing struct {
	b        *segment
	refs     []Ref  // pending, in order of their blobs
	refusals uint64 // of b, before their data was synced
}

// flush begins to make everything committed before the call durable.
func (b *segment) flush() flushing {
	b.mu.Lock()
	defer b.mu.Unlock()
	f := flushing{b: b, refusals: b.refusals, refs: make([]Ref, 0, b.number)}
	for _, id := range slices.SortedFunc(maps.Keys(b.pending), func(a, b shards.BlobID) int { return bytes.Compare(a[:], b[:]) }) {
		f.refs = slices.AppendSeq(f.refs, maps.Keys(b.pending[id]))
	}
	return f
}

// data makes the extents durable, and counts the slivers.
func (f flushing) data(p *places) error {
	if err := f.b.sync(); err != nil {
		return err
	}
	for page := range slices.Chunk(f.refs, batchKeys/4) { // each may be of another blob, with many places
		if err := p.count(f.b, page); err != nil {
			return err
		}
	}
	return nil
}

// records writes the records, once the places are durable, and makes them durable.
func (f flushing) records(l *locks) error {
	if len(f.refs) == 0 {
		return nil
	}
	for page := range slices.Chunk(f.refs, batchKeys) {
		if err := f.page(l, page); err != nil {
			return err
		}
	}
	return f.b.sync()
}

// page moves slivers from pending to the database: those that are counted. If the disk has refused data since the flush
// began, they are forgotten.
func (f flushing) page(l *locks, refs []Ref) error {
	defer l.all(refs)()
	b := f.b
	batch := make([]entry, 0, len(refs))
	b.mu.Lock()
	refused := b.refusals != f.refusals
	for _, r := range refs {
		if v, ok := b.pending[r.Blob][r]; ok && v.counted {
			batch = append(batch, entry{key: sliverKey(r), value: v.marshal()})
		}
	}
	b.mu.Unlock()
	if refused {
		return ErrUnsynced
	}
	if len(batch) == 0 {
		return nil
	}
	if err := b.put(batch...); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.refusals != f.refusals {
		return nil
	}
	for _, r := range refs {
		if b.pending[r.Blob][r].counted {
			b.unset(r)
		}
	}
	return nil
}

// remove deletes slivers, and returns how they were counted, unless a record was damaged. Their extents stay, dead.
// Slivers that do not exist are no error. The caller holds the locks of their blobs.
func (b spot) remove(refs ...Ref) (n counts, damaged bool, err error) {
	var batch []entry
	for _, r := range refs {
		v, err := b.stored(r)
		w, waits := b.waiting(r)
		switch {
		case waits && w.counted:
			n.add(counts{1, w.weight()})
		case errors.Is(err, ErrCorrupt):
			damaged = true // its bytes were counted
		case err == nil && !waits && b.accepts(v):
			n.add(counts{1, v.weight()})
		case unknown(err) != nil:
			return counts{}, false, err
		}
		if !errors.Is(err, ErrNotFound) {
			batch = append(batch, entry{key: sliverKey(r), del: true})
		}
	}
	if len(batch) > 0 {
		if err := b.put(batch...); err != nil {
			return counts{}, false, err
		}
	}
	b.blocked.Store(false) // perhaps it was one of these
	b.forget(refs...)
	return n, damaged, nil
}

// compareRefs orders slivers as their keys are ordered.
func compareRefs(a, b Ref) int { return bytes.Compare(sliverKey(a), sliverKey(b)) }

// metadata returns a blob's metadata of a life.
func (b *segment) metadata(id shards.BlobID, of life) ([]byte, error) {
	key, err := b.metadataKey(id, of)
	if err != nil {
		return nil, err
	}
	return b.record(key)
}

// metadataKey returns the key of a blob's metadata of a life; for any life, the first that there is.
func (b *segment) metadataKey(id shards.BlobID, of life) (key []byte, err error) {
	if of != 0 {
		return metadataKey(id, of), nil
	}
	err = b.scan(blobKey(keyMetadata, id), nil, 1, 0, func(k []byte) error {
		key = k
		return nil
	})
	if err == nil && key == nil {
		err = ErrNotFound
	}
	return key, err
}

// putMetadata keeps a blob's metadata, and returns by how much it counts. The caller holds the blob's lock.
func (b spot) putMetadata(id shards.BlobID, m []byte) (counts, error) {
	old, err := b.weighMetadata(id)
	if err != nil {
		return counts{}, err
	}
	n := counts{0, metadataWeight(len(m)) - old}
	return n, b.put(entry{key: metadataKey(id, b.life), value: m})
}

// removeMetadata deletes a blob's metadata, if it is there, and returns how it was counted. The caller holds the blob's
// lock.
func (b spot) removeMetadata(id shards.BlobID) (counts, error) {
	old, err := b.weighMetadata(id)
	if err != nil {
		return counts{}, err
	}
	key, err := b.metadataKey(id, b.life)
	if err != nil {
		return counts{}, unknown(err)
	}
	b.blocked.Store(false)
	return counts{0, old}, b.put(entry{key: key, del: true})
}

// weighMetadata returns how metadata of a blob is counted: none as 0, and damaged metadata too.
func (b spot) weighMetadata(id shards.BlobID) (int64, error) {
	m, err := b.metadata(id, b.life)
	if err == nil {
		return metadataWeight(len(m)), nil
	}
	if errors.Is(err, ErrCorrupt) {
		b.doubted.Store(true) // its bytes were counted
	}
	return 0, unknown(err)
}

// heldShards returns the shards of which a segment holds slivers.
func (b *segment) heldShards() (list []int, err error) {
	after := []byte{keySliver}
	for {
		var key []byte
		err := b.scan([]byte{keySliver}, after, 1, 0, func(k []byte) error {
			key = k
			return nil
		})
		if err != nil || key == nil {
			return list, err
		}
		if len(key) < 3 {
			after = key
			continue
		}
		list = append(list, int(binary.BigEndian.Uint16(key[1:])))
		after = append(bytes.Clone(key[:3]), bytes.Repeat([]byte{0xff}, sliverKeySize-2)...) // behind all of the shard
	}
}

package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"

	"walrus/shards"
)

// compactor copies what lives out of the segment with the least live share, and removes that segment. It writes into
// the reserve that no other write may use, so it works on a full disk too.
//
// What was copied is synced, and looked for again, before the segment goes. A crash, or an error of the disk, at any
// point leaves the segment, and copies that are found in its place or are dead.
type compactor struct {
	s      *Store                           // constant
	mu     sync.Mutex                       // one compaction at a time
	report atomic.Pointer[func(Ref, error)] // takes damage; see Tend
	moved  atomic.Int64                     // bytes of slivers, since Open
}

// maxMoves bounds how often a read looks again because something moved.
const maxMoves = 100

var (
	// errBusy is returned for a segment that is being written.
	errBusy = errors.New("segment is being written")
	// errStays is returned for a segment with something that cannot be copied.
	errStays = errors.New("segment stays: some of it cannot be read")
)

// load describes a segment to victim.
type load struct {
	size, live int64 // bytes on the disk, and those of them that live
	slivers    int64
	ended      bool // nothing more will be written to it
}

// victim chooses the segment to compact: that with the least live share. It returns −1 if none is worth it: a copy
// should free as much as it writes; when room is short, a sixteenth of that is enough. most is the size of a full
// segment.
func victim(list []load, most int64, short bool) int {
	best, share := -1, 1.0
	for i, l := range list {
		dead := l.size - l.live - segmentOverhead
		gain := max(l.size/2, most/64)
		if short {
			gain = max(l.size/16, most/256)
		}
		empty := l.live == 0 && l.slivers == 0 && (l.ended || dead > 0)
		if !empty && dead < gain {
			continue
		}
		if s := float64(l.live) / float64(max(l.size, 1)); best < 0 || s < share {
			best, share = i, s
		}
	}
	return best
}

// loads lists the segments that may be compacted. What is damaged waits, and all while the accounts are in doubt.
func (c *compactor) loads() (list []*segment, loads []load) {
	if _, doubt := c.s.catalog.db.counts(); doubt {
		return nil, nil
	}
	ended := c.s.catalog.ended.Load()
	c.s.segments.each(func(b *segment) {
		if b.blocked.Load() || c.s.segments.unlisted[b.id] != nil {
			return
		}
		b.mu.Lock()
		busy := b.writers > 0
		b.mu.Unlock()
		if busy {
			return
		}
		n := c.s.catalog.live(b)
		list = append(list, b)
		loads = append(loads, load{size: b.size.Load(), live: n[1], slivers: n[0], ended: b.class.last <= ended || b.isSealed()})
	})
	return list, loads
}

// once compacts one segment, if one is worth it, and reports whether it did. rest is called now and then, and may end
// the work.
func (c *compactor) once(short bool, rest func() error) (bool, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	list, loads := c.loads()
	i := victim(loads, c.s.segments.most, short)
	if i < 0 {
		return false, nil
	}
	err := c.empty(list[i], rest)
	if errors.Is(err, errBusy) {
		return false, nil
	}
	if errors.Is(err, errStays) {
		list[i].blocked.Store(true)
	}
	if err != nil {
		return false, fmt.Errorf("compact segment %s: %w", list[i].path, err)
	}
	return true, nil
}

// reclaim makes room for a write that the disk has none for. It reports whether it did.
func (c *compactor) reclaim() bool {
	done, err := c.once(true, func() error { return nil })
	if err != nil {
		c.s.log.Warn("could not make room on the disk", "err", err)
	}
	return done
}

// reclaimable reports that reclaim would find something.
func (c *compactor) reclaimable() bool {
	_, loads := c.loads()
	return victim(loads, c.s.segments.most, true) >= 0
}

// all compacts as long as there is something to do, at full speed only while room is short.
func (c *compactor) all(ctx context.Context) error {
	for {
		short := c.s.space.short()
		rest := resting(ctx)
		if short {
			rest = ctx.Err
		}
		if done, err := c.once(short, rest); err != nil || !done {
			return ignoreGone(err)
		}
	}
}

// empty moves what lives out of a segment and removes it. The caller holds compactor.mu.
func (c *compactor) empty(b *segment, rest func() error) error {
	if !b.seal() {
		return errBusy
	}
	if err := c.s.Sync(); err != nil { // contents does not look at what is pending
		return err
	}
	err := b.contents(func(keys [][]byte) error {
		for _, k := range keys {
			if err := c.move(b, k); err != nil {
				return err
			}
			if err := rest(); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	if err := c.s.Sync(); err != nil {
		return err
	}
	if err := c.allMoved(b); err != nil {
		return err
	}
	return c.remove(b)
}

// remove removes a segment in which nothing lives that is not elsewhere. A drop by which something is dead is made
// durable first.
func (c *compactor) remove(b *segment) error {
	if err := c.s.catalog.db.sync(); err != nil {
		return err
	}
	c.s.places.moves.Add(1)
	return c.s.segments.remove(b)
}

// allMoved makes sure that all that lives of a segment is in others too, durably. After Sync only what a failed sync
// forgot is missing, and what could not be read.
func (c *compactor) allMoved(b *segment) error {
	return b.contents(func(keys [][]byte) error {
		for _, k := range keys {
			id, ok := keyBlobID(k)
			if !ok {
				continue
			}
			lock := c.s.catalog.locks.of(id)
			lock.Lock()
			needed, _, err := c.needed(b, id, k, true)
			lock.Unlock()
			if err != nil {
				return err
			}
			if needed {
				return errStays
			}
		}
		return nil
	})
}

// removeDead removes a segment in which nothing lives by its account, and reports whether it did.
func (c *compactor) removeDead(b *segment) (bool, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, doubt := c.s.catalog.db.counts(); doubt || c.s.catalog.live(b) != (counts{}) || !b.seal() {
		return false, nil
	}
	if err := c.s.Sync(); err != nil {
		return false, err
	}
	if err := c.allMoved(b); err != nil { // what came meanwhile, or was not in the account
		if errors.Is(err, errStays) {
			err = nil
		}
		return false, err
	}
	return true, c.remove(b)
}

// needed reports whether a record of a segment lives and no other segment has it, if durable is set: on the disk. Else
// it returns the segment that has it, if there is one. The caller holds the blob's lock.
func (c *compactor) needed(b *segment, id shards.BlobID, key []byte, durable bool) (needed bool, other *spot, err error) {
	of, err := b.lifeAt(key)
	if errors.Is(err, ErrNotFound) { // deleted meanwhile
		return false, nil, nil
	}
	damaged := errors.Is(err, ErrCorrupt)
	if err := unknown(err); err != nil {
		return false, nil, err
	}
	alive, err := c.s.places.alive(id, b, of)
	if damaged && err == nil && !alive {
		alive, err = c.s.places.placed(id, b) // of which life it is nobody knows
	}
	if err != nil || !alive {
		return false, nil, err
	}
	ref, isSliver := parseSliverKey(key)
	isSliver = isSliver && key[0] == keySliver
	if !isSliver {
		if _, err := b.metadata(id, of); errors.Is(err, ErrNotFound) {
			return false, nil, nil
		}
	}
	list, err := c.s.places.lookup(id)
	for _, o := range list {
		if o.segment == b {
			continue
		}
		var v sliver
		var err error
		switch {
		case !isSliver:
			_, err = o.metadata(id, o.life)
		case durable:
			v, err = o.stored(ref)
		default:
			v, err = o.find(ref)
		}
		if err == nil && (!isSliver || o.accepts(v)) {
			return false, &o, nil
		}
		if err := unknown(ignoreGone(err)); err != nil {
			return false, nil, err
		}
	}
	return true, nil, err
}

// move copies what belongs to a key to another segment, unless it is dead or there already. Damage is reported; then
// allMoved keeps the segment.
func (c *compactor) move(b *segment, key []byte) error {
	id, ok := keyBlobID(key)
	if !ok {
		return nil
	}
	ref, isSliver := parseSliverKey(key)
	isSliver = isSliver && key[0] == keySliver
	lock := c.s.catalog.locks.of(id)
	lock.Lock()
	needed, other, err := c.needed(b, id, key, false)
	if err == nil && needed && !isSliver {
		err = c.moveMetadata(b, id, metadataLife(key))
	}
	lock.Unlock()
	if err == nil && other != nil && isSliver {
		needed, err = c.replace(*other, ref)
	}
	if err == nil && needed && isSliver {
		err = c.moveSliver(b, ref)
	}
	if !errors.Is(err, ErrCorrupt) {
		return err
	}
	if !isSliver {
		ref = Ref{Blob: id, Shard: -1}
	}
	if report := c.report.Load(); report != nil {
		(*report)(ref, err)
	}
	return nil
}

// replace reads a sliver that an earlier compaction has copied, and deletes that copy if it is damaged. It reports
// whether it did.
func (c *compactor) replace(o spot, ref Ref) (bool, error) {
	v, err := o.find(ref)
	if err == nil {
		r := &SliverReader{s: c.s, ref: ref, b: o.segment, rec: v, have: -1, moves: true}
		_, err = r.WriteTo(io.Discard)
	}
	if !errors.Is(err, ErrCorrupt) {
		return false, ignoreGone(unknown(err))
	}
	lock := c.s.catalog.locks.of(ref.Blob)
	lock.Lock()
	defer lock.Unlock()
	if w, err := o.find(ref); err == nil && w.write != v.write {
		return false, nil
	}
	return true, c.s.delete(o, ref)
}

// endOf returns when a blob ends: for one without a record, when the class of segment b does.
func (c *compactor) endOf(id shards.BlobID, b *segment) uint32 {
	end, err := c.s.catalog.endEpoch(id)
	if err != nil {
		return b.class.last
	}
	return end
}

// moveMetadata copies a blob's metadata of a life. The caller holds the blob's lock.
func (c *compactor) moveMetadata(b *segment, id shards.BlobID, of life) error {
	m, err := b.metadata(id, of)
	if err != nil {
		return c.s.incidents.blame("metadata", Ref{Blob: id, Shard: -1}, -1, err, b.path)
	}
	if err := c.s.space.forMove(); err != nil {
		return err
	}
	size := metadataWeight(len(m))
	to, err := c.s.segments.writable(c.endOf(id, b), size)
	if err != nil {
		return err
	}
	defer to.end(size)
	is, err := c.s.places.lifeOf(id)
	if err != nil {
		return err
	}
	return c.s.putMetadataIn(to, id, m, is)
}

// moveSliver copies a sliver.
func (c *compactor) moveSliver(b *segment, ref Ref) error {
	rec, err := b.stored(ref)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil {
		return c.s.incidents.blame("sliver", ref, -1, err, b.path)
	}
	is, err := c.s.places.lifeOf(ref.Blob)
	if err != nil {
		return err
	}
	w, err := c.s.create(ref, rec.size, c.endOf(ref.Blob, b), is)
	if err != nil {
		return err
	}
	defer w.Abort()
	w.from, w.fromWrite = b, rec.write
	r := &SliverReader{s: c.s, ref: ref, b: b, rec: rec, have: -1, moves: true}
	if _, err := r.WriteTo(w); err != nil {
		if errors.Is(err, ErrNotFound) { // deleted meanwhile
			return nil
		}
		return err
	}
	if err := w.Commit(); err != nil {
		return err
	}
	c.moved.Add(rec.size)
	return nil
}

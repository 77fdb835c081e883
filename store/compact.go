package store

import (
	"context"
	"errors"
	"fmt"
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

// loads lists the segments that may be compacted. What is damaged or in doubt waits.
func (c *compactor) loads() (list []*segment, loads []load) {
	ended := c.s.catalog.ended.Load()
	c.s.segments.each(func(b *segment) {
		if _, doubt := b.counts(); doubt || b.blocked.Load() || c.s.segments.unlisted[b.id] != nil {
			return
		}
		b.mu.Lock()
		busy := b.writers > 0
		b.mu.Unlock()
		if busy {
			return
		}
		n := b.live()
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
	if err := b.flush(); err != nil {
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
			needed, err := c.needed(b, id, k, true)
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

// removeDead removes a segment in which nothing is alive, and reports whether it did. It looks no further than to the
// first that is.
func (c *compactor) removeDead(b *segment) (bool, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if alive, err := c.anyAlive(b); alive || err != nil {
		return false, err
	}
	if !b.seal() {
		return false, nil
	}
	if err := b.flush(); err != nil {
		return false, err
	}
	if err := c.allMoved(b); err != nil { // what came meanwhile
		if errors.Is(err, errStays) {
			err = nil
		}
		return false, err
	}
	c.s.places.moves.Add(1)
	return true, c.s.segments.remove(b)
}

// anyAlive reports whether something in a segment lives. It ends at the first that does.
func (c *compactor) anyAlive(b *segment) (alive bool, err error) {
	err = b.contents(func(keys [][]byte) error {
		for _, k := range keys {
			id, ok := keyBlobID(k)
			if !ok {
				continue
			}
			var err error
			if alive, err = c.s.places.alive(id, b); err != nil {
				return err
			}
			if alive {
				return errStays
			}
		}
		return nil
	})
	if errors.Is(err, errStays) {
		err = nil
	}
	return alive, err
}

// needed reports whether a record of a segment lives and no other segment has it, if durable is set: on the disk. The
// caller holds the blob's lock.
func (c *compactor) needed(b *segment, id shards.BlobID, key []byte, durable bool) (bool, error) {
	alive, err := c.s.places.alive(id, b)
	if err != nil || !alive {
		return false, err
	}
	ref, sliver := parseSliverKey(key)
	if sliver {
		if _, err := b.stored(ref); errors.Is(err, ErrNotFound) { // deleted meanwhile
			return false, nil
		}
	} else if _, err := b.metadata(id); errors.Is(err, ErrNotFound) {
		return false, nil
	}
	list, err := c.s.places.lookup(id)
	for _, o := range list {
		if o == b {
			continue
		}
		var err error
		switch {
		case !sliver:
			_, err = o.metadata(id)
		case durable:
			_, err = o.stored(ref)
		default:
			_, err = o.find(ref)
		}
		if err == nil {
			return false, nil
		}
		if err := unknown(ignoreGone(err)); err != nil {
			return false, err
		}
	}
	return true, err
}

// move copies what belongs to a key to another segment, unless it is dead or there already. Damage is reported; then
// allMoved keeps the segment.
func (c *compactor) move(b *segment, key []byte) error {
	id, ok := keyBlobID(key)
	if !ok {
		return nil
	}
	ref, sliver := parseSliverKey(key)
	lock := c.s.catalog.locks.of(id)
	lock.Lock()
	needed, err := c.needed(b, id, key, false)
	if err == nil && needed && !sliver {
		err = c.moveMetadata(b, id)
	}
	lock.Unlock()
	if err == nil && needed && sliver {
		err = c.moveSliver(b, ref)
	}
	if !errors.Is(err, ErrCorrupt) {
		return err
	}
	if !sliver {
		ref = Ref{Blob: id, Shard: -1}
	}
	if report := c.report.Load(); report != nil {
		(*report)(ref, err)
	}
	return nil
}

// endOf returns when a blob ends: for one without a record, when the class of segment b does.
func (c *compactor) endOf(id shards.BlobID, b *segment) uint32 {
	end, err := c.s.catalog.endEpoch(id)
	if err != nil {
		return b.class.last
	}
	return end
}

// moveMetadata copies a blob's metadata. The caller holds the blob's lock.
func (c *compactor) moveMetadata(b *segment, id shards.BlobID) error {
	m, err := b.metadata(id)
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
	if err := c.s.places.add(id, to); err != nil {
		return err
	}
	return to.putMetadata(id, m)
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
	w, err := c.s.create(ref, rec.size, c.endOf(ref.Blob, b))
	if err != nil {
		return err
	}
	defer w.Abort()
	w.from, w.fromWrite = b, rec.write
	r := &SliverReader{s: c.s, ref: ref, b: b, rec: rec, have: -1}
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

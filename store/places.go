package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"

	"walrus/shards"
)

// places lead from blobs to segments. The places of a blob are the numbers of the segments that may hold slivers or
// metadata of it, oldest first. They are written before what they lead to is visible, and synced with it. There may be
// too many: of segments that are gone, or that hold nothing of the blob any more.
type places struct {
	life      *lifetime // constant, as are the next three
	incidents *incidents
	catalog   *catalog
	segments  *segments
	moves     atomic.Int64 // segments removed after their slivers have moved
}

// places returns the places of a blob. A damaged record is ErrCorrupt.
func (c *catalog) places(id shards.BlobID) ([]uint64, error) {
	rec, err := c.db.record(blobKey(keyPlace, id))
	if errors.Is(err, ErrNotFound) {
		return nil, nil
	}
	if err == nil && len(rec)%8 != 0 {
		err = fmt.Errorf("%w: record of %d bytes", ErrCorrupt, len(rec))
	}
	if err != nil {
		return nil, c.incidents.blame("places", Ref{Blob: id, Shard: -1}, -1, err, c.db.path)
	}
	ids := make([]uint64, 0, len(rec)/8+1)
	for ; len(rec) > 0; rec = rec[8:] {
		ids = append(ids, binary.BigEndian.Uint64(rec))
	}
	return ids, nil
}

func placeEntry(id shards.BlobID, ids []uint64) entry {
	b := make([]byte, 0, 8*len(ids)+crcSize)
	for _, n := range ids {
		b = binary.BigEndian.AppendUint64(b, n)
	}
	return entry{key: blobKey(keyPlace, id), value: b}
}

// of returns the places of a blob; if their record is damaged, all segments.
func (p *places) of(id shards.BlobID) ([]uint64, error) {
	ids, err := p.catalog.places(id)
	if !errors.Is(err, ErrCorrupt) {
		return ids, err
	}
	for _, b := range slices.Backward(p.segments.all()) {
		ids = append(ids, b.id)
	}
	return ids, nil
}

// mend replaces a damaged record of places: by all segments.
func (p *places) mend(id shards.BlobID) error {
	lock := p.catalog.locks.of(id)
	lock.Lock()
	defer lock.Unlock()
	if _, err := p.catalog.places(id); !errors.Is(err, ErrCorrupt) {
		return err
	}
	all, err := p.of(id)
	if err != nil {
		return err
	}
	return p.catalog.db.put(placeEntry(id, all))
}

// lookup returns the segments that may hold something of a blob, the newest place first.
func (p *places) lookup(id shards.BlobID) ([]*segment, error) {
	ids, err := p.of(id)
	if err != nil {
		return nil, err
	}
	return p.segments.at(ids), nil
}

// placing returns the entry that adds b to the places of a blob, and false if it is one already. The caller holds the
// blob's lock.
func (p *places) placing(id shards.BlobID, b *segment, places []uint64) (entry, bool) {
	if slices.Contains(places, b.id) {
		return entry{}, false
	}
	p.segments.mu.RLock()
	places = slices.DeleteFunc(places, func(n uint64) bool { return p.segments.byID[n] == nil })
	p.segments.mu.RUnlock()
	return placeEntry(id, append(places, b.id)), true
}

// add makes b a place of a blob. The caller holds the blob's lock.
func (p *places) add(id shards.BlobID, b *segment) error {
	places, err := p.of(id)
	if err != nil {
		return err
	}
	return p.addAmong(id, b, places)
}

// addAmong is add with the places read already.
func (p *places) addAmong(id shards.BlobID, b *segment, places []uint64) error {
	e, need := p.placing(id, b, places)
	if !need {
		return nil
	}
	return p.catalog.db.put(e)
}

func listedKey(id uint64) []byte { return binary.BigEndian.AppendUint64([]byte{keyListed}, id) }

// noteListed notes that the places of all blobs name segment id where they must.
func (c *catalog) noteListed(id uint64) error { return c.db.put(entry{key: listedKey(id)}) }

func (c *catalog) unlist(id uint64) error { return c.db.put(entry{key: listedKey(id), del: true}) }

// listedSegments returns the numbers that list has noted. After damage to meta it is none of them.
func (c *catalog) listedSegments() (map[uint64]bool, error) {
	listed := map[uint64]bool{}
	err := c.db.pages([]byte{keyListed}, func(keys [][]byte) error {
		for _, k := range keys {
			if len(k) != 1+8 {
				continue
			}
			if c.db.damaged {
				if err := c.db.put(entry{key: k, del: true}); err != nil {
					return err
				}
				continue
			}
			listed[binary.BigEndian.Uint64(k[1:])] = true
		}
		return nil
	})
	if err == nil && c.db.damaged {
		err = c.db.sync()
	}
	return listed, err
}

// list makes a segment a place of all blobs of which it holds something.
func (p *places) list(b *segment, rest func() error) error {
	for _, kind := range []byte{keyMetadata, keySliver} {
		err := b.pages([]byte{kind}, func(keys [][]byte) error {
			for _, k := range keys {
				id, ok := keyBlobID(k)
				if !ok {
					continue
				}
				lock := p.catalog.locks.of(id)
				lock.Lock()
				alive, err := p.alive(id, b)
				if err == nil && alive {
					err = p.add(id, b)
				}
				lock.Unlock()
				if err != nil {
					return err
				}
			}
			return rest()
		})
		if err != nil {
			return err
		}
	}
	if err := p.catalog.db.sync(); err != nil {
		return err
	}
	if err := p.catalog.noteListed(b.id); err != nil {
		return err
	}
	p.segments.mu.Lock()
	defer p.segments.mu.Unlock()
	delete(p.segments.unlisted, b.id)
	return nil
}

// metadata looks into the segments that may hold metadata of a blob.
func (p *places) metadata(id shards.BlobID) (m []byte, err error) {
	err = p.search(id, func(b *segment) error {
		m, err = b.metadata(id)
		return p.incidents.blame("metadata", Ref{Blob: id, Shard: -1}, -1, err, b.path)
	})
	if err != nil {
		return nil, err
	}
	return m, nil
}

// search calls find for the segments that may hold something of a blob until it returns no error. Else it returns
// damage, if there is any, or ErrNotFound. While something moves it looks again: it may have been missed.
func (p *places) search(id shards.BlobID, find func(*segment) error) error {
	for tries := 0; ; tries++ {
		moved := p.moves.Load()
		list, err := p.lookup(id)
		if err != nil {
			return p.life.closedError(err)
		}
		found := error(ErrNotFound)
		for _, b := range list {
			switch err := find(b); {
			case err == nil:
				return nil
			case errors.Is(err, ErrNotFound):
			case errors.Is(err, errGone):
				if p.life.closed.Load() {
					return ErrClosed
				}
			case errors.Is(err, ErrCorrupt):
				found = err
			default:
				return err
			}
		}
		if p.life.closed.Load() {
			return ErrClosed
		}
		if !errors.Is(found, ErrNotFound) || moved == p.moves.Load() || tries == maxMoves {
			return found
		}
	}
}

// find returns a committed sliver and its segment. Errors: ErrNotFound, ErrCorrupt.
func (p *places) find(ref Ref) (in *segment, v sliver, err error) {
	err = p.search(ref.Blob, func(b *segment) (err error) {
		in = b
		v, err = b.find(ref)
		return p.incidents.blame("sliver", ref, -1, err, b.path)
	})
	if err != nil {
		return nil, sliver{}, err
	}
	return in, v, nil
}

// alive reports whether what segment b holds of a blob is to be kept: if the blob has a record, and b is among its
// places, without which nothing is found. If meta was damaged, records may have been lost: then until b's class ends.
func (p *places) alive(id shards.BlobID, b *segment) (bool, error) {
	_, err := p.catalog.endEpoch(id)
	if errors.Is(err, ErrNotFound) {
		return b.order() < p.catalog.forgot.Load() && b.class.last > p.catalog.ended.Load(), nil
	}
	if err := unknown(err); err != nil {
		return false, err
	}
	p.segments.mu.RLock()
	unlisted := p.segments.unlisted[b.id] != nil
	p.segments.mu.RUnlock()
	if unlisted {
		return true, nil
	}
	places, err := p.catalog.places(id)
	if errors.Is(err, ErrCorrupt) {
		return true, nil
	}
	return slices.Contains(places, b.id), err
}

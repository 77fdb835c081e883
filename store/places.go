package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"

	"walrus/shards"
)

// places lead from blobs to segments, and decide what lives in them. The places of a blob are the segments that may
// hold slivers or metadata of it, oldest first. There may be too many: of segments that are gone, or that hold nothing
// of the blob any more. They are durable before the record of a sliver that they lead to is written.
type places struct {
	life      *lifetime // constant, as are the next three
	incidents *incidents
	catalog   *catalog
	segments  *segments
	moves     atomic.Int64 // segments removed after their slivers have moved
}

// place is one place of a blob.
type place struct {
	segment uint64 // number
	life    life   // what the segment holds of other lives of the blob is dead
	n       counts // slivers, and bytes that live
	// unknown: nothing was counted yet, n is zero.
	unknown bool
}

// spot is a place whose segment is there.
type spot struct {
	*segment
	place
}

const (
	placeSize    = 8 + lifeSize + 4 + 8
	placeFormat  = 1         // the first byte of a record; in format 3 a record was numbers of segments, u64 each
	placeUnknown = 1<<32 - 1 // in place of the number of slivers
)

func unmarshalPlaces(rec []byte) (list []place, err error) {
	if len(rec)%8 == 0 {
		for ; len(rec) > 0; rec = rec[8:] {
			list = append(list, place{segment: binary.BigEndian.Uint64(rec), unknown: true})
		}
		return list, nil
	}
	if rec[0] != placeFormat || len(rec)%placeSize != 1 {
		return nil, fmt.Errorf("%w: record of %d bytes", ErrCorrupt, len(rec))
	}
	list = make([]place, 0, len(rec)/placeSize+1)
	for rec = rec[1:]; len(rec) > 0; rec = rec[placeSize:] {
		p := place{segment: binary.BigEndian.Uint64(rec), life: life(binary.BigEndian.Uint32(rec[8:]))}
		if n := binary.BigEndian.Uint32(rec[12:]); n == placeUnknown {
			p.unknown = true
		} else {
			p.n = counts{int64(n), int64(binary.BigEndian.Uint64(rec[16:]))}
		}
		list = append(list, p)
	}
	return list, nil
}

func placeEntry(id shards.BlobID, list []place) entry {
	if len(list) == 0 {
		return entry{key: blobKey(keyPlace, id), del: true}
	}
	b := append(make([]byte, 0, 1+placeSize*len(list)+crcSize), placeFormat)
	for _, p := range list {
		b = binary.BigEndian.AppendUint64(b, p.segment)
		b = binary.BigEndian.AppendUint32(b, uint32(p.life))
		n := uint32(max(p.n[0], 0))
		if p.unknown {
			n = placeUnknown
		}
		b = binary.BigEndian.AppendUint32(b, n)
		b = binary.BigEndian.AppendUint64(b, uint64(max(p.n[1], 0)))
	}
	return entry{key: blobKey(keyPlace, id), value: b}
}

// places returns the places of a blob. A damaged record is ErrCorrupt.
func (c *catalog) places(id shards.BlobID) ([]place, error) {
	rec, err := c.db.record(blobKey(keyPlace, id))
	if errors.Is(err, ErrNotFound) {
		return nil, nil
	}
	var list []place
	if err == nil {
		list, err = unmarshalPlaces(rec)
	}
	if err != nil {
		return nil, c.incidents.blame("places", Ref{Blob: id, Shard: -1}, -1, err, c.db.path)
	}
	return list, nil
}

// of returns the places of a blob; if their record is damaged, all segments.
func (p *places) of(id shards.BlobID) ([]place, error) {
	list, err := p.catalog.places(id)
	if !errors.Is(err, ErrCorrupt) {
		return list, err
	}
	_, life, _ := p.catalog.blob(id) // 0 if that is damaged too
	for _, b := range slices.Backward(p.segments.all()) {
		list = append(list, place{segment: b.id, life: life, unknown: true})
	}
	return list, nil
}

// mend replaces a damaged record of places, by those of all segments that hold something of the blob.
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
	var list []place
	for _, a := range p.segments.at(all) {
		held, err := a.heldShards()
		if err == nil {
			a.n, err = p.weigh(id, a, held)
		}
		if err := ignoreGone(err); err != nil {
			return err
		}
		if a.n != (counts{}) {
			a.unknown = false
			list = append(list, a.place)
		}
	}
	slices.Reverse(list)
	p.catalog.db.suspect() // by how much the lost record had changed the accounts is not known
	return p.catalog.db.change(placeEntry(id, list))
}

// lookup returns the segments that may hold something of a blob, the newest place first.
func (p *places) lookup(id shards.BlobID) ([]spot, error) {
	list, err := p.of(id)
	if err != nil {
		return nil, err
	}
	return p.segments.at(list), nil
}

// shift returns an entry for meta that makes b a place of a blob and counts what is added to it there. There is none
// to write if need is false. The caller holds the blob's lock.
func (p *places) shift(id shards.BlobID, b *segment, life life, n counts) (e entry, need bool, err error) {
	list, err := p.of(id)
	if err != nil {
		return entry{}, false, err
	}
	e, need = p.shifted(id, b, life, n, list)
	return e, need, nil
}

// shifted is shift with the places read already.
func (p *places) shifted(id shards.BlobID, b *segment, life life, n counts, list []place) (entry, bool) {
	i := slices.IndexFunc(list, func(e place) bool { return e.segment == b.id })
	if i >= 0 && (n == (counts{}) || list[i].unknown) { // what is unknown will be counted
		return entry{}, false
	}
	list = slices.Clone(list)
	if i < 0 {
		p.segments.mu.RLock()
		list = slices.DeleteFunc(list, func(e place) bool { return p.segments.byID[e.segment] == nil })
		p.segments.mu.RUnlock()
		list, i = append(list, place{segment: b.id, life: life}), len(list)
	}
	list[i].n.add(n)
	e := placeEntry(id, list)
	e.shifts = []shift{{b.id, n}}
	return e, true
}

// add makes b a place of a blob and counts what is added to it there. The caller holds the blob's lock.
func (p *places) add(id shards.BlobID, b *segment, life life, n counts) error {
	e, need, err := p.shift(id, b, life, n)
	if err != nil || !need {
		return err
	}
	return p.catalog.db.change(e)
}

// count counts committed slivers, before their records are written. It forgets those whose blob was dropped.
func (p *places) count(b *segment, page []Ref) error {
	defer p.catalog.locks.all(page)()
	var batch []entry
	counted := make(map[Ref]pending, len(page))
	for len(page) > 0 {
		id := page[0].Blob
		list, err := p.of(id)
		if err != nil {
			return err
		}
		i := slices.IndexFunc(list, func(e place) bool { return e.segment == b.id })
		var sum counts
		for ; len(page) > 0 && page[0].Blob == id; page = page[1:] {
			v, ok := b.waiting(page[0])
			if !ok || v.counted {
				continue
			}
			if i < 0 || !list[i].life.accepts(v.life()) {
				b.forget(page[0])
				continue
			}
			sum.add(counts{1, v.weight()})
			counted[page[0]] = v
		}
		if e, need := p.shifted(id, b, 0, sum, list); need && i >= 0 {
			batch = append(batch, e)
		}
	}
	if len(batch) == 0 {
		return nil
	}
	if err := p.catalog.db.change(batch...); err != nil {
		b.doubted.Store(true) // it may have been written
		return err
	}
	b.counted(counted)
	return nil
}

// weigh counts anew what a segment holds of a blob. held are the shards of which it has slivers. The caller holds the
// blob's lock.
func (p *places) weigh(id shards.BlobID, at spot, held []int) (n counts, err error) {
	committed := at.committed(id)
	refs := make([]Ref, 0, 2*len(held))
	for _, shard := range held {
		refs = append(refs, Ref{id, shard, shards.Primary}, Ref{id, shard, shards.Secondary})
	}
	for r, v := range committed {
		if v.counted && !slices.Contains(refs, r) {
			refs = append(refs, r)
		}
	}
	for _, r := range refs {
		v, err := at.stored(r)
		switch w, ok := committed[r]; {
		case ok && w.counted:
			n.add(counts{1, w.weight()})
		case err == nil && at.accepts(v):
			n.add(counts{1, v.weight()})
		case errors.Is(err, ErrCorrupt) && !ok:
			n.add(counts{1, 0})
		case unknown(err) != nil:
			return n, err
		}
	}
	m, err := at.metadata(id, at.life)
	if err == nil {
		n.add(counts{0, metadataWeight(len(m))})
	}
	return n, unknown(err)
}

// settle counts anew what a segment holds of a blob. With missing the segment may lack among the places.
func (p *places) settle(id shards.BlobID, b *segment, held []int, missing bool) error {
	lock := p.catalog.locks.of(id)
	lock.Lock()
	defer lock.Unlock()
	return p.resettle(id, b, held, missing)
}

// resettle is settle for a caller that holds the blob's lock.
func (p *places) resettle(id shards.BlobID, b *segment, held []int, missing bool) error {
	list, err := p.catalog.places(id)
	if err != nil {
		return unknown(err)
	}
	i := slices.IndexFunc(list, func(e place) bool { return e.segment == b.id })
	if i < 0 {
		if !missing {
			return nil
		}
		if _, _, err := p.catalog.blob(id); err != nil {
			return unknown(err)
		}
		list, i = append(list, place{segment: b.id, unknown: true}), len(list)
	}
	if missing && !list[i].unknown { // by another of its keys
		return nil
	}
	_, _, err = p.catalog.blob(id)
	lost := errors.Is(err, ErrNotFound) && !p.recordless(b) // a crash has left the places
	var n counts
	if err = unknown(err); err == nil && !lost {
		n, err = p.weigh(id, spot{b, list[i]}, held)
	}
	if err != nil || n == list[i].n && !list[i].unknown && !lost {
		return err
	}
	by := n
	by.add(list[i].n.negative())
	list[i].n, list[i].unknown = n, false
	if lost {
		list = slices.Delete(list, i, i+1)
	}
	e := placeEntry(id, list)
	e.shifts = []shift{{b.id, by}}
	return p.catalog.db.change(e)
}

// list makes a segment a place of all blobs of which it holds something.
func (p *places) list(b *segment, rest func() error) error {
	held, err := b.heldShards()
	if err != nil {
		return err
	}
	err = b.contents(func(keys [][]byte) error {
		for _, k := range keys {
			if id, ok := keyBlobID(k); ok {
				if err := p.settle(id, b, held, true); err != nil {
					return err
				}
			}
		}
		return rest()
	})
	if err != nil {
		return err
	}
	if err := p.catalog.db.sync(); err != nil {
		return err
	}
	if err := p.catalog.noteListed(b.id); err != nil {
		return err
	}
	b.doubted.Store(false)
	p.segments.mu.Lock()
	defer p.segments.mu.Unlock()
	delete(p.segments.unlisted, b.id)
	return nil
}

// settleAll counts anew what segments in doubt hold of each blob: after a crash that is less than what their places
// say.
func (p *places) settleAll(rest func() error) error {
	held := map[uint64][]int{}
	doubted := map[uint64]*segment{}
	var err error
	p.segments.each(func(b *segment) {
		if p.segments.unlisted[b.id] == nil && b.doubted.Swap(false) {
			doubted[b.id] = b
		}
	})
	if len(doubted) == 0 {
		return nil
	}
	for id, b := range doubted {
		var herr error
		held[id], herr = b.heldShards()
		err = errors.Join(err, ignoreGone(herr))
	}
	if err == nil {
		err = p.catalog.db.pages([]byte{keyPlace}, func(keys [][]byte) error {
			for _, k := range keys {
				id, ok := keyBlobID(k)
				if !ok {
					continue
				}
				list, err := p.catalog.places(id)
				if err := unknown(err); err != nil {
					return err
				}
				for _, e := range list {
					if b := doubted[e.segment]; b != nil {
						if err := ignoreGone(p.settle(id, b, held[b.id], false)); err != nil {
							return err
						}
					}
				}
			}
			return rest()
		})
	}
	if err == nil {
		err = p.catalog.db.sync()
	}
	if err != nil {
		for _, b := range doubted {
			b.doubted.Store(true)
		}
	}
	return err
}

func listedKey(id uint64) []byte { return binary.BigEndian.AppendUint64([]byte{keyListed}, id) }

// noteListed notes that the places of all blobs name segment id where they must.
func (c *catalog) noteListed(id uint64) error { return c.db.put(entry{key: listedKey(id)}) }

// forget forgets a segment that is removed.
func (c *catalog) forget(id uint64) error {
	c.db.dropAccount(id)
	return c.db.put(entry{key: listedKey(id), del: true}, entry{key: accountKey(id), del: true})
}

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

// metadata looks into the segments that may hold metadata of a blob.
func (p *places) metadata(id shards.BlobID) (m []byte, err error) {
	err = p.search(id, func(b spot) error {
		m, err = b.metadata(id, b.life)
		return p.incidents.blame("metadata", Ref{Blob: id, Shard: -1}, -1, err, b.path)
	})
	if err != nil {
		return nil, err
	}
	return m, nil
}

// search calls find for the segments that may hold something of a blob until it returns no error. Else it returns
// damage, if there is any, or ErrNotFound. While something moves it looks again: it may have been missed.
func (p *places) search(id shards.BlobID, find func(spot) error) error {
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
	err = p.search(ref.Blob, func(b spot) (err error) {
		in = b.segment
		v, err = b.find(ref)
		return p.incidents.blame("sliver", ref, -1, err, b.path)
	})
	if err != nil {
		return nil, sliver{}, err
	}
	return in, v, nil
}

// find returns the record of a committed sliver of the place's life.
func (b spot) find(r Ref) (sliver, error) {
	v, err := b.segment.find(r)
	if err == nil && !b.accepts(v) {
		err = ErrNotFound
	}
	return v, err
}

// accepts reports whether a sliver in the segment is of the place's life.
func (b spot) accepts(v sliver) bool { return b.life.accepts(v.life()) }

// lifeOf returns the life of a blob. If its record is lost, that of its last place, or any.
func (p *places) lifeOf(id shards.BlobID) (life, error) {
	_, of, err := p.catalog.blob(id)
	if err == nil || unknown(err) != nil {
		return of, err
	}
	list, err := p.catalog.places(id)
	if len(list) > 0 {
		of = list[len(list)-1].life
	}
	return of, unknown(err)
}

// holds reports whether segment b is a place of a blob in a life of it, or may be one.
func (p *places) holds(id shards.BlobID, b *segment, of life) (bool, error) {
	list, err := p.catalog.places(id)
	if err != nil {
		return errors.Is(err, ErrCorrupt), unknown(err)
	}
	for _, e := range list {
		if e.segment == b.id {
			return e.life.accepts(of), nil
		}
	}
	p.segments.mu.RLock()
	defer p.segments.mu.RUnlock()
	return p.segments.unlisted[b.id] != nil, nil
}

// placed reports whether segment b is a place of a blob in any life, or may be one.
func (p *places) placed(id shards.BlobID, b *segment) (bool, error) {
	list, err := p.lookup(id)
	return slices.ContainsFunc(list, func(o spot) bool { return o.segment == b }), err
}

// alive reports whether what segment b holds of a life of a blob is to be kept: if the blob has a record, and b is a
// place of it in that life, without which nothing is found. If meta was damaged, records may have been lost: then until
// b's class ends.
func (p *places) alive(id shards.BlobID, b *segment, of life) (bool, error) {
	_, _, err := p.catalog.blob(id)
	if errors.Is(err, ErrNotFound) {
		return p.recordless(b), nil
	}
	if err := unknown(err); err != nil {
		return false, err
	}
	return p.holds(id, b, of)
}

// recordless reports whether segment b may hold slivers whose record was lost, and that may be owed.
func (p *places) recordless(b *segment) bool {
	return b.order() < p.catalog.forgot.Load() && b.class.last > p.catalog.ended.Load()
}

// lifeAt returns the life of what a key of a segment names. A sliver whose record is damaged is of life 0.
func (b *segment) lifeAt(key []byte) (life, error) {
	ref, ok := parseSliverKey(key)
	if !ok || key[0] != keySliver {
		return metadataLife(key), nil
	}
	v, err := b.find(ref)
	return v.life(), err
}

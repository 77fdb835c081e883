package store

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"

	"walrus/shards"
)

// ScrubStats counts the items that Scrub has read.
type ScrubStats struct {
	Blobs, Certificates, Slivers int64
	Bytes                        int64 // of slivers, metadata, certificates and index tables
	Corrupt                      int64 // reports
}

// Scrub reads everything back, an extent at a time. It calls corrupt with a *CorruptError for each sliver, blob record,
// metadata and certificate that is damaged, and for missing metadata; except for slivers, Ref.Shard is −1. It skips
// slivers that are not yet synced, deletes nothing, and ends with ctx. Damage of an index becomes an incident.
func (s *Store) Scrub(ctx context.Context, corrupt func(Ref, error)) (stats ScrubStats, err error) {
	var at Position
	for !at.Done() {
		part, err := s.ScrubPart(ctx, &at, corrupt)
		stats.add(part)
		if err != nil {
			return stats, err
		}
	}
	return stats, nil
}

// ScrubPart is a part of Scrub: it reads some MiB, or a thousand small items, and moves at on. After an error at stays.
func (s *Store) ScrubPart(ctx context.Context, at *Position, corrupt func(Ref, error)) (ScrubStats, error) {
	if err := s.life.open(); err != nil {
		return ScrubStats{}, err
	}
	c := &scrub{s: s, ctx: ctx, corrupt: corrupt, at: *at}
	if err := c.part(); err != nil {
		return c.stats, fmt.Errorf("scrub: %w", s.life.closedError(err))
	}
	*at = c.at
	if c.at.newest && c.at.Done() {
		return c.stats, s.life.closedError(s.tending.markChecked())
	}
	return c.stats, nil
}

// Newest returns the position from which ScrubPart reads what was written last before an unclean stop: everything of
// the last ten minutes, at least. After a clean stop that is nothing.
func (s *Store) Newest() Position {
	if !s.tending.unchecked() {
		return Position{stage: stageDone, newest: true}
	}
	return Position{newest: true}
}

func (t *ScrubStats) add(u ScrubStats) {
	t.Blobs += u.Blobs
	t.Certificates += u.Certificates
	t.Slivers += u.Slivers
	t.Bytes += u.Bytes
	t.Corrupt += u.Corrupt
}

// scrubPart bounds the bytes that ScrubPart reads, but for the last item.
const scrubPart = 4 << 20

// scrub is the state of one call of ScrubPart.
type scrub struct {
	s       *Store
	ctx     context.Context // of that one call of ScrubPart
	corrupt func(Ref, error)
	at      Position
	stats   ScrubStats
}

// part works at the position, and moves it on.
func (c *scrub) part() error {
	meta := c.s.catalog.db
	switch c.at.stage {
	case stageMeta:
		return c.tables(meta, stageBlobs)
	case stageBlobs:
		return c.items(meta, keyBlob, stageCertificates, c.blob)
	case stageCertificates:
		c.at.order = math.MaxInt64
		return c.items(meta, keyCertificate, stageSegment, c.certificate)
	case stageDone:
		return nil
	}
	b := c.segment()
	if b == nil {
		c.at = Position{stage: stageDone, newest: c.at.newest}
		return nil
	}
	if b.order() != c.at.order { // the segment before was finished or removed
		c.at = Position{stage: stageSegment, newest: c.at.newest, order: b.order()}
	}
	var err error
	if c.at.stage == stageSegment {
		err = c.tables(b.database, stageSlivers)
	} else {
		lent := buffers.Get().(*[]byte)
		defer buffers.Put(lent)
		err = c.items(b.database, keySliver, stageDone, func(k []byte) error { return c.sliver(b, k, lent) })
	}
	if errors.Is(err, errGone) && !c.s.life.closed.Load() { // dropped
		c.at.stage, err = stageDone, nil
	}
	if c.at.stage == stageDone && b.order() > 0 { // with this segment
		c.at = Position{stage: stageSegment, newest: c.at.newest, order: b.order() - 1}
	}
	return err
}

// segment returns the segment of the position, or the next one that is left: the next older one.
func (c *scrub) segment() *segment {
	for _, b := range c.s.segments.all() {
		if b.order() <= c.at.order && (!c.at.newest || b.marks.was+1 < b.marks.opened) {
			return b
		}
	}
	return nil
}

// tables verifies the next index tables. Tables are not for the newest writes.
func (c *scrub) tables(d *database, then stage) error {
	var table uint64
	if len(c.at.after) == 8 {
		table = binary.BigEndian.Uint64(c.at.after)
	}
	for c.stats.Bytes < scrubPart && !c.at.newest {
		if err := c.ctx.Err(); err != nil {
			return err
		}
		var n int64
		err := d.use(func() (err error) {
			table, n, err = d.eng.index().verify(table)
			return err
		})
		if errors.Is(err, ErrCorrupt) {
			c.s.tending.blameIndex(d, err)
			err = nil
		}
		if err != nil {
			return err
		}
		if c.stats.Bytes += n; table == 0 {
			c.at.stage, c.at.after = then, nil
			return nil
		}
		c.at.after = binary.BigEndian.AppendUint64(nil, table)
	}
	if c.at.newest {
		c.at.stage, c.at.after = then, nil
	}
	return nil
}

// items checks the next records of a kind.
func (c *scrub) items(d *database, kind byte, then stage, check func(key []byte) error) error {
	since := uint64(0)
	if c.at.newest {
		since = d.marks.was
	}
	var keys [][]byte
	err := d.scan([]byte{kind}, c.at.after, batchKeys, since, func(k []byte) error {
		keys = append(keys, k)
		return nil
	})
	if err != nil {
		return err
	}
	for _, k := range keys {
		if err := c.ctx.Err(); err != nil {
			return err
		}
		if err := check(k); err != nil {
			return err
		}
		if c.at.after = k; c.stats.Bytes >= scrubPart {
			return nil
		}
	}
	if len(keys) < batchKeys {
		c.at.stage, c.at.after = then, nil
	}
	return nil
}

// report hands damage to corrupt and returns other errors, which end the run.
func (c *scrub) report(r Ref, err error) error {
	if !errors.Is(err, ErrCorrupt) {
		return err
	}
	c.stats.Corrupt++
	c.corrupt(r, err)
	return nil
}

func (c *scrub) blob(key []byte) error {
	if len(key) != 1+idSize {
		return nil
	}
	id := shards.BlobID(key[1:])
	r := Ref{Blob: id, Shard: -1}
	_, err := c.s.catalog.endEpoch(id)
	if errors.Is(err, ErrNotFound) { // dropped meanwhile
		return nil
	}
	if err != nil {
		return c.report(r, err)
	}
	c.stats.Blobs++
	if _, err := c.s.catalog.places(id); errors.Is(err, ErrCorrupt) {
		if err := c.s.places.mend(id); err != nil {
			return err
		}
	}
	m, err := c.s.places.metadata(id)
	if errors.Is(err, ErrNotFound) {
		if _, err := c.s.catalog.endEpoch(id); errors.Is(err, ErrNotFound) {
			return nil
		}
		err = &CorruptError{Kind: "metadata", Ref: r, Extent: -1, Err: ErrNotFound}
		return c.report(r, err)
	}
	c.stats.Bytes += int64(len(m))
	if err != nil {
		return c.report(r, err)
	}
	return nil
}

func (c *scrub) certificate(key []byte) error {
	if len(key) != 1+idSize {
		return nil
	}
	id := shards.BlobID(key[1:])
	cert, _, err := c.s.catalog.certificate(id)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil {
		return c.report(Ref{Blob: id, Shard: -1}, err)
	}
	c.stats.Certificates++
	c.stats.Bytes += int64(len(cert))
	return nil
}

// sliver reads a sliver with a lent buffer.
func (c *scrub) sliver(b *segment, key []byte, lent *[]byte) error {
	ref, ok := parseSliverKey(key)
	if !ok {
		return nil
	}
	rec, err := b.find(ref)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	alive, aerr := c.s.places.holds(ref.Blob, b, rec.life())
	if err != nil {
		alive, aerr = c.s.places.placed(ref.Blob, b)
	}
	if aerr != nil || !alive {
		return aerr
	}
	if err != nil {
		return c.report(ref, c.s.incidents.blame("sliver", ref, -1, err, b.path))
	}
	r := &SliverReader{s: c.s, ref: ref, b: b, rec: rec, have: -1, buf: (*lent)[:0]}
	for off := int64(0); ; off += int64(rec.extent) {
		if err := c.ctx.Err(); err != nil {
			return err
		}
		p, err := r.at(off)
		switch {
		case errors.Is(err, io.EOF):
			c.stats.Slivers++
			return nil
		case errors.Is(err, ErrNotFound): // deleted meanwhile
			return nil
		case err != nil:
			return c.report(ref, err)
		}
		c.stats.Bytes += int64(len(p))
	}
}

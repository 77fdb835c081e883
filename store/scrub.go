package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"

	"walrus/shards"
)

// ScrubStats counts the items that Scrub has read.
type ScrubStats struct {
	Blobs, Certificates, Slivers int64
	Bytes                        int64 // of slivers and metadata
	Corrupt                      int64 // reports
}

// Shard lists the slivers of a shard, ordered by blob ID, primary before secondary. Slivers that are
// committed or deleted meanwhile may or may not be listed.
func (s *Store) Shard(shard int) iter.Seq2[Ref, error] {
	return func(yield func(Ref, error) bool) {
		if err := (Ref{Shard: shard}).check(); err != nil {
			yield(Ref{}, err)
			return
		}
		var after *Ref
		for {
			page, err := s.shardPage(shard, after)
			if err != nil {
				yield(Ref{}, fmt.Errorf("list shard %d: %w", shard, s.life.closedError(err)))
				return
			}
			for _, r := range page {
				if !yield(r, nil) {
					return
				}
			}
			if len(page) < batchKeys {
				return
			}
			after = &page[len(page)-1]
		}
	}
}

// shardPage merges a page of each bucket: the first slivers of all are among the first of each.
func (s *Store) shardPage(shard int, after *Ref) ([]Ref, error) {
	if err := s.life.open(); err != nil {
		return nil, err
	}
	var page []Ref
	for _, b := range s.buckets.all() {
		refs, err := b.refs(shard, after, batchKeys)
		if errors.Is(err, errGone) && !s.life.closed.Load() {
			continue
		}
		if err != nil {
			return nil, err
		}
		page = append(page, refs...)
	}
	slices.SortFunc(page, compareRefs)
	page = slices.Compact(page)
	return page[:min(len(page), batchKeys)], nil
}

// Scrub reads everything back, a segment at a time. It calls corrupt with a *CorruptError for each sliver, blob record,
// metadata and certificate that is damaged, and for missing metadata; except for slivers, Ref.Shard is −1. It skips
// slivers that are not yet synced, deletes nothing, and ends with ctx.
func (s *Store) Scrub(ctx context.Context, corrupt func(Ref, error)) (stats ScrubStats, err error) {
	if err := s.life.open(); err != nil {
		return stats, err
	}
	c := &scrub{s: s, ctx: ctx, corrupt: corrupt}
	if err := c.run(); err != nil {
		return c.stats, fmt.Errorf("scrub: %w", s.life.closedError(err))
	}
	return c.stats, nil
}

// scrub is one run of Scrub.
type scrub struct {
	s       *Store
	ctx     context.Context // of that one call of Scrub
	corrupt func(Ref, error)
	stats   ScrubStats
}

func (c *scrub) run() error {
	if err := c.s.catalog.db.use(c.s.catalog.db.eng.verify); err != nil {
		c.note(c.s.catalog.db, err)
	}
	if err := c.records(keyBlob, c.blob); err != nil {
		return err
	}
	if err := c.records(keyCertificate, c.certificate); err != nil {
		return err
	}
	for _, b := range c.s.buckets.all() {
		if err := b.use(b.eng.verify); err != nil && !errors.Is(err, errGone) {
			c.note(b.database, err)
		}
		if err := c.bucket(b); err != nil && (!errors.Is(err, errGone) || c.s.life.closed.Load()) {
			return err
		}
	}
	return nil
}

// note records a damaged index as an incident.
func (c *scrub) note(d *database, err error) {
	c.s.incidents.add(Incident{Path: d.path, Err: fmt.Errorf("%w: index: %w", ErrCorrupt, err)})
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

func (c *scrub) records(kind byte, check func(shards.BlobID) error) error {
	return c.s.catalog.db.pages([]byte{kind}, func(keys [][]byte) error {
		for _, k := range keys {
			if err := c.ctx.Err(); err != nil {
				return err
			}
			if len(k) != 1+idSize {
				continue
			}
			if err := check(shards.BlobID(k[1:])); err != nil {
				return err
			}
		}
		return nil
	})
}

func (c *scrub) blob(id shards.BlobID) error {
	r := Ref{Blob: id, Shard: -1}
	end, err := c.s.catalog.endEpoch(id)
	if errors.Is(err, ErrNotFound) { // dropped meanwhile
		return nil
	}
	if err != nil {
		return c.report(r, err)
	}
	c.stats.Blobs++
	m, err := c.s.findMetadata(id, end)
	if errors.Is(err, ErrNotFound) {
		if _, err := c.s.catalog.endEpoch(id); errors.Is(err, ErrNotFound) {
			return nil
		}
		err = &CorruptError{Kind: "metadata", Ref: r, Segment: -1, Err: ErrNotFound}
		return c.report(r, err)
	}
	c.stats.Bytes += int64(len(m))
	if err != nil {
		return c.report(r, err)
	}
	return nil
}

func (c *scrub) certificate(id shards.BlobID) error {
	_, _, err := c.s.catalog.certificate(id)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil {
		return c.report(Ref{Blob: id, Shard: -1}, err)
	}
	c.stats.Certificates++
	return nil
}

// bucket reads all slivers of a bucket, with one buffer.
func (c *scrub) bucket(b *bucket) error {
	lent := buffers.Get().(*[]byte)
	defer buffers.Put(lent)
	return b.pages([]byte{keySliver}, func(keys [][]byte) error {
		for _, k := range keys {
			r, ok := parseSliverKey(k)
			if !ok {
				continue
			}
			if err := c.sliver(b, r, lent); err != nil {
				return err
			}
		}
		return nil
	})
}

func (c *scrub) sliver(b *bucket, ref Ref, lent *[]byte) error {
	rec, err := b.find(ref)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil {
		return c.report(ref, c.s.incidents.blame("sliver", ref, -1, err, b.path))
	}
	r := &SliverReader{s: c.s, ref: ref, b: b, rec: rec, have: -1, buf: (*lent)[:0]}
	for off := int64(0); ; off += int64(rec.segment) {
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

package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"walrus/gather"
	"walrus/shards"
)

const (
	// maxWindow bounds the rows or columns fetched at once.
	maxWindow = 32
	// readTick is the interval at which slow rows are looked for and busy nodes are asked again.
	readTick = 200 * time.Millisecond
	// slowLine is the rate, in bytes per second, below which the first rows are slow.
	slowLine = 1 << 20
	// A row waits for a connection for dialHedgeFactor times the time in which the first node was reached and sent the
	// metadata, but at least minDialHedge: other nodes should be as fast as that one.
	minDialHedge    = time.Second
	dialHedgeFactor = 4
)

// patienceFor returns how long a sliver of size bytes may hold up a read.
func (c *Client) patienceFor(size int64, dial time.Duration) gather.Patience {
	return gather.Patience{Hedge: c.cfg.Hedge, Dial: dial, First: c.cfg.Hedge + time.Duration(size)*time.Second/slowLine}
}

// reader reads one range of a blob. The plan decides, the fetches bring rows, the store holds them, and the output
// writes them in order. The goroutine of run owns all of them.
type reader struct {
	blob    *Blob         // constant, as the next
	layout  shards.Layout // of a row
	plan    *gather.Rows
	fetches *rowFetches
	rows    *rowStore
	out     *output
	check   *rowCheck // nil: the read is of a part, or too small
	res     *ReadResult
	hurry   chan *pinned // not nil: if the first row is late, pinners are looked for, and come here
	pinned  *pinned      // who pins the blob, after errSlow
}

// newReader makes a reader of n bytes of the blob from off; the range must lie within the blob.
func newReader(b *Blob, w io.Writer, off, n int64, progress Progress) *reader {
	c, params, layout := b.c, b.com.Params(), b.meta.Layout(shards.Primary)
	owner := gather.Owners(b.com, b.id, shards.Primary)
	plan := gather.RowsConfig{
		Sources: params.Rows(), Owner: owner, Holders: c.nodes.known(b.com),
		Window: int(min(max(c.cfg.ReadMemory/layout.Size(), 2), maxWindow)), Decoding: maxWindow,
		Patience: c.patienceFor(layout.Size(), b.dialHedge),
		Stored:   func(i int) bool { return c.cache.has(b.id, i) },
	}
	if n > 0 {
		plan.Next, plan.End = int(off/layout.Size()), int((off+n-1)/layout.Size())+1
	}
	place := rowPlace{layout: layout, memory: c.cfg.ReadMemory / 2, file: &spillFile{dir: c.cfg.TempDir}, buffers: c.buffers}
	return &reader{
		blob: b, layout: layout, plan: gather.NewRows(plan),
		fetches: newRowFetches(b, place, c.nodes, len(owner), 1),
		rows:    &rowStore{place: place, rows: map[int]held{}, keep: layout.Size()*int64(params.Rows()) <= c.cfg.ReadMemory},
		out:     &output{w: w, layout: layout, progress: progress, off: off, end: off + n, total: n},
		res:     &ReadResult{Size: b.meta.Length, Bad: slices.Clone(b.bad)},
	}
}

// run writes out the range. Every fetch it started has ended when it returns.
func (r *reader) run(ctx context.Context) error {
	defer r.rows.close()
	ctx, cancel := context.WithCancel(ctx)
	if r.plan.Next == 0 && r.plan.End == r.plan.Sources && len(r.blob.checks) > 0 {
		r.check = r.blob.startCheck(ctx)
	}
	defer func() {
		cancel()
		r.check.close()
		r.fetches.close()
		r.res.Bad = r.badNodes()
		r.blob.c.nodes.rememberSilent(r.blob.com, r.plan.Holders)
	}()
	err := r.read(ctx)
	if few := (*NotEnoughError)(nil); err == nil || errors.As(err, &few) { // says by itself what was being done
		return err
	}
	return fmt.Errorf("read %s: %w", r.blob.id, err)
}

// read does the work of run, which cleans up after it.
func (r *reader) read(ctx context.Context) error {
	tick := time.NewTicker(readTick)
	defer tick.Stop()
	start, looking := time.Now(), false
	for {
		if err := r.writeReady(ctx); err != nil || r.plan.Done() {
			return err
		}
		if r.plan.CanDecode() {
			if err := r.decodeMissing(ctx); err != nil {
				return err
			}
			r.plan.Decide(time.Now()) // rows that another read has decoded are fetched after all
			r.rows.spill = r.plan.MustDecode() && !r.rows.keep
			continue
		}
		wanted := r.plan.Fetch(time.Now(), r.fetches.flying)
		r.rows.spill = r.plan.MustDecode() && !r.rows.keep
		if r.plan.Impossible() {
			return r.notEnough()
		}
		for _, i := range wanted {
			r.fetches.start(ctx, i, r.plan.Owner[i], r.blob.com.Members()[r.plan.Owner[i]].Node, r.rows.spill)
		}
		select {
		case f := <-r.fetches.ended:
			if err := r.finish(f); err != nil {
				return err
			}
		case <-tick.C:
			for len(r.fetches.ended) > 0 { // came in while rows were written out
				if err := r.finish(<-r.fetches.ended); err != nil {
					return err
				}
			}
			r.plan.Look(time.Now(), r.fetches.motion)
			if r.hurry != nil && !looking && r.nothing() && time.Since(start) > r.blob.c.cfg.Hedge {
				looking = true
				r.fetches.all.Go(func() { r.hurry <- r.blob.c.pins.find(ctx, r.blob.com.Params(), r.blob.id) })
			}
		case r.pinned = <-r.hurry:
			if r.pinned != nil && r.nothing() {
				return errSlow
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// nothing reports that no row has come in.
func (r *reader) nothing() bool { return r.plan.Held() == 0 && r.out.off == r.out.end-r.out.total }

// writeReady writes out, in order, the next rows that have come in.
func (r *reader) writeReady(ctx context.Context) error {
	for !r.plan.Done() && r.plan.Has(r.plan.Next) {
		i := r.plan.Next
		if i == r.plan.End-1 { // a blob found invalid is not complete
			if err := r.check.compare(ctx); err != nil {
				return err
			}
		}
		row := r.rows.rows[i].row
		if err := r.out.write(i, row); errors.Is(err, errRotten) {
			r.discard(i, err)
			return nil
		} else if err != nil {
			return fmt.Errorf("write row %d: %w", i, err)
		}
		_, cached := row.(*cachedRow) // cheap to read again, and holds an open file
		kept := r.plan.MustDecode() || r.rows.keep && !cached
		if !kept {
			r.rows.drop(i)
		}
		r.plan.Wrote(kept)
	}
	return nil
}

// discard drops a cached row that turned out damaged, so that it is fetched again.
func (r *reader) discard(i int, err error) {
	h := r.rows.rows[i]
	if c, ok := h.row.(*cachedRow); ok {
		c.drop(err)
	}
	h.call.forget()
	r.rows.drop(i)
	r.plan.Lost(i)
}

// finish handles the end of a fetch.
func (r *reader) finish(f *fetch) error {
	newest := r.fetches.finish(f)
	if local := (*localError)(nil); errors.As(f.err, &local) {
		return local
	}
	switch {
	case f.err == nil && newest:
		return r.takeOver(f)
	case f.err == nil: // decoded meanwhile
		f.release()
	case newest:
		r.plan.Failed(time.Now(), f.index, f.err)
	default:
		r.plan.Holders.Fail(time.Now(), r.plan.Owner[f.index], f.err)
	}
	return nil
}

// takeOver puts the row of a fetch into the store.
func (r *reader) takeOver(f *fetch) error {
	fl := f.call.val
	r.rows.rows[f.index] = held{fl.row, f.call}
	r.plan.Arrived(f.index, !fl.cached)
	r.check.add(f.index, fl.cells)
	if f.ours && !fl.cached {
		r.plan.Took(time.Since(f.start))
		r.res.Fetched += r.layout.Size()
	} else {
		r.res.Cached += r.layout.Size()
	}
	if r.rows.spill && !f.ours { // others may hold it in memory, where this read has no room
		return r.copyShared(f.index)
	}
	return nil
}

// copyShared replaces a row that is shared or in the cache by a copy that only this read uses, as decoding requires. A
// cached row that turns out damaged is discarded.
func (r *reader) copyShared(i int) error {
	err := r.rows.copyShared(i)
	if errors.Is(err, errRotten) {
		r.discard(i, err)
		return nil
	}
	return err
}

// badNodes lists the nodes that lied or did not deliver.
func (r *reader) badNodes() []BadNode {
	return blame(r.res.Bad, r.blob.com, r.plan.Holders.Failures())
}

func (r *reader) notEnough() error {
	return &NotEnoughError{
		Op: "read " + r.blob.id.String(), Did: "delivered", Have: r.plan.Held(), Needed: r.plan.Sources, Shards: len(r.plan.Owner),
		Nodes: r.badNodes(), Advice: "try again when more nodes are up",
	}
}

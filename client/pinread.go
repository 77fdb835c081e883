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

// errSlow ends a read from the committee that has brought no row in time, while somebody pins the blob.
var errSlow = errors.New("the first row is slow, and somebody pins the blob")

// pinReader reads one range of a blob from its pinners. The goroutine of run owns all of it.
type pinReader struct {
	blob    *Blob // constant, as the next two
	from    *pinned
	layout  shards.Layout // of a row
	plan    *gather.Pinners
	fetches *rowFetches
	rows    map[int]held // verified
	out     *output
	res     *ReadResult
}

// newPinReader makes a reader of the rest of a range, at least one byte.
func newPinReader(rr *rangeRead, from *pinned) *pinReader {
	b := rr.blob
	c, layout := b.c, b.meta.Layout(shards.Primary)
	off, end := rr.off+rr.done, rr.off+rr.n
	place := rowPlace{layout: layout, memory: c.cfg.ReadMemory / 2, file: &spillFile{dir: c.cfg.TempDir}, buffers: c.buffers}
	window := int(min(max(c.cfg.ReadMemory/layout.Size(), 2), maxWindow))
	return &pinReader{
		blob: b, from: from, layout: layout, res: rr.res, rows: map[int]held{},
		plan:    gather.NewPinners(int(off/layout.Size()), int((end-1)/layout.Size())+1, window, len(from.peers), c.cfg.Hedge),
		fetches: newRowFetches(b, place, c.pins, b.com.Params().Rows(), 1+len(from.peers)),
		out:     &output{w: rr, layout: layout, progress: rr.progress, off: off, end: end, total: rr.n},
	}
}

// run writes out the range. Every fetch it started has ended when it returns.
func (r *pinReader) run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer func() {
		cancel()
		r.fetches.close()
		for _, h := range r.rows {
			h.drop()
		}
		for _, f := range r.plan.Failures() {
			r.blob.c.pins.blame(&r.res.Bad, r.from.peers[f.Holder], f.Err)
		}
		for _, i := range r.plan.Given() {
			if id := r.from.peers[i]; !slices.Contains(r.res.Pinners, id) {
				r.res.Pinners = append(r.res.Pinners, id)
			}
		}
	}()
	tick := time.NewTicker(readTick)
	defer tick.Stop()
	for {
		for r.plan.Next < r.plan.End && r.plan.Has(r.plan.Next) {
			i := r.plan.Next
			if err := r.out.write(i, r.rows[i].row); err != nil {
				return fmt.Errorf("write row %d: %w", i, err)
			}
			r.rows[i].drop()
			delete(r.rows, i)
			r.plan.Wrote()
		}
		if r.plan.Done() {
			return nil
		}
		if r.plan.Impossible() {
			return fmt.Errorf("row %d: %w", r.plan.Next, gather.ErrNoPinner)
		}
		for _, a := range r.plan.Fetch(time.Now()) {
			r.fetches.start(ctx, a.Row, a.Pinner, r.from.peers[a.Pinner], false)
		}
		select {
		case f := <-r.fetches.ended:
			if err := r.finish(f); err != nil {
				return err
			}
		case <-tick.C:
			for _, late := range r.plan.Look(time.Now(), r.fetches.motion) {
				r.fetches.abandon(late.Row)
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// finish handles the end of a fetch.
func (r *pinReader) finish(f *fetch) error {
	r.fetches.finish(f)
	if local := (*localError)(nil); errors.As(f.err, &local) {
		return local
	}
	if f.err != nil {
		r.plan.Failed(time.Now(), f.index, f.node, f.err)
		return nil
	}
	if r.plan.Has(f.index) || f.index < r.plan.Next { // another pinner was faster
		f.release()
		r.plan.Deliver(f.node)
		r.plan.Ended(f.index, f.node)
		return nil
	}
	r.plan.Arrived(time.Now(), f.index, f.node)
	r.rows[f.index] = held{f.call.val.row, f.call}
	if f.ours && !f.call.val.cached {
		r.res.Fetched += r.layout.Size()
		r.res.Pinned += r.layout.Size()
	} else {
		r.res.Cached += r.layout.Size()
	}
	return nil
}

// rangeRead writes one range of a blob: from the committee or, where that cannot go on or is slow to begin, from
// pinners.
type rangeRead struct {
	blob     *Blob
	w        io.Writer
	off, n   int64
	progress Progress
	done     int64 // bytes written
	res      *ReadResult
}

// Write passes on bytes of the range and counts them.
func (r *rangeRead) Write(p []byte) (int, error) {
	n, err := r.w.Write(p)
	r.done += int64(n)
	return n, err
}

func (b *Blob) newRangeRead(w io.Writer, off, n int64, progress Progress) *rangeRead {
	return &rangeRead{blob: b, w: w, off: off, n: n, progress: progress, res: &ReadResult{Size: b.meta.Length, Bad: slices.Clone(b.bad)}}
}

// run writes out the range.
func (r *rangeRead) run(ctx context.Context) error {
	c := r.blob.c
	if from := r.blob.pins; from != nil { // the committee does not have it
		return r.fromPinners(ctx, from, r.blob.why)
	}
	from, err := r.fromCommittee(ctx, true)
	if !c.pins.worth(ctx, err) {
		return err
	}
	if from == nil {
		from = c.pins.find(ctx, r.blob.com.Params(), r.blob.id)
	}
	if from == nil {
		return err
	}
	failed := r.fromPinners(ctx, from, err)
	if errors.Is(failed, gather.ErrNoPinner) && errors.Is(err, errSlow) {
		_, failed = r.fromCommittee(ctx, false)
	}
	return failed
}

// fromCommittee writes the rest of the range. In a hurry it fails with errSlow once the first row is late and somebody
// pins the blob, and returns them.
func (r *rangeRead) fromCommittee(ctx context.Context, hurry bool) (*pinned, error) {
	progress := r.progress
	if done := r.done; done > 0 && progress != nil {
		progress = func(stage Stage, now, _ int64) { r.progress(stage, done+now, r.n) }
	}
	rows := newReader(r.blob, r, r.off+r.done, r.n-r.done, progress)
	rows.res = r.res
	if hurry && r.blob.c.pins.Pins != nil {
		rows.hurry = make(chan *pinned, 1)
	}
	err := rows.run(ctx)
	return rows.pinned, err
}

// fromPinners writes the rest of the range. why says why the committee does not give it.
func (r *rangeRead) fromPinners(ctx context.Context, from *pinned, why error) error {
	if r.done == r.n {
		return nil
	}
	err := newPinReader(r, from).run(ctx)
	if len(r.res.Pinners) > 0 {
		r.res.WhyPinned = why
	}
	if errors.Is(err, gather.ErrNoPinner) {
		return fmt.Errorf("%w; %d peers say that they pin it: %w", why, len(from.peers), err)
	}
	if err != nil {
		return fmt.Errorf("read %s from its pinners: %w", r.blob.id, err)
	}
	return nil
}

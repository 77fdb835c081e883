package client

import (
	"context"
	"fmt"

	"walrus/shards"
)

// decodeTurn waits until no other read decodes the same blob: that read may decode rows that this one wants too.
func (r *reader) decodeTurn(ctx context.Context) (end func(), err error) {
	call, _ := r.blob.c.decoding.join(ctx, r.blob.id, func() chan struct{} { return make(chan struct{}, 1) },
		func(context.Context, chan struct{}, func()) error { return nil })
	select {
	case call.val <- struct{}{}:
		return func() { <-call.val; call.leave() }, nil
	case <-ctx.Done():
		call.leave()
		return nil, ctx.Err()
	}
}

// decodedElsewhere takes missing rows that another read has decoded meanwhile: from that read, or from the cache with
// the next fetch. It reports whether there are any.
func (r *reader) decodedElsewhere() (found bool) {
	c, id := r.blob.c, r.blob.id
	for i := r.plan.Next; i < r.plan.End; i++ {
		if r.plan.Has(i) {
			continue
		}
		if call := c.flights.peek(rowKey{blob: id, index: i}); call != nil {
			r.keepDecoded(i, held{call.val.row, call})
			r.check.add(i, call.val.cells)
			r.res.Cached += r.layout.Size()
			found = true
		} else if r.plan.GivenUp(i) && c.cache.has(id, i) {
			if f := r.fetches.rows[i]; f != nil {
				f.call.forget() // a fetch from a node is running, which this read would join
			}
			r.fetches.abandon(i)
			r.plan.Lost(i)
			found = true
		}
	}
	return found
}

// keepDecoded puts a row into the store that was decoded instead of fetched.
func (r *reader) keepDecoded(i int, row held) {
	r.fetches.abandon(i)
	r.plan.Arrived(i, false)
	r.rows.rows[i] = row
}

// decodeMissing makes the missing source rows from p others, strip by strip, and checks each against the metadata. All
// p inputs were verified, so a row that does not match proves that the writer encoded the blob wrongly.
func (r *reader) decodeMissing(ctx context.Context) error {
	end, err := r.decodeTurn(ctx)
	if err != nil {
		return err
	}
	defer end()
	if r.decodedElsewhere() {
		return nil // if more are missing, this is called again
	}
	for i := range r.plan.Owner { // strip by strip, the cache would read its blocks again and again
		if _, cached := r.rows.rows[i].row.(*cachedRow); cached {
			if err := r.copyShared(i); err != nil || !r.plan.Has(i) {
				return err // a damaged row may leave too few; then this is called again
			}
		}
	}
	have, missing := r.plan.Inputs(), r.plan.Missing()
	dec, err := shards.NewDecoder(r.blob.com.Params(), shards.Primary, have)
	if err != nil {
		return err
	}
	d := &decoding{r: r, dec: dec, have: have, missing: missing}
	defer d.close()
	if err := d.open(); err != nil {
		return err
	}
	for t := range r.layout.Strips() {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := d.strip(t); err != nil {
			return fmt.Errorf("decode: %w", err)
		}
	}
	for k, i := range missing {
		leaves, err := d.checks[k].CloseLeaves()
		if err != nil {
			return fmt.Errorf("row %d: %w", i, ErrInvalidBlob)
		}
		cells := r.blob.checked(leaves)
		r.check.add(i, cells)
		r.keepDecoded(i, r.publish(ctx, i, d.rows[k], cells))
		d.rows[k] = nil
		r.res.Decoded++
	}
	return nil
}

// publish shares a decoded row with other reads and the cache.
func (r *reader) publish(ctx context.Context, i int, decoded row, cells []shards.Hash) held {
	key := rowKey{blob: r.blob.id, index: i} // no node: the row was decoded
	call, first := r.blob.c.flights.join(ctx, key, func() *flight {
		return &flight{key: key, blob: r.blob, place: r.rows.place, row: decoded, cells: cells}
	}, func(_ context.Context, f *flight, ready func()) error {
		ready()
		r.blob.c.cache.put(r.blob.id, i, f.row, r.layout.Size())
		return nil
	})
	<-call.ready
	if !first { // another read decoded it at the same time
		decoded.release()
	}
	return held{call.val.row, call}
}

// decoding makes missing rows. Its buffers are reused for all strips.
type decoding struct {
	r             *reader
	dec           *shards.Decoder
	have, missing []int
	in, out       [][]byte // one strip of each row; out by source row, nil where not wanted
	rows          []row    // places for the missing rows; nil once taken
	checks        []*shards.Verifier
}

func (d *decoding) open() error {
	_, size := d.r.layout.Strip(0)
	d.in = make([][]byte, len(d.have))
	for k := range d.in {
		d.in[k] = make([]byte, size)
	}
	d.out = make([][]byte, d.r.plan.Sources)
	for _, i := range d.missing {
		d.out[i] = make([]byte, size)
		row, err := d.r.rows.create()
		if err != nil {
			return err
		}
		d.rows = append(d.rows, row)
		v, err := shards.NewVerifier(d.r.blob.meta, shards.Primary, i)
		if err != nil {
			return err
		}
		d.checks = append(d.checks, v)
	}
	return nil
}

// close releases the rows that were not taken.
func (d *decoding) close() {
	for _, row := range d.rows {
		if row != nil {
			row.release()
		}
	}
}

func (d *decoding) strip(t int) error {
	_, size := d.r.layout.Strip(t)
	for k, i := range d.have {
		d.in[k] = d.in[k][:size]
		if err := d.r.rows.rows[i].get(t, d.in[k]); err != nil {
			return err
		}
	}
	for _, i := range d.missing {
		d.out[i] = d.out[i][:size]
	}
	if err := d.dec.Strip(d.r.layout.StripWidth(t), d.in, d.out); err != nil {
		return err
	}
	for k, i := range d.missing {
		if err := d.checks[k].WriteStrip(d.out[i]); err != nil {
			return err
		}
		if err := d.rows[k].put(t, d.out[i]); err != nil {
			return err
		}
	}
	return nil
}

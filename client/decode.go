package client

import (
	"context"
	"fmt"

	"walrus/shards"
)

// decodeMissing makes the source rows that are not there from p others, strip by strip, and checks each against the
// metadata: as all p inputs were verified, a row that does not fit proves that the writer encoded the blob wrongly.
func (r *reader) decodeMissing(ctx context.Context) error {
	var have, missing []int
	for i, s := range r.state {
		if s == rowHave && len(have) < r.params.Rows() {
			have = append(have, i)
		}
	}
	for i := r.next; i < r.need; i++ {
		if r.state[i] != rowHave {
			missing = append(missing, i)
		}
	}
	dec, err := shards.NewDecoder(r.params, shards.Primary, have)
	if err != nil {
		return fmt.Errorf("read %s: %w", r.id, err)
	}
	d := &decoding{r: r, dec: dec, have: have, missing: missing}
	if err := d.open(); err != nil {
		return fmt.Errorf("read %s: %w", r.id, err)
	}
	for t := range r.layout.Strips() {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("read %s: %w", r.id, err)
		}
		if err := d.strip(t); err != nil {
			return fmt.Errorf("read %s: decode: %w", r.id, err)
		}
	}
	for k, i := range missing {
		if err := d.checks[k].Close(); err != nil {
			return fmt.Errorf("read %s: row %d: %w", r.id, i, ErrInconsistent)
		}
		if r.state[i] == rowSlow && !r.good[r.owner(i)] {
			r.blame(r.owner(i), errSilent)
		}
		r.state[i], r.fetches[i], r.rows.rows[i] = rowHave, nil, d.rows[k]
		r.res.Decoded++
	}
	return nil
}

// decoding is the making of missing rows; buffers are reused for all strips.
type decoding struct {
	r             *reader
	dec           *shards.Decoder
	have, missing []int
	in, out       [][]byte // one strip of each row; out by source row, nil where not wanted
	rows          []row    // where missing rows go
	checks        []*shards.Verifier
}

func (d *decoding) open() error {
	_, size := d.r.layout.Strip(0)
	d.in = make([][]byte, len(d.have))
	for k := range d.in {
		d.in[k] = make([]byte, size)
	}
	d.out = make([][]byte, d.r.params.Rows())
	for _, i := range d.missing {
		d.out[i] = make([]byte, size)
		row, err := d.r.rows.create()
		if err != nil {
			return err
		}
		v, err := shards.NewVerifier(d.r.meta, shards.Primary, i)
		if err != nil {
			return err
		}
		d.rows, d.checks = append(d.rows, row), append(d.checks, v)
	}
	return nil
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

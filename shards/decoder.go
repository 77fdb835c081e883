package shards

import (
	"fmt"
	"slices"

	"walrus/shards/fft16"
)

// Decoder decodes the source rows of a blob, strip by strip, from a fixed choice of slivers along one axis. It is
// read-only, so one Decoder may work on several strips at a time.
type Decoder struct {
	params Params
	axis   Axis
	eraser *eraser
}

// NewDecoder returns the decoder for the slivers at indices: exactly p distinct primary or s distinct secondary ones.
// With fewer, the error wraps ErrNotEnough.
func NewDecoder(p Params, axis Axis, indices []int) (*Decoder, error) {
	if !axis.Valid() {
		return nil, fmt.Errorf("%s: must be 0 or 1", axis)
	}
	// The columns' code relates rows, and the rows' code columns.
	e, err := newEraser(p.code(axis.Other()), slices.Clone(indices))
	if err != nil {
		return nil, fmt.Errorf("decode %s slivers: %w", axis, err)
	}
	return &Decoder{p, axis, e}, nil
}

// Strip decodes one strip, in which each symbol has width bytes, an even number. in[k] is the strip of sliver
// indices[k]. out[r], s·width bytes, receives the strip of source row r, of p rows; nil entries are skipped. No two
// slices may overlap.
func (d *Decoder) Strip(width int, in, out [][]byte) error {
	if width <= 0 || width%2 != 0 {
		return fmt.Errorf("decode strip: width %d: must be positive and even", width)
	}
	if len(in) != d.eraser.k || len(out) != d.params.Rows() {
		return fmt.Errorf("decode strip: %d slivers for %d rows: want %d for %d",
			len(in), len(out), d.eraser.k, d.params.Rows())
	}
	size := d.params.SourceSymbols(d.axis) * width
	for k := range in {
		if len(in[k]) != size {
			return fmt.Errorf("decode strip: sliver %d has %d bytes: want %d", d.eraser.positions[k], len(in[k]), size)
		}
	}
	for r := range out {
		if out[r] != nil && len(out[r]) != d.params.Columns()*width {
			return fmt.Errorf("decode strip: row %d has %d bytes: want %d", r, len(out[r]), d.params.Columns()*width)
		}
	}
	for k, i := range d.eraser.positions {
		if i < d.eraser.k {
			d.put(out, i, 0, in[k], width)
		}
	}
	if len(d.eraser.missing) > 0 {
		d.decode(width, in, out, size)
	}
	return nil
}

func (d *Decoder) decode(width int, in, out [][]byte, size int) {
	e := d.eraser
	cuts := newCuts(size, width, slotWidth(e.size, fft16.GroupSize))
	parallel(cuts.count, func(ws *workspace, t int) {
		from, to, packWidth := cuts.part(t)
		v := ws.vectors(e.size, packedSize(to-from))
		for k, i := range e.positions {
			pack(v.Slot(e.point(i)), in[k][from:to], packWidth)
		}
		e.decode(v)
		part := grow(&ws.cells, to-from)
		for _, i := range e.missing {
			if d.axis == Primary && out[i] == nil {
				continue
			}
			unpack(part, v.Slot(e.point(i)), packWidth)
			d.put(out, i, from, part, width)
		}
	})
}

// put copies part, the bytes from offset from of source sliver i along the decoder's axis, to the rows.
func (d *Decoder) put(out [][]byte, i, from int, part []byte, width int) {
	if d.axis == Primary {
		if out[i] != nil {
			copy(out[i][from:], part)
		}
		return
	}
	for len(part) > 0 {
		row, at := from/width, from%width
		n := min(width-at, len(part))
		if out[row] != nil {
			copy(out[row][i*width+at:], part[:n])
		}
		part, from = part[n:], from+n
	}
}

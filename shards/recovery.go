package shards

import (
	"fmt"
	"slices"

	"walrus/shards/fft16"
)

// Recovery rebuilds slivers along one axis from symbols of a fixed choice of crossing slivers. It is read-only, so it
// serves any number of slivers and parts, also at a time.
type Recovery struct {
	params Params
	axis   Axis
	eraser *eraser
}

// NewRecovery returns the recovery of slivers along axis from crossing slivers at indices: exactly s distinct ones for
// primary slivers, p for secondary ones. With fewer, the error wraps ErrNotEnough.
func NewRecovery(p Params, axis Axis, indices []int) (*Recovery, error) {
	if !axis.Valid() {
		return nil, fmt.Errorf("%s: must be 0 or 1", axis)
	}
	e, err := newEraser(p.code(axis), slices.Clone(indices))
	if err != nil {
		return nil, fmt.Errorf("rebuild %s slivers: %w", axis, err)
	}
	return &Recovery{p, axis, e}, nil
}

// Part rebuilds a part of a sliver: strips from the start of one on. symbols[k] has the bytes of the sliver's symbol in
// crossing sliver indices[k], all as many. out receives as many bytes of each of the sliver's own symbols, in strip
// order. Nothing is verified.
func (r *Recovery) Part(out []byte, symbols [][]byte) error {
	e := r.eraser
	if len(symbols) != e.k {
		return fmt.Errorf("rebuild %s sliver: %d symbols: want %d", r.axis, len(symbols), e.k)
	}
	width := len(symbols[0])
	for k := range symbols {
		if len(symbols[k]) != width || width == 0 || width%2 != 0 {
			return fmt.Errorf("rebuild %s sliver: symbol %d has %d bytes: want %d, an even number", r.axis, e.positions[k],
				len(symbols[k]), width)
		}
	}
	if len(out) != e.k*width {
		return fmt.Errorf("rebuild %s sliver: %d bytes: want %d", r.axis, len(out), e.k*width)
	}
	layout := Layout{Symbols: e.k, SymbolSize: int64(width), Width: r.params.StripWidth()}
	plain := out
	if layout.Strips() > 1 {
		plain = make([]byte, len(out))
	}
	for k, i := range e.positions {
		if i < e.k {
			copy(plain[i*width:], symbols[k])
		}
	}
	if len(e.missing) > 0 {
		e.recover(plain, symbols, width)
	}
	if layout.Strips() > 1 {
		for t := range layout.Strips() {
			offset, size := layout.Strip(t)
			layout.Gather(out[offset:][:size], t, plain)
		}
	}
	return nil
}

// recover writes the missing symbols, z bytes each, to their places in plain.
func (e *eraser) recover(plain []byte, symbols [][]byte, z int) {
	cuts := newCuts(z, z, slotWidth(e.size, fft16.GroupSize))
	parallel(cuts.count, func(ws *workspace, t int) {
		from, to, width := cuts.part(t)
		v := ws.vectors(e.size, packedSize(to-from))
		for k, i := range e.positions {
			pack(v.Slot(e.point(i)), symbols[k][from:to], width)
		}
		e.decode(v)
		for _, i := range e.missing {
			unpack(plain[i*z+from:i*z+to], v.Slot(e.point(i)), width)
		}
	})
}

// ZeroRows returns the source rows [from, to) that lie behind the blob's end. Their slivers are all zeros, which their
// roots in the metadata prove, so nobody needs to be asked for them. from = to if there are none, or if the roots
// contradict.
func (m *Metadata) ZeroRows() (from, to int) {
	p, layout := m.Params(), m.Layout(Primary)
	to = p.Rows()
	from = int((max(int64(m.Length), 1)-1)/layout.Size()) + 1
	if from >= to {
		return to, to
	}
	for i := from; i < to; i++ {
		if m.Root(Primary, i) != m.Root(Primary, from) {
			return to, to
		}
	}
	// At most 2·p·s bytes: a symbol is at most 2 bytes longer than it must be.
	if m.VerifySliver(Primary, from, make([]byte, layout.Size())) != nil {
		return to, to
	}
	return from, to
}

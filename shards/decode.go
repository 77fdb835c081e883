package shards

import (
	"fmt"
	"maps"
	"slices"
	"sync/atomic"

	"walrus/shards/fft16"
)

// Decode returns a blob, in memory, from verified slivers along one axis, by index and in strip order: any p primary
// or any s secondary ones; more are ignored. It then checks every source row against the metadata. An error that
// wraps ErrInconsistent means that the slivers, each valid, do not fit together.
func (m *Metadata) Decode(axis Axis, slivers map[int][]byte) ([]byte, error) {
	if err := m.check(axis, 0); err != nil {
		return nil, err
	}
	p, layout := m.Params(), m.Layout(axis)
	indices, err := choose(slivers, p.SourceSymbols(axis.Other()), p.n, layout.Size())
	if err != nil {
		return nil, fmt.Errorf("decode blob from %s slivers: %w", axis, err)
	}
	d, err := NewDecoder(p, axis, indices)
	if err != nil {
		return nil, err
	}
	rowLayout := m.Layout(Primary)
	rows := make([]byte, int64(p.Rows())*rowLayout.Size())
	row := func(r int) []byte { return rows[int64(r)*rowLayout.Size():][:rowLayout.Size()] }
	in, out := make([][]byte, len(indices)), make([][]byte, p.Rows())
	strips := make([]byte, p.Rows()*p.Columns()*layout.StripWidth(0))
	for t := range layout.Strips() {
		offset, size := layout.Strip(t)
		for k, i := range indices {
			in[k] = slivers[i][offset:][:size]
		}
		_, size = rowLayout.Strip(t)
		for r := range out {
			out[r] = strips[r*size : (r+1)*size]
		}
		if err := d.Strip(layout.StripWidth(t), in, out); err != nil {
			return nil, err
		}
		for r := range out {
			rowLayout.Scatter(row(r), t, out[r])
		}
	}
	var bad atomic.Int64
	parallel(p.Rows(), func(ws *workspace, r int) {
		l := p.newLine(Primary, layout.SymbolSize, ws.leaves(p.n), nil)
		l.plain(ws, row(r))
		if l.root(ws) != m.Root(Primary, r) {
			bad.Store(int64(r) + 1)
		}
	})
	if r := bad.Load(); r > 0 {
		return nil, fmt.Errorf("%w: decoded row %d does not match its root", ErrInconsistent, r-1)
	}
	return rows[:m.Length], nil
}

// choose picks k of the parts, lowest indices first, because source slivers need no arithmetic. It checks every index
// against n, and every size.
func choose(parts map[int][]byte, k, n int, size int64) ([]int, error) {
	if len(parts) < k {
		return nil, fmt.Errorf("%w: have %d of %d", ErrNotEnough, len(parts), k)
	}
	indices := slices.Sorted(maps.Keys(parts))[:k]
	for _, i := range indices {
		if i < 0 || i >= n {
			return nil, fmt.Errorf("index %d: must be below %d", i, n)
		}
		if int64(len(parts[i])) != size {
			return nil, fmt.Errorf("index %d has %d bytes: want %d", i, len(parts[i]), size)
		}
	}
	return indices, nil
}

// Rebuild returns sliver index along axis, in strip order, from verified symbols, each by the index of its crossing
// sliver: any s for a primary, any p for a secondary sliver; more are ignored. An error that wraps ErrInconsistent
// means that the symbols, each proven, do not give the sliver of the metadata.
func (m *Metadata) Rebuild(axis Axis, index int, symbols map[int][]byte) ([]byte, error) {
	sliver, root, err := m.rebuild(axis, index, symbols)
	if err != nil {
		return nil, err
	}
	if root != m.Root(axis, index) {
		return nil, fmt.Errorf("%w: rebuilt %s sliver %d does not match its root", ErrInconsistent, axis, index)
	}
	return sliver, nil
}

// rebuild is Rebuild without the comparison: it also returns the root of the sliver.
func (m *Metadata) rebuild(axis Axis, index int, symbols map[int][]byte) (sliver []byte, root Hash, err error) {
	if err := m.check(axis, index); err != nil {
		return nil, Hash{}, err
	}
	p, layout := m.Params(), m.Layout(axis)
	z := int(layout.SymbolSize)
	indices, err := choose(symbols, layout.Symbols, p.n, layout.SymbolSize)
	if err != nil {
		return nil, Hash{}, fmt.Errorf("rebuild %s sliver %d: %w", axis, index, err)
	}
	e, err := newEraser(p.code(axis), indices)
	if err != nil {
		return nil, Hash{}, fmt.Errorf("rebuild %s sliver %d: %w", axis, index, err)
	}
	plain := make([]byte, layout.Size())
	for _, i := range indices {
		if i < layout.Symbols {
			copy(plain[i*z:], symbols[i])
		}
	}
	if len(e.missing) > 0 {
		e.recover(plain, symbols, z)
	}
	sliver = make([]byte, len(plain))
	for t := range layout.Strips() {
		offset, size := layout.Strip(t)
		layout.Gather(sliver[offset:][:size], t, plain)
	}
	ws := newWorkspace()
	defer ws.release()
	l := p.newLine(axis, layout.SymbolSize, ws.leaves(p.n), nil)
	l.plain(ws, plain)
	return sliver, l.root(ws), nil
}

// recover writes the missing symbols, z bytes each, to their places in plain.
func (e *eraser) recover(plain []byte, symbols map[int][]byte, z int) {
	cuts := newCuts(z, z, slotWidth(e.size, fft16.GroupSize))
	parallel(cuts.count, func(ws *workspace, t int) {
		from, to, width := cuts.part(t)
		v := ws.vectors(e.size, packedSize(to-from))
		for _, i := range e.positions {
			pack(v.Slot(e.point(i)), symbols[i][from:to], width)
		}
		e.decode(v)
		for _, i := range e.missing {
			unpack(plain[i*z+from:i*z+to], v.Slot(e.point(i)), width)
		}
	})
}

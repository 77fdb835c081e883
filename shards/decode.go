package shards

import (
	"fmt"
	"maps"
	"slices"
	"sync/atomic"
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
	sliver, err := m.rebuild(axis, index, symbols)
	if err != nil {
		return nil, err
	}
	if err := m.VerifySliver(axis, index, sliver); err != nil {
		return nil, fmt.Errorf("%w: rebuilt %s sliver %d does not match its root", ErrInconsistent, axis, index)
	}
	return sliver, nil
}

// rebuild is Rebuild without the comparison.
func (m *Metadata) rebuild(axis Axis, index int, symbols map[int][]byte) ([]byte, error) {
	if err := m.check(axis, index); err != nil {
		return nil, err
	}
	layout := m.Layout(axis)
	indices, err := choose(symbols, layout.Symbols, m.Params().n, layout.SymbolSize)
	if err != nil {
		return nil, fmt.Errorf("rebuild %s sliver %d: %w", axis, index, err)
	}
	r, err := NewRecovery(m.Params(), axis, indices)
	if err != nil {
		return nil, err
	}
	parts := make([][]byte, len(indices))
	for k, i := range indices {
		parts[k] = symbols[i]
	}
	sliver := make([]byte, layout.Size())
	return sliver, r.Part(sliver, parts)
}

package shards

import (
	"slices"

	"walrus/shards/fft16"
	"walrus/shards/treehash"
)

// line expands one sliver window by window, and hashes the n symbols of its expansion.
type line struct {
	code
	leaves  treehash.Leaves
	z       int64
	at      int64    // bytes of each symbol absorbed so far
	targets []int    // symbols of the expansion to keep
	kept    [][]byte // their bytes so far

	unhashed bool // only keeps the targets
}

// newLine makes a line. leaves must be n leaves without data.
func (p Params) newLine(axis Axis, z int64, leaves treehash.Leaves, targets []int) *line {
	return &line{code: p.code(axis), leaves: leaves, z: z, targets: targets, kept: make([][]byte, len(targets))}
}

// windowWidth returns the best number of bytes of each symbol for one call of absorb.
func (l *line) windowWidth() int { return slotWidth(l.span(), treehash.Window) }

// absorb adds the next width bytes of each symbol; symbol k has them at cells[k·stride:]. width is a multiple of
// treehash.Window except in the last call.
func (l *line) absorb(ws *workspace, cells []byte, stride, width int) {
	if l.unhashed && l.plainTargets() {
		for t, i := range l.targets {
			l.kept[t] = append(l.kept[t], cells[i*stride:][:width]...)
		}
		l.at += int64(width)
		return
	}
	v := ws.vectors(l.span(), packedSize(width))
	if width < groupSize {
		for k := range l.k {
			pack(v.Slot(l.point(k)), cells[k*stride:][:width], width)
		}
		l.encode(v, l.k)
		for i := l.k; i < l.k+l.r; i++ {
			unpackInPlace(v.Slot(l.point(i)), width)
		}
	} else {
		in := fft16.Strided{Buf: cells, Stride: stride, Parts: 1, Width: width}
		l.extendInPlace(v, operands(in, l.k), width)
	}
	symbols := grow(&ws.symbols, l.leaves.Len())
	for i := range l.k {
		symbols[i] = cells[i*stride:][:width]
	}
	for i := l.k; i < len(symbols); i++ {
		symbols[i] = v.Slot(l.point(i))[:width]
	}
	if !l.unhashed {
		l.leaves.Absorb(symbols, l.at, l.z)
	}
	for t, i := range l.targets {
		l.kept[t] = append(l.kept[t], symbols[i]...)
	}
	l.at += int64(width)
}

// plainTargets reports whether all targets are symbols of the sliver itself, which needs no expansion.
func (l *line) plainTargets() bool {
	return !slices.ContainsFunc(l.targets, func(i int) bool { return i >= l.k })
}

// plain adds a whole sliver whose symbols lie one after the other.
func (l *line) plain(ws *workspace, sliver []byte) {
	for l.at < l.z {
		l.absorb(ws, sliver[l.at:], int(l.z), int(min(int64(l.windowWidth()), l.z-l.at)))
	}
}

// root returns the sliver's Merkle root after all bytes have been absorbed.
func (l *line) root(ws *workspace) Hash {
	return merkleRoot(l.digests(ws))
}

func (l *line) digests(ws *workspace) []Hash {
	hashes := grow(&ws.hashes, l.leaves.Len())
	l.leaves.Digests(hashes)
	return hashes
}

package shards

import (
	"encoding/binary"
	"sync"

	"walrus/shards/fft16"
	"walrus/shards/treehash"
)

// Symbols shorter than a group are packed: symbols of several rows or columns share a slot, all in one window.

func (x *matrix) short() bool { return x.z < groupSize }

// batch returns the number of rows or columns that share a slot; it exceeds one only if symbols are short. The
// symbols of a window that covers them completely lie side by side.
func (x *matrix) batch() int {
	return max(1, min(x.block, groupSize/int(x.z)))
}

// extendShortRows computes parity from source.
func (x *matrix) extendShortRows() {
	w, batch := x.width, x.batch()
	source, parity := x.source.plane(0), x.parityPlane()
	parallel((x.live+batch-1)/batch, func(ws *workspace, t int) {
		first := t * batch
		count := min(batch, x.live-first)
		v := ws.vectors(x.rows.span(), packedSize(count*w))
		cells := grow(&ws.cells, count*w)
		for j := range x.rows.k {
			if count == 1 {
				pack(v.Slot(x.rows.point(j)), source.cell(first, j)[:w], w)
				continue
			}
			for q := range count {
				copyShort(cells[q*w:(q+1)*w], source.cell(first+q, j))
			}
			pack(v.Slot(x.rows.point(j)), cells, w)
		}
		x.rows.encode(v, x.rows.k)
		for j := range x.rows.r {
			unpack(cells, v.Slot(x.rows.point(x.rows.k+j)), w)
			for q := range count {
				copyShort(parity.cell(first+q, j)[:w], cells[q*w:])
			}
		}
	})
}

// hashShortColumns extends the columns from first up to end and hashes their symbols.
func (x *matrix) hashShortColumns(ws *workspace, first, end int, hashes []Hash) {
	for j := first; j < end; {
		cells, at := x.source.plane(0), j
		next := min(j+x.batch(), end)
		if s := x.Columns(); j < s { // source and parity are in different places
			next = min(next, s)
		} else {
			cells, at = x.parityPlane(), j-s
		}
		short := shortColumns{cells: cells, at: at, count: next - j}
		x.extendShort(ws, &short)
		if x.z == 2 && x.n > 256 { // a table: there are fewer different symbols than symbols
			x.putShort(short, j-first, hashes)
		} else {
			x.hashShort(ws, short, j-first, hashes)
		}
		j = next
	}
}

// shortColumns is a group of columns that are extended together.
type shortColumns struct {
	cells     plane // of the live symbols
	at, count int   // number of the first column in cells, and how many there are
	slots     fft16.Vectors
}

func (x *matrix) extendShort(ws *workspace, c *shortColumns) {
	size := c.count * x.width
	c.slots = ws.vectors(x.cols.span(), packedSize(size))
	for i := range x.live {
		pack(c.slots.Slot(x.cols.point(i)), c.cells.cell(i, c.at)[:size], x.width)
	}
	x.cols.encode(c.slots, x.live)
}

// hashShort hashes the symbols of the columns of c. In their block these are the columns from to on.
func (x *matrix) hashShort(ws *workspace, c shortColumns, to int, hashes []Hash) {
	w, size := x.width, c.count*x.width
	recovered := grow(&ws.cells, x.cols.r*size)
	for i := range x.cols.r {
		unpack(recovered[i*size:(i+1)*size], c.slots.Slot(x.cols.point(x.cols.k+i)), w)
	}
	symbols := grow(&ws.symbols, x.kept())
	for q := range c.count {
		for i := range x.live {
			symbols[i] = c.cells.cell(i, c.at+q)[:w]
		}
		for i := range x.cols.r {
			symbols[x.live+i] = recovered[i*size+q*w:][:w]
		}
		leaves := ws.leaves(len(symbols))
		leaves.Absorb(symbols, 0, x.z)
		x.putLeaves(hashes, to+q, leaves)
	}
}

// putShort is hashShort for symbols of two bytes, with a table of leaves.
func (x *matrix) putShort(c shortColumns, to int, hashes []Hash) {
	leaves := shortLeaves()
	for i := range x.live {
		row, cells := hashes[i*x.block+to:][:c.count], c.cells.cell(i, c.at)
		for q := range row {
			row[q] = leaves[binary.LittleEndian.Uint16(cells[2*q:])]
		}
	}
	for i := range x.cols.r { // the two bytes of a packed symbol are half a group apart
		row, slot := hashes[(x.live+i)*x.block+to:][:c.count], c.slots.Slot(x.cols.point(x.cols.k+i))
		for q := range row {
			row[q] = leaves[uint16(slot[q])|uint16(slot[groupElements+q])<<8]
		}
	}
}

// shortLeaves holds the leaves of all symbols of two bytes, indexed by their value as a little-endian integer.
var shortLeaves = sync.OnceValue(func() []Hash {
	symbols, leaves := make([][]byte, 1<<16), treehash.NewLeaves(1<<16)
	for i := range symbols {
		symbols[i] = binary.LittleEndian.AppendUint16(nil, uint16(i))
	}
	leaves.Absorb(symbols, 0, 2)
	digests := make([]Hash, len(symbols))
	leaves.Digests(digests)
	return digests
})

package shards

import (
	"context"
	"runtime"

	"walrus/shards/fft16"
	"walrus/shards/treehash"
)

// matrix is the state of pass one: the hashes of all n×n symbols of the fully expanded matrix, window by window. The
// leaf of symbol (i, j) serves both the tree of row i and the tree of column j.
type matrix struct {
	Params
	rows, cols code // the code along a row, s→n, and along a column, p→n
	z          int64
	live       int // source rows kept: those with a byte of the blob, and one that stands for all zero rows
	source     *window
	parity     []byte          // of the window: the f recovery symbols of each live row
	leaves     treehash.Leaves // n columns of kept() leaves; none if one window covers the symbols
	block      int             // columns worked on together: one, or the best number for hashing
	nodes      [][]Hash        // by block: the nodes, one for each kept row, that join its columns
	pairs      []PairRoots
	unit       int   // bytes of each symbol that share a slot
	at         int64 // offset of the window in each symbol
	width      int   // bytes of each symbol in it
}

// manyColumns is enough columns to work on several together, whatever the number of processors.
const manyColumns = 256

// Metadata is pass one: it computes the roots of all slivers. It calls progress, if not nil, with bytes of the blob,
// from the calling goroutine. It needs up to 65·n² bytes for hashes, and 264 MiB besides.
func (e *Encoder) Metadata(ctx context.Context, progress func(done, total int64)) (*Metadata, error) {
	return e.metadata(ctx.Err, progress)
}

func (e *Encoder) metadata(stopped func() error, progress func(done, total int64)) (*Metadata, error) {
	memory := e.takeSlab()
	defer func() { e.putSlab(memory) }()
	x := newMatrix(&e.src, &memory)
	width := x.width
	for x.at < x.z {
		if err := stopped(); err != nil {
			return nil, err
		}
		x.width = int(min(int64(width), x.z-x.at))
		if err := x.extendRows(); err != nil {
			return nil, err
		}
		x.hashColumns()
		x.at += int64(x.width)
		if progress != nil {
			progress(int64(float64(e.src.length)*(float64(x.at)/float64(x.z))), e.src.length)
		}
	}
	x.joinRows()
	return &Metadata{Length: uint64(e.src.length), Pairs: x.pairs}, nil
}

// cacheful is the number of bytes of the expanded matrix that may stay in cache from one window to the next.
const cacheful = 16 << 20

func newMatrix(src *source, memory *[]byte) *matrix {
	p, z := src.Params, src.z
	x := &matrix{Params: p, rows: p.code(Primary), cols: p.code(Secondary), z: z, pairs: make([]PairRoots, p.n)}
	x.unit = int(min(z, int64(slotWidth(max(x.rows.span(), x.cols.span()), treehash.Window))))
	x.live = src.live()
	x.width = x.unit
	if x.live*p.n*x.unit > cacheful { // fewer windows then move the leaves through the cache less often
		x.width = reach(src, x.live, x.unit)
	}
	x.source = newWindow(src, x.live, x.width)
	at, size := 0, x.live*p.Faulty()*x.width
	if !x.source.place {
		at = packedSize(x.live * p.Columns() * x.width)
	}
	slab := growLarge(memory, at+size)
	x.parity = slab[at:]
	x.source.parts = [][]byte{slab[:at:at]}
	if int64(x.width) < z {
		x.leaves = treehash.NewLeaves(p.n * treehash.Padded(x.kept()))
	}
	x.block = 1
	if p.n >= treehash.RowWidth*4*runtime.GOMAXPROCS(0) || p.n >= manyColumns {
		x.block = treehash.RowWidth
	}
	x.nodes = make([][]Hash, (p.n+x.block-1)/x.block)
	return x
}

// live returns the number of source rows with a byte of the blob. If there are zero rows, it adds one that stands for
// all of them.
func (s *source) live() int {
	rowSize := int64(s.Columns()) * s.z
	return min(s.Rows(), int((s.length+rowSize-1)/rowSize)+1)
}

// kept returns the number of rows that are hashed: the live ones, and the recoveries of the columns.
func (x *matrix) kept() int { return x.live + x.cols.r }

// row returns the row kept as number i.
func (x *matrix) row(i int) int {
	if i < x.live {
		return i
	}
	return x.Rows() + i - x.live
}

// extendRows reads the window and computes its parity.
func (x *matrix) extendRows() error {
	if x.short() {
		if err := x.source.load(x.at, x.width, nil); err != nil {
			return err
		}
		x.extendShortRows()
		return nil
	}
	parity := x.parityPlane()
	return x.source.load(x.at, x.width, func(ws *workspace, i int) {
		source := x.source.near(i, x.at)
		for from := 0; from < x.width; from += x.unit {
			w := min(x.unit, x.width-from)
			v := ws.vectors(x.rows.span(), packedSize(w))
			x.rows.extend(v, operands(source.row(i, from, w, 1), x.rows.k), parity.row(i, from, w, 1), true)
		}
		fft16.Fence()
	})
}

func (x *matrix) parityPlane() plane {
	return plane{first: x.parity, split: x.live, rowStride: x.Faulty() * x.width, cellStride: x.width}
}

// hashColumns extends the columns and hashes their symbols. In the last window it also computes the columns' roots,
// and joins the columns of each block for the rows' trees.
func (x *matrix) hashColumns() {
	last := x.at+int64(x.width) == x.z
	equal := x.zeroBlocks()
	again := max(0, equal.to-equal.from-1)
	parallel(len(x.nodes)-again, func(ws *workspace, b int) {
		if b > equal.from {
			b += again
		}
		first, end := b*x.block, min((b+1)*x.block, x.n)
		hashes := x.blockHashes(ws)
		if x.short() {
			x.hashShortColumns(ws, first, end, hashes)
		} else {
			for j := first; j < end; j++ {
				x.hashColumn(ws, j, hashes)
			}
		}
		if last {
			x.joinBlock(b, end-first, hashes)
		}
	})
	if last {
		x.repeatBlock(equal)
	}
}

// hashColumn extends column j and adds the window to its leaves. In the last window it fills its part of the block's
// hashes.
func (x *matrix) hashColumn(ws *workspace, j int, hashes []Hash) {
	leaves, symbols := x.columnLeaves(ws, j), grow(&ws.symbols, x.kept())
	cells, at := x.source.plane(x.at), j
	if s := x.Columns(); j >= s {
		cells, at = x.parityPlane(), j-s
	}
	for from := 0; from < x.width; from += x.unit {
		w := min(x.unit, x.width-from)
		slot, in := packedSize(w), cells.column(at, from, w, 1, x.live)
		v := ws.vectors(x.cols.span(), slot)
		x.cols.extendInPlace(v, in, w)
		in.list(symbols)
		recovered := v.Slots(x.cols.point(x.cols.k), x.cols.point(x.cols.k)+x.cols.r)
		for i := range x.cols.r {
			symbols[x.live+i] = recovered[i*slot:][:w]
		}
		leaves.Absorb(symbols, x.at+int64(from), x.z)
	}
	if x.at+int64(x.width) == x.z {
		x.putLeaves(hashes, j%x.block, leaves)
	}
}

// columnLeaves returns the unfinished leaves of column j.
func (x *matrix) columnLeaves(ws *workspace, j int) treehash.Leaves {
	if x.leaves.Len() > 0 {
		from := j * treehash.Padded(x.kept())
		return x.leaves.Slice(from, from+x.kept())
	}
	return ws.leaves(x.kept())
}

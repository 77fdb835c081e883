package shards

import (
	"context"
	"encoding/binary"
	"math/bits"
	"runtime"
	"sync"

	"walrus/shards/fft16"
	"walrus/shards/treehash"
)

// matrix is pass one: the hashes of all n×n symbols of the fully expanded matrix, window by window. The leaf of
// symbol (i, j) serves both the tree of row i and that of column j.
type matrix struct {
	Params
	rows, cols code // the code along a row, s→n, and along a column, p→n
	z          int64
	live       int // source rows that are kept: those with a byte of the blob, and one more for all that are zero
	source     *window
	parity     []byte          // of the window: for each live row the f symbols that extend it
	leaves     treehash.Leaves // n columns of kept() leaves; none if there is but one window
	block      int             // columns that are worked on together, a power of two
	nodes      [][]Hash        // by block: the nodes, one for each kept row, that join its columns
	pairs      []PairRoots
	at         int64
	width      int
}

// maxBlock bounds the columns that are worked on together, whose hashes should stay in a core's cache.
const maxBlock = 8

// Metadata is pass one: it computes the roots of all slivers. It reports progress, if not nil, in bytes of the blob, from the
// calling goroutine. It keeps up to 65·n² bytes of hashes and 220 MiB besides.
func (e *Encoder) Metadata(ctx context.Context, progress func(done, total int64)) (*Metadata, error) {
	return e.metadata(ctx.Err, progress)
}

func (e *Encoder) metadata(stopped func() error, progress func(done, total int64)) (*Metadata, error) {
	x := newMatrix(&e.src)
	defer e.lend(x.source)()
	width := x.width
	for x.at < x.z {
		if err := stopped(); err != nil {
			return nil, err
		}
		x.width = int(min(int64(width), x.z-x.at))
		if err := x.source.load(x.at, x.width); err != nil {
			return nil, err
		}
		x.extendRows()
		x.hashColumns()
		x.at += int64(x.width)
		if progress != nil {
			progress(int64(float64(e.src.length)*(float64(x.at)/float64(x.z))), e.src.length)
		}
	}
	x.joinRows()
	return &Metadata{Length: uint64(e.src.length), Pairs: x.pairs}, nil
}

func newMatrix(src *source) *matrix {
	p, z := src.Params, src.z
	x := &matrix{Params: p, rows: p.code(Primary), cols: p.code(Secondary), z: z, pairs: make([]PairRoots, p.n)}
	x.width = int(min(z, int64(slotWidth(max(x.rows.span(), x.cols.span()), treehash.Window))))
	rowSize := int64(p.Columns()) * z
	x.live = min(p.Rows(), int((src.length+rowSize-1)/rowSize)+1)
	x.source = newWindow(src, x.live, x.width)
	x.parity = make([]byte, x.live*p.Faulty()*x.width)
	if int64(x.width) < z {
		x.leaves = treehash.NewLeaves(p.n * x.kept())
	}
	x.block = 1 << log2(max(1, min(maxBlock, p.n/(4*runtime.GOMAXPROCS(0)))))
	x.nodes = make([][]Hash, (p.n+x.block-1)/x.block)
	return x
}

// batch is how many rows or columns go through a slot together; it is more than one only if symbols are short. The symbols of
// a window that is all there is lie side by side.
func (x *matrix) batch() int {
	if x.z >= groupSize {
		return 1
	}
	return max(1, min(x.block, groupSize/int(x.z)))
}

// kept is the number of rows that are hashed: the live ones, and those that extend the columns.
func (x *matrix) kept() int { return x.live + x.cols.r }

// row is the row that is kept as number i.
func (x *matrix) row(i int) int {
	if i < x.live {
		return i
	}
	return x.Rows() + i - x.live
}

// cell is where the window's bytes of symbol (i, j), with row i live, are; those of the following columns up to s or n come after
// if there is more than one to a batch.
func (x *matrix) cell(i, j int) []byte {
	if j < x.Columns() {
		return x.source.cell(i, j, x.at)
	}
	return x.parity[(i*x.Faulty()+j-x.Columns())*x.width:]
}

// extendRows computes parity from source.
func (x *matrix) extendRows() {
	w, batch := x.width, x.batch()
	parallel((x.live+batch-1)/batch, func(ws *workspace, t int) {
		first := t * batch
		count := min(batch, x.live-first)
		v := ws.vectors(x.rows.span(), packedSize(count*w))
		cells := grow(&ws.cells, count*w)
		for j := range x.rows.k {
			if count == 1 {
				pack(v.Slot(x.rows.point(j)), x.cell(first, j)[:w], w)
				continue
			}
			for q := range count {
				copy(cells[q*w:(q+1)*w], x.cell(first+q, j))
			}
			pack(v.Slot(x.rows.point(j)), cells, w)
		}
		x.rows.encode(v, x.rows.k)
		for j := x.rows.k; j < x.n; j++ {
			unpack(cells, v.Slot(x.rows.point(j)), w)
			for q := range count {
				copy(x.cell(first+q, j)[:w], cells[q*w:])
			}
		}
	})
}

// hashColumns extends the columns and hashes the symbols of each; with the last window it computes the columns' roots
// and joins the columns of a block in the trees of the rows.
func (x *matrix) hashColumns() {
	last := x.at+int64(x.width) == x.z
	kept := x.kept()
	parallel(len(x.nodes), func(ws *workspace, b int) {
		first, end := b*x.block, min((b+1)*x.block, x.n)
		hashes := grow(&ws.hashes, (end-first)*kept+x.n)
		for j := first; j < end; {
			next := min(j+x.batch(), end)
			if s := x.Columns(); j < s { // source and parity are not in one place
				next = min(next, s)
			}
			v := x.extendColumns(ws, j, next)
			for c := j; c < next; c++ {
				x.hashColumn(x.column(ws, v, j, next, c), ws, c, hashes[(c-first)*kept:][:kept])
			}
			j = next
		}
		if last {
			x.joinBlock(b, end-first, hashes)
		}
	})
}

// extendColumns extends the columns from first up to end. It leaves the recovered symbols in their slots, and, if there are
// several columns, unpacked in ws.cells too.
func (x *matrix) extendColumns(ws *workspace, first, end int) fft16.Vectors {
	w, size := x.width, (end-first)*x.width
	v := ws.vectors(x.cols.span(), packedSize(size))
	for i := range x.live {
		pack(v.Slot(x.cols.point(i)), x.cell(i, first)[:size], w)
	}
	x.cols.encode(v, x.live)
	if end-first > 1 {
		cells := grow(&ws.cells, x.cols.r*size)
		for i := range x.cols.r {
			unpack(cells[i*size:(i+1)*size], v.Slot(x.cols.point(x.cols.k+i)), w)
		}
	}
	return v
}

// column is the window's bytes of the kept symbols of column j, one of those from first up to end that were extended
// together.
func (x *matrix) column(ws *workspace, v fft16.Vectors, first, end, j int) [][]byte {
	w, size := x.width, (end-first)*x.width
	symbols := grow(&ws.symbols, x.kept())
	for i := range x.live {
		symbols[i] = x.cell(i, j)[:w]
	}
	for i := range x.cols.r {
		if end-first == 1 {
			symbols[x.live+i] = unpackInPlace(v.Slot(x.cols.point(x.cols.k+i)), w)
		} else {
			symbols[x.live+i] = ws.cells[i*size+(j-first)*w:][:w]
		}
	}
	return symbols
}

// hashColumn adds the window to the leaves of column j, and fills digests if it is the last.
func (x *matrix) hashColumn(symbols [][]byte, ws *workspace, j int, digests []Hash) {
	if x.z == 2 && x.n > 256 { // there are fewer different symbols than symbols
		leaves := shortLeaves()
		for i, s := range symbols {
			digests[i] = leaves[binary.LittleEndian.Uint16(s)]
		}
		return
	}
	var leaves treehash.Leaves
	if x.leaves.Len() > 0 {
		leaves = x.leaves.Slice(j*len(symbols), (j+1)*len(symbols))
	} else {
		leaves = ws.leaves(len(symbols))
	}
	leaves.Absorb(symbols, x.at, x.z)
	if x.at+int64(x.width) == x.z {
		leaves.Digests(digests)
	}
}

// shortLeaves are the leaves of all symbols of two bytes, by their value as a little-endian integer.
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

// joinBlock computes the roots of the count columns of block b from hashes, the kept leaves of each, and folds the columns
// into nodes. hashes has room for n more.
func (x *matrix) joinBlock(b, count int, hashes []Hash) {
	kept := x.kept()
	column := func(c int) []Hash { return hashes[c*kept : (c+1)*kept] }
	spare := hashes[count*kept:]
	for c := range count {
		copy(spare, column(c)[:x.live])
		for i := x.live; i < x.Rows(); i++ {
			spare[i] = spare[x.live-1]
		}
		copy(spare[x.Rows():], column(c)[x.live:])
		x.pairs[x.PairOfSliver(Secondary, b*x.block+c)].Secondary = merkleRoot(spare)
	}
	clear(spare)
	for size := x.block; size > 1; size /= 2 {
		for c := 0; c < count; c += 2 {
			right := spare[:kept] // a missing sibling is zero
			if c+1 < count {
				right = column(c + 1)
			}
			treehash.Parents(column(c/2), column(c), right)
		}
		count = (count + 1) / 2
	}
	x.nodes[b] = append([]Hash(nil), column(0)...)
}

// joinRows computes the roots of the rows from nodes.
func (x *matrix) joinRows() {
	const rows = 64 // at a time
	none := make([]Hash, rows)
	parallel((x.kept()+rows-1)/rows, func(_ *workspace, t int) {
		first, end := t*rows, min((t+1)*rows, x.kept())
		for count := len(x.nodes); count > 1; count = (count + 1) / 2 {
			for b := 0; b < count; b += 2 {
				right := none[:end-first]
				if b+1 < count {
					right = x.nodes[b+1][first:end]
				}
				treehash.Parents(x.nodes[b/2][first:end], x.nodes[b][first:end], right)
			}
		}
		for i := first; i < end; i++ {
			x.pairs[x.PairOfSliver(Primary, x.row(i))].Primary = x.nodes[0][i]
		}
	})
	for i := x.live; i < x.Rows(); i++ { // zero, as the last live one is then
		x.pairs[x.PairOfSliver(Primary, i)].Primary = x.nodes[0][x.live-1]
	}
}

func log2(n int) int { return bits.Len(uint(n)) - 1 }

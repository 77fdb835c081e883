package shards

import (
	"context"

	"walrus/shards/treehash"
)

// matrix is pass one: the hashes of all n×n symbols of the fully expanded matrix, window by window. The leaf of
// symbol (i, j) serves both the tree of row i and that of column j.
type matrix struct {
	Params
	rows, cols code // the code along a row, s→n, and along a column, p→n
	z          int64
	leaves     treehash.Leaves // n columns of n
	source     []byte          // p rows of s symbols of the window
	parity     []byte          // p rows of the n−s symbols that extend them
	group      int             // rows or columns that are worked on together, more than one only if symbols are short
	at         int64
	width      int
}

// Metadata is pass one: it computes the roots of all slivers. It reports progress, if not nil, in bytes of the blob, from the
// calling goroutine. It keeps 65·n² bytes of hash states and about 150 MiB besides.
func (e *Encoder) Metadata(ctx context.Context, progress func(done, total int64)) (*Metadata, error) {
	return e.metadata(ctx.Err, progress)
}

func (e *Encoder) metadata(stopped func() error, progress func(done, total int64)) (*Metadata, error) {
	p, z := e.src.Params, e.src.z
	x := &matrix{Params: p, rows: p.code(Primary), cols: p.code(Secondary), z: z, leaves: treehash.NewLeaves(p.n * p.n), group: 1}
	slot := slotWidth(max(x.rows.span(), x.cols.span()), treehash.Window)
	if z < groupSize {
		x.group = max(slot/int(z), 1)
	}
	width := int(min(int64(slot), z))
	x.source = make([]byte, p.Rows()*p.Columns()*width)
	x.parity = make([]byte, p.Rows()*p.Faulty()*width)
	win := newWindow(&e.src, width)
	for x.at < z {
		if err := stopped(); err != nil {
			return nil, err
		}
		x.width = int(min(int64(width), z-x.at))
		if err := win.load(x.source, x.at, x.width); err != nil {
			return nil, err
		}
		x.extendRows()
		x.hashColumns()
		x.at += int64(x.width)
		if progress != nil {
			progress(int64(float64(e.src.length)*(float64(x.at)/float64(z))), e.src.length)
		}
	}
	return &Metadata{Length: uint64(e.src.length), Pairs: x.roots()}, nil
}

// cell is where the window's bytes of symbol (i, j), i < p, are; those of the following columns up to s or n come after.
func (x *matrix) cell(i, j int) []byte {
	if s := x.Columns(); j < s {
		return x.source[(i*s+j)*x.width : (i+1)*s*x.width]
	}
	f := x.Faulty()
	return x.parity[(i*f+j-x.Columns())*x.width : (i+1)*f*x.width]
}

// extendRows computes parity from source.
func (x *matrix) extendRows() {
	p, w := x.Rows(), x.width
	parallel((p+x.group-1)/x.group, func(ws *workspace, t int) {
		first := t * x.group
		count := min(x.group, p-first)
		v := ws.vectors(x.rows.span(), packedSize(count*w))
		cells := grow(&ws.cells, count*w)
		for j := range x.rows.k {
			for q := range count {
				copy(cells[q*w:(q+1)*w], x.cell(first+q, j))
			}
			pack(v.slot(x.rows.point(j)), cells, w)
		}
		x.rows.encode(v)
		for j := x.rows.k; j < x.n; j++ {
			unpack(cells, v.slot(x.rows.point(j)), w, 0)
			for q := range count {
				copy(x.cell(first+q, j), cells[q*w:(q+1)*w])
			}
		}
	})
}

// hashColumns extends the columns and hashes all n symbols of each.
func (x *matrix) hashColumns() {
	s := x.Columns()
	groups := (s + x.group - 1) / x.group // that of the last source column does not reach into parity
	all := groups + (x.n-s+x.group-1)/x.group
	parallel(all, func(ws *workspace, t int) {
		if t < groups {
			x.hashGroup(ws, t*x.group, min((t+1)*x.group, s))
		} else {
			first := s + (t-groups)*x.group
			x.hashGroup(ws, first, min(first+x.group, x.n))
		}
	})
}

// hashGroup is hashColumns for the columns from first to end.
func (x *matrix) hashGroup(ws *workspace, first, end int) {
	w := x.width
	size := (end - first) * w
	v := ws.vectors(x.cols.span(), packedSize(size))
	for i := range x.cols.k {
		pack(v.slot(x.cols.point(i)), x.cell(i, first)[:size], w)
	}
	x.cols.encode(v)
	symbols := grow(&ws.symbols, x.n)
	for j := first; j < end; j++ {
		unpacked := grow(&ws.cells, x.n*w)
		for i := range symbols {
			if i < x.cols.k {
				symbols[i] = x.cell(i, j)[:w]
				continue
			}
			slot := v.slot(x.cols.point(i))
			if end-first == 1 {
				symbols[i] = unpackInPlace(slot, w)
				continue
			}
			symbols[i] = unpacked[i*w : (i+1)*w]
			unpack(symbols[i], slot, w, (j-first)*w/2)
		}
		x.leaves.Slice(j*x.n, (j+1)*x.n).Absorb(symbols, x.at, x.z)
	}
}

// roots are the roots of all pairs, from the leaves.
func (x *matrix) roots() []PairRoots {
	pairs := make([]PairRoots, x.n)
	parallel(x.n, func(ws *workspace, j int) {
		hashes := grow(&ws.hashes, x.n)
		x.leaves.Slice(j*x.n, (j+1)*x.n).Digests(hashes)
		pairs[x.PairOfSliver(Secondary, j)].Secondary = merkleRoot(hashes)
	})
	parallel(x.n, func(ws *workspace, i int) {
		hashes := grow(&ws.hashes, x.n)
		for j := range hashes {
			x.leaves.Slice(j*x.n+i, j*x.n+i+1).Digests(hashes[j : j+1])
		}
		pairs[x.PairOfSliver(Primary, i)].Primary = merkleRoot(hashes)
	})
	return pairs
}

package shards

import (
	"walrus/shards/treehash"
)

// The hashes of a block lie row by row, its columns side by side, so that the columns' trees grow together.

// blockHashes returns room for the leaves of all rows of a block, and for the level above them. Only the kept rows
// are filled, one after the other.
func (x *matrix) blockHashes(ws *workspace) []Hash {
	return grow(&ws.hashes, (x.n+(x.n+1)/2)*x.block)
}

// putLeaves fills column c of a block.
func (x *matrix) putLeaves(hashes []Hash, c int, leaves treehash.Leaves) {
	leaves.Spread(hashes[c:], x.block)
}

// joinBlock computes the roots of the count columns of block b from hashes, and folds the columns into nodes.
func (x *matrix) joinBlock(b, count int, hashes []Hash) {
	width := x.block
	leaves, spare := hashes[:x.n*width], hashes[x.n*width:]
	if x.live < x.Rows() { // move the recoveries' rows to their places
		copy(leaves[x.Rows()*width:], leaves[x.live*width:x.kept()*width])
	}
	clearFrom(leaves, width, count)
	roots := joinColumns(spare, leaves, width, run{x.live - 1, x.Rows()})
	for c := range count {
		x.pairs[x.PairOfSliver(Secondary, b*width+c)].Secondary = roots[c]
	}
	nodes := make([]Hash, 0, x.kept())
	for _, rows := range [][]Hash{leaves[:x.live*width], leaves[x.Rows()*width:]} {
		for w, c := width, count; w > 1; {
			rows = treehash.Fold(rows)
			w, c = w/2, (c+1)/2
			clearFrom(rows, w, c)
		}
		nodes = append(nodes, rows...)
	}
	x.nodes[b] = nodes
}

// clearFrom clears the nodes from number count on in each row of width nodes: missing siblings are zero.
func clearFrom(rows []Hash, width, count int) {
	for at := 0; at < len(rows) && count < width; at += width {
		clear(rows[at+count : at+width])
	}
}

// run is a range of equal nodes in a level of a tree: [from, to).
type run struct{ from, to int }

// minRun is the length from which a run is not hashed node by node.
const minRun = 8

// joinColumns returns the roots of width trees that lie side by side in level. The leaves in the rows of equal are
// the same; only the first of these rows is filled. dst is room for the next level. Values in level are kept, but
// joinColumns may fill more of the rows of equal.
func joinColumns(dst, level []Hash, width int, equal run) []Hash {
	for rows := len(level) / width; rows > 1; rows = (rows + 1) / 2 {
		level = level[:rows*width]
		equal.fill(level, width)
		if equal.to-equal.from < minRun {
			equal = run{}
			treehash.FoldRows(dst, level, width)
		} else {
			// Parents of equal nodes are equal: compute only the first one.
			equal = run{(equal.from + 1) / 2, equal.to / 2}
			treehash.FoldRows(dst, level[:2*(equal.from+1)*width], width)
			treehash.FoldRows(dst[equal.to*width:], level[2*equal.to*width:], width)
		}
		level = dst
	}
	return level[:width]
}

// fill copies the run's first row to the rows that will be read. In a short run these are all rows, otherwise the rows
// with a sibling outside of the run and the rows below the first parent.
func (r run) fill(level []Hash, width int) {
	set := func(i int) { copy(level[i*width:(i+1)*width], level[r.from*width:]) }
	if r.to-r.from < minRun {
		for i := r.from + 1; i < r.to; i++ {
			set(i)
		}
		return
	}
	set(r.from + 1)
	set(r.from + 2)
	set(r.to - 1)
}

// zeroBlocks returns the blocks whose symbols are all zero; these blocks are equal.
func (x *matrix) zeroBlocks() run {
	from, to := x.zeroColumns(uint64(x.source.src.length))
	r := run{(from + x.block - 1) / x.block, to / x.block}
	if r.from >= r.to {
		return run{}
	}
	return r
}

// repeatBlock copies the results of the first of the equal blocks to the others.
func (x *matrix) repeatBlock(equal run) {
	for b := equal.from + 1; b < equal.to; b++ {
		x.nodes[b] = x.nodes[equal.from]
		for c := range x.block {
			root := x.pairs[x.PairOfSliver(Secondary, equal.from*x.block)].Secondary
			x.pairs[x.PairOfSliver(Secondary, b*x.block+c)].Secondary = root
		}
	}
}

// joinRows computes the rows' roots from nodes.
func (x *matrix) joinRows() {
	const rows = 64 // per task
	none := make([]Hash, rows)
	parallel((x.kept()+rows-1)/rows, func(_ *workspace, t int) {
		first, end := t*rows, min((t+1)*rows, x.kept())
		level := make([][]Hash, len(x.nodes))
		for b := range level {
			level[b] = x.nodes[b][first:end]
		}
		for len(level) > 1 {
			level = joinLevel(level, none[:end-first])
		}
		for i := first; i < end; i++ {
			x.pairs[x.PairOfSliver(Primary, x.row(i))].Primary = level[0][i-first]
		}
	})
	zero := x.pairs[x.PairOfSliver(Primary, x.live-1)].Primary
	for i := x.live; i < x.Rows(); i++ { // all-zero rows equal the last live one
		x.pairs[x.PairOfSliver(Primary, i)].Primary = zero
	}
}

// joinLevel replaces the nodes of some rows by the nodes of the level above, in place. Neighbouring blocks may share
// memory. none is a row of zeros, for missing siblings.
func joinLevel(level [][]Hash, none []Hash) [][]Hash {
	same := func(a, b int) bool { return b < len(level) && &level[a][0] == &level[b][0] }
	var left, right, made []Hash
	for b := 0; b < len(level); b += 2 {
		l, r := level[b], none
		if b+1 < len(level) {
			r = level[b+1]
		}
		if left == nil || &l[0] != &left[0] || &r[0] != &right[0] {
			left, right, made = l, r, l
			if b > 0 && same(b-1, b) || same(b, b+1) || same(b, b+2) { // another block still needs this memory
				made = make([]Hash, len(l))
			}
			treehash.Parents(made, l, r)
		}
		level[b/2] = made
	}
	return level[:(len(level)+1)/2]
}

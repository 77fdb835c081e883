// Package wrongtest encodes blobs wrongly, in every way that a writer can. It is for tests.
//
// Mix takes lines from the encodings of two blobs: each line is a codeword and matches its root, so an honest node
// takes it. OneCell makes a row that is no codeword: only a liar can hold it.
package wrongtest

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"golang.org/x/crypto/blake2b"

	"walrus/shards"
)

// Encoding is a wrong encoding with all its lines.
type Encoding struct {
	Name   string
	Params shards.Params
	Meta   *shards.Metadata
	ID     shards.BlobID
	Blob   []byte // its data rows, if each of them is as one blob has it

	lines [2][]*line // by axis and index
}

// line is one sliver with its expansion.
type line struct {
	sliver  []byte   // in strip order
	symbols [][]byte // n
	tree    [][]shards.Hash
}

// Foreign reports whether a line is taken from the other blob.
type Foreign func(axis shards.Axis, index int) bool

// Mix returns the encoding of blob in which the foreign lines are those of other. Both have the same length.
func Mix(t testing.TB, name string, p shards.Params, blob, other []byte, foreign Foreign) *Encoding {
	t.Helper()
	return mix(name, p, newSource(t, p, blob), newSource(t, p, other), foreign)
}

// OneCell returns the encoding of blob with another leaf at one cell of a row. The row does not match its root, but
// each of its symbols does.
func OneCell(t testing.TB, p shards.Params, blob []byte, row, column int) *Encoding {
	t.Helper()
	from := newSource(t, p, blob)
	e := mix(fmt.Sprintf("cell (%d, %d)", row, column), p, from, from, func(shards.Axis, int) bool { return false })
	wrong := *e.lines[shards.Primary][row]
	wrong.symbols = slices.Clone(wrong.symbols)
	wrong.symbols[column] = bytes.Clone(wrong.symbols[column])
	wrong.symbols[column][0] ^= 1
	wrong.tree = treeOf(wrong.symbols)
	e.lines[shards.Primary][row] = &wrong
	e.derive(from.meta.Length)
	return e
}

// AtShards returns the encoding of blob in which the pairs on the given shards are those of other blobs, made from
// seeds.
func AtShards(t testing.TB, p shards.Params, blob []byte, list []int) *Encoding {
	t.Helper()
	from := newSource(t, p, blob)
	for seed := range 100 {
		other := newSource(t, p, another(blob, byte(seed)))
		for turn := range p.Shards() { // a pair's place depends on the ID, so guess how it turns
			foreign := func(axis shards.Axis, index int) bool {
				return slices.Contains(list, (p.PairOfSliver(axis, index)+turn)%p.Shards())
			}
			e := mix(fmt.Sprintf("pairs on shards %v", list), p, from, other, foreign)
			if p.ShardOfPair(e.ID, 0) == turn {
				return e
			}
		}
	}
	t.Fatal("no wrong encoding found")
	return nil
}

// Kinds returns one encoding of each kind for blob: single lines, halves, only parity, and one cell.
func Kinds(t testing.TB, p shards.Params, blob []byte) []*Encoding {
	t.Helper()
	from, other := newSource(t, p, blob), newSource(t, p, another(blob, 0xa5))
	n, rows, columns := p.Shards(), p.Rows(), p.Columns()
	var all []*Encoding
	for _, kind := range []struct {
		name    string
		foreign Foreign
	}{
		{"one data row", func(a shards.Axis, i int) bool { return a == shards.Primary && i == rows/2 }},
		{"one parity row", func(a shards.Axis, i int) bool { return a == shards.Primary && i == n-1 }},
		{"one data column", func(a shards.Axis, i int) bool { return a == shards.Secondary && i == columns/2 }},
		{"one parity column", func(a shards.Axis, i int) bool { return a == shards.Secondary && i == n-1 }},
		{"all columns", func(a shards.Axis, _ int) bool { return a == shards.Secondary }},
		{"half of the columns", func(a shards.Axis, i int) bool { return a == shards.Secondary && i < n/2 }},
		{"half of the rows", func(a shards.Axis, i int) bool { return a == shards.Primary && i < n/2 }},
		{"half of the pairs", func(a shards.Axis, i int) bool { return p.PairOfSliver(a, i) < n/2 }},
		{"parity rows", func(a shards.Axis, i int) bool { return a == shards.Primary && i >= rows }},
		{"parity columns", func(a shards.Axis, i int) bool { return a == shards.Secondary && i >= columns }},
		{"all parity", func(a shards.Axis, i int) bool { return i >= p.SourceSymbols(a.Other()) }},
	} {
		all = append(all, mix(kind.name, p, from, other, kind.foreign))
	}
	return append(all, OneCell(t, p, blob, rows-1, 0))
}

// another returns a blob that differs from blob in about every byte.
func another(blob []byte, seed byte) []byte {
	other := Content(len(blob), seed)
	for i := range other {
		if other[i] == blob[i] {
			other[i] ^= 0xff
		}
	}
	return other
}

// Content returns size bytes that depend on seed.
func Content(size int, seed byte) []byte {
	b := make([]byte, size)
	x := uint32(seed)*2654435761 + 1
	for i := range b {
		x = x*1664525 + 1013904223
		b[i] = byte(x >> 24)
	}
	return b
}

// Sliver returns a sliver in strip order.
func (e *Encoding) Sliver(axis shards.Axis, index int) []byte { return e.lines[axis][index].sliver }

// Pair returns a sliver pair, each in strip order.
func (e *Encoding) Pair(pair int) (primary, secondary []byte) {
	return e.Sliver(shards.Primary, e.Params.SliverOfPair(shards.Primary, pair)),
		e.Sliver(shards.Secondary, e.Params.SliverOfPair(shards.Secondary, pair))
}

// Symbol returns symbol target of a sliver's expansion, with its proof, as a node that has the sliver sends it.
func (e *Encoding) Symbol(axis shards.Axis, index, target int) shards.Symbol {
	l := e.lines[axis][index]
	sym := shards.Symbol{Data: l.symbols[target], Proof: make([]shards.Hash, e.Params.ProofSize())}
	for up := range sym.Proof {
		if at := target>>up ^ 1; at < len(l.tree[up]) {
			sym.Proof[up] = l.tree[up][at]
		}
	}
	return sym
}

// Differs reports whether row and column disagree about the cell where they cross.
func (e *Encoding) Differs(row, column int) bool {
	return !bytes.Equal(e.lines[shards.Primary][row].symbols[column], e.lines[shards.Secondary][column].symbols[row])
}

// CellProof proves that row and column disagree.
func (e *Encoding) CellProof(row, column int) (*shards.CellProof, error) {
	return shards.NewCellProof(e.Meta, row, column,
		e.Symbol(shards.Primary, row, column).Opening(), e.Symbol(shards.Secondary, column, row).Opening())
}

// Proof returns a proof for the first cell that differs.
func (e *Encoding) Proof(t testing.TB) *shards.CellProof {
	t.Helper()
	for row := range e.Params.Shards() {
		for column := range e.Params.Shards() {
			if e.Differs(row, column) {
				proof, err := e.CellProof(row, column)
				if err != nil {
					t.Fatal(err)
				}
				return proof
			}
		}
	}
	t.Fatalf("%s: every cell is the same in its row and its column", e.Name)
	return nil
}

// Symbols returns what the first lines that cross a line have at it: enough to decode it.
func (e *Encoding) Symbols(axis shards.Axis, index int) map[int]shards.Symbol {
	symbols := map[int]shards.Symbol{}
	for from := range e.Params.SourceSymbols(axis) {
		symbols[from] = e.Symbol(axis.Other(), from, index)
	}
	return symbols
}

// source is a right encoding, to take lines from.
type source struct {
	meta  *shards.Metadata
	blob  []byte
	lines [2][]*line
}

func newSource(t testing.TB, p shards.Params, blob []byte) *source {
	t.Helper()
	meta, pairs, err := shards.Encode(p, blob)
	if err != nil {
		t.Fatal(err)
	}
	s := &source{meta: meta, blob: blob}
	all := make([]int, p.Shards())
	for i := range all {
		all[i] = i
	}
	for _, axis := range []shards.Axis{shards.Primary, shards.Secondary} {
		for i := range p.Shards() {
			sliver := pairs[p.PairOfSliver(axis, i)].Primary
			if axis == shards.Secondary {
				sliver = pairs[p.PairOfSliver(axis, i)].Secondary
			}
			_, symbols, err := meta.Expand(axis, i, bytes.NewReader(sliver), all)
			if err != nil {
				t.Fatal(err)
			}
			s.lines[axis] = append(s.lines[axis], &line{sliver, symbols, treeOf(symbols)})
		}
	}
	return s
}

func mix(name string, p shards.Params, blob, other *source, foreign Foreign) *Encoding {
	e := &Encoding{Name: name, Params: p}
	data := 0 // data rows of the other blob
	for _, axis := range []shards.Axis{shards.Primary, shards.Secondary} {
		e.lines[axis] = slices.Clone(blob.lines[axis])
		for i := range e.lines[axis] {
			if foreign(axis, i) {
				e.lines[axis][i] = other.lines[axis][i]
				if axis == shards.Primary && i < p.Rows() {
					data++
				}
			}
		}
	}
	switch data {
	case 0:
		e.Blob = blob.blob
	case p.Rows():
		e.Blob = other.blob
	}
	e.derive(blob.meta.Length)
	return e
}

// derive computes the metadata from the lines.
func (e *Encoding) derive(length uint64) {
	e.Meta = &shards.Metadata{Length: length, Pairs: make([]shards.PairRoots, e.Params.Shards())}
	for _, axis := range []shards.Axis{shards.Primary, shards.Secondary} {
		for i, l := range e.lines[axis] {
			pair := &e.Meta.Pairs[e.Params.PairOfSliver(axis, i)]
			if root := l.tree[len(l.tree)-1][0]; axis == shards.Primary {
				pair.Primary = root
			} else {
				pair.Secondary = root
			}
		}
	}
	e.ID = e.Meta.ID()
}

// treeOf returns the levels of the Merkle tree over symbols, from the leaves to the root.
func treeOf(symbols [][]byte) [][]shards.Hash {
	level := make([]shards.Hash, len(symbols))
	for i := range symbols {
		level[i] = blake2b.Sum256(append([]byte{0}, symbols[i]...))
	}
	tree := [][]shards.Hash{level}
	for len(level) > 1 {
		var up []shards.Hash
		for i := 0; i < len(level); i += 2 {
			var right shards.Hash // 32 zero bytes if there is none
			if i+1 < len(level) {
				right = level[i+1]
			}
			up = append(up, blake2b.Sum256(slices.Concat([]byte{1}, level[i][:], right[:])))
		}
		level = up
		tree = append(tree, level)
	}
	return tree
}

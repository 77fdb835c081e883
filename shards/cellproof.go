package shards

import (
	"encoding/binary"
	"fmt"

	"golang.org/x/crypto/blake2b"

	"walrus/shards/treehash"
)

// Opening proves one leaf of a Merkle tree: its hash and the siblings on the way to the root.
type Opening struct {
	Leaf Hash
	Path []Hash // Params.ProofSize hashes, from the leaf up
}

// Opening returns the symbol's leaf with its path.
func (s Symbol) Opening() Opening { return Opening{leafHash(s.Data), s.Proof} }

// CellProof proves that a blob was encoded wrongly. A cell lies on a row and on a column, and the trees of both have
// its hash as a leaf. The proof opens both leaves, which differ, and leads from each to the blob ID. It holds no
// symbols. Whoever has the blob ID can verify it; there is no such proof for a blob that was encoded rightly.
type CellProof struct {
	Length      uint64 // bytes of the blob
	Row, Column int    // of the cell, each 0…n−1: primary sliver Row and secondary sliver Column
	// The cell's leaf in the tree of the row, at position Column, and in the tree of the column, at position Row.
	InRow, InColumn Opening
	// What leads from the root of each line to the blob root.
	RowPair, ColumnPair PairOpening
}

// PairOpening leads from the root of one sliver of a pair to the blob root.
type PairOpening struct {
	Other Hash   // the root of the pair's other sliver
	Path  []Hash // Params.ProofSize hashes, from the pair's leaf up
}

// cellProofHeader is the size of: type u8 ‖ length u64 LE ‖ row u16 LE ‖ column u16 LE.
const cellProofHeader = metadataHeader + 2 + 2

// cellProofParts is the number of parts of one hash and one path: two openings and two PairOpenings.
const cellProofParts = 4

// MaxCellProofSize is CellProofSize in the largest network.
const MaxCellProofSize = cellProofHeader + cellProofParts*(1+16)*HashSize

// CellProofSize returns the size of a cell proof's binary form, in bytes.
func (p Params) CellProofSize() int {
	return cellProofHeader + cellProofParts*(1+p.ProofSize())*HashSize
}

// NewCellProof makes the proof from two openings of one cell: as a symbol of primary sliver row, and as one of
// secondary sliver column. Errors wrap ErrProof if they prove nothing: the leaves are equal, or one is not in its line.
func NewCellProof(m *Metadata, row, column int, inRow, inColumn Opening) (*CellProof, error) {
	if err := m.check(Primary, row); err != nil {
		return nil, err
	}
	if err := m.check(Secondary, column); err != nil {
		return nil, err
	}
	c := &CellProof{Length: m.Length, Row: row, Column: column, InRow: inRow, InColumn: inColumn}
	tree := m.pairTree()
	c.RowPair = m.openPair(tree, Primary, row)
	c.ColumnPair = m.openPair(tree, Secondary, column)
	if err := c.Verify(m.Params(), m.ID()); err != nil {
		return nil, err
	}
	return c, nil
}

// Verify checks the proof against the blob ID alone: it hashes some 5·log2(n) times and allocates nothing. Errors wrap
// ErrProof.
func (c *CellProof) Verify(p Params, id BlobID) error {
	if err := c.check(p); err != nil {
		return err
	}
	if c.InRow.Leaf == c.InColumn.Leaf {
		return fmt.Errorf("%w: row %d and column %d have the same leaf", ErrProof, c.Row, c.Column)
	}
	rowRoot := climb(c.InRow.Leaf, c.Column, c.InRow.Path)
	columnRoot := climb(c.InColumn.Leaf, c.Row, c.InColumn.Path)
	rowPair, columnPair := p.PairOfSliver(Primary, c.Row), p.PairOfSliver(Secondary, c.Column)
	if DeriveBlobID(c.Length, climb(pairHash(rowRoot, c.RowPair.Other), rowPair, c.RowPair.Path)) != id {
		return fmt.Errorf("%w: the leaf of row %d does not lead to blob ID %s", ErrProof, c.Row, id)
	}
	if DeriveBlobID(c.Length, climb(pairHash(c.ColumnPair.Other, columnRoot), columnPair, c.ColumnPair.Path)) != id {
		return fmt.Errorf("%w: the leaf of column %d does not lead to blob ID %s", ErrProof, c.Column, id)
	}
	return nil
}

// check checks everything but the hashes.
func (c *CellProof) check(p Params) error {
	switch {
	case c.Length > MaxLength:
		return fmt.Errorf("%w: blob of %d bytes: the limit is %d", ErrProof, c.Length, uint64(MaxLength))
	case c.Row < 0 || c.Row >= p.n || c.Column < 0 || c.Column >= p.n:
		return fmt.Errorf("%w: cell (%d, %d): both must be below %d", ErrProof, c.Row, c.Column, p.n)
	}
	for _, path := range [...][]Hash{c.InRow.Path, c.InColumn.Path, c.RowPair.Path, c.ColumnPair.Path} {
		if len(path) != p.ProofSize() {
			return fmt.Errorf("%w: a path of %d hashes: want %d", ErrProof, len(path), p.ProofSize())
		}
	}
	return nil
}

// Marshal returns the binary form, Params.CellProofSize bytes: type u8 ‖ length u64 LE ‖ row u16 LE ‖ column u16 LE,
// then four times a hash and a path: the leaves in the row and in the column, the other roots of the row's pair and of
// the column's.
func (c *CellProof) Marshal() []byte {
	b := make([]byte, 0, cellProofHeader+cellProofParts*(1+len(c.InRow.Path))*HashSize)
	b = append(b, TypeRS2)
	b = binary.LittleEndian.AppendUint64(b, c.Length)
	b = binary.LittleEndian.AppendUint16(b, uint16(c.Row))
	b = binary.LittleEndian.AppendUint16(b, uint16(c.Column))
	b = appendHashes(b, c.InRow.Leaf, c.InRow.Path)
	b = appendHashes(b, c.InColumn.Leaf, c.InColumn.Path)
	b = appendHashes(b, c.RowPair.Other, c.RowPair.Path)
	return appendHashes(b, c.ColumnPair.Other, c.ColumnPair.Path)
}

// UnmarshalCellProof decodes the binary form for the network's n. It does not verify the proof. Errors wrap ErrProof.
func UnmarshalCellProof(p Params, b []byte) (*CellProof, error) {
	if len(b) != p.CellProofSize() {
		return nil, fmt.Errorf("%w: a cell proof of %d bytes: want %d for %d shards", ErrProof, len(b),
			p.CellProofSize(), p.n)
	}
	if b[0] != TypeRS2 {
		return nil, fmt.Errorf("%w: encoding type %d: want %d", ErrProof, b[0], TypeRS2)
	}
	c := &CellProof{
		Length: binary.LittleEndian.Uint64(b[1:]),
		Row:    int(binary.LittleEndian.Uint16(b[metadataHeader:])),
		Column: int(binary.LittleEndian.Uint16(b[metadataHeader+2:])),
	}
	b = b[cellProofHeader:]
	c.InRow.Leaf, c.InRow.Path, b = takeHashes(b, p.ProofSize())
	c.InColumn.Leaf, c.InColumn.Path, b = takeHashes(b, p.ProofSize())
	c.RowPair.Other, c.RowPair.Path, b = takeHashes(b, p.ProofSize())
	c.ColumnPair.Other, c.ColumnPair.Path, _ = takeHashes(b, p.ProofSize())
	if err := c.check(p); err != nil {
		return nil, err
	}
	return c, nil
}

// pairTree returns the levels of the blob's Merkle tree, from the leaves of the pairs to the root.
func (m *Metadata) pairTree() [][]Hash {
	level := make([]Hash, len(m.Pairs))
	for i := range m.Pairs {
		level[i] = pairHash(m.Pairs[i].Primary, m.Pairs[i].Secondary)
	}
	return treeOf(level)
}

// openPair leads from the root of sliver index along axis to the blob root.
func (m *Metadata) openPair(tree [][]Hash, axis Axis, index int) PairOpening {
	pair := m.Params().PairOfSliver(axis, index)
	return PairOpening{Other: m.Root(axis.Other(), m.Params().SliverOfPair(axis.Other(), pair)), Path: pathIn(tree, pair)}
}

// appendHashes appends a hash and a path.
func appendHashes(b []byte, first Hash, path []Hash) []byte {
	b = append(b, first[:]...)
	for i := range path {
		b = append(b, path[i][:]...)
	}
	return b
}

// takeHashes takes a hash and a path of size hashes from b, which has them.
func takeHashes(b []byte, size int) (first Hash, path []Hash, rest []byte) {
	first, b = Hash(b[:HashSize]), b[HashSize:]
	path = make([]Hash, size)
	for i := range path {
		path[i] = Hash(b[i*HashSize:][:HashSize])
	}
	return first, path, b[size*HashSize:]
}

// leafHash hashes a leaf of any size.
func leafHash(data []byte) Hash {
	leaf, sum := treehash.NewLeaves(1), make([]Hash, 1)
	leaf.Absorb([][]byte{data}, 0, int64(len(data)))
	leaf.Digests(sum)
	return sum[0]
}

// pairHash is the leaf of a pair in the blob's tree.
func pairHash(primary, secondary Hash) Hash {
	var b [1 + 2*HashSize]byte
	copy(b[1:], primary[:])
	copy(b[1+HashSize:], secondary[:])
	return blake2b.Sum256(b[:])
}

// climb returns the root to which path leads from the leaf at position.
func climb(leaf Hash, position int, path []Hash) Hash {
	var b [1 + 2*HashSize]byte
	b[0] = 1
	for up := range path {
		left, right := &leaf, &path[up]
		if position>>up&1 == 1 {
			left, right = right, left
		}
		copy(b[1:], left[:])
		copy(b[1+HashSize:], right[:])
		leaf = blake2b.Sum256(b[:])
	}
	return leaf
}

// Package treehash computes the hashes of Merkle trees in bulk: many leaves H(0x00 ‖ data) of one length, and many inner
// nodes H(0x01 ‖ left ‖ right), with H = BLAKE2b-256. Sixteen hashes, or four, are computed together, each in a lane of the
// processor's vector registers. Start with Leaves and Parents.
package treehash

// Size of a hash, in bytes.
const Size = 32

// Hash is a BLAKE2b-256 hash: a Merkle node or root.
type Hash [Size]byte

const (
	blockSize = 128
	lanes     = 16 // the most hashes that are computed together
)

// Window is what the length of every part of a leaf but the last must be a multiple of, in bytes.
const Window = blockSize

// Leaves are hashes of leaves under way: 65 bytes each.
type Leaves struct {
	states []state
	// lead is the byte by which each message is behind its data: first the prefix, then always the last byte that
	// came in, since the prefix shifts the data by one against the blocks.
	lead []byte
}

// NewLeaves returns count leaves without data.
func NewLeaves(count int) Leaves {
	l := Leaves{make([]state, count), make([]byte, count)}
	l.Reset()
	return l
}

// Len is the number of leaves.
func (l Leaves) Len() int { return len(l.states) }

// Slice is the leaves from number from up to to; they are shared.
func (l Leaves) Slice(from, to int) Leaves { return Leaves{l.states[from:to], l.lead[from:to]} }

// Reset makes all leaves empty again.
func (l Leaves) Reset() {
	for i := range l.states {
		l.states[i] = initial
	}
	clear(l.lead)
}

// Absorb adds data[i] to leaf i. All are of one length, and so were the before bytes that each leaf has already; with
// size bytes a leaf is complete. Unless it is the last, a part must be a multiple of Window long.
func (l Leaves) Absorb(data [][]byte, before, size int64) {
	if len(data) != len(l.states) {
		panic("treehash: as many parts as leaves wanted")
	}
	if len(data) == 0 {
		return
	}
	length := len(data[0])
	for i := range data {
		if len(data[i]) != length {
			panic("treehash: parts of different lengths")
		}
	}
	last := before+int64(length) == size
	if before+int64(length) > size || !last && length%Window != 0 || before%Window != 0 {
		panic("treehash: part of wrong length")
	}
	absorb(l, data, length, uint64(before), uint64(size)+1)
	if !last && length > 0 {
		for i := range data {
			l.lead[i] = data[i][length-1]
		}
	}
}

// Digests copies the hashes of the leaves, all complete, to dst.
func (l Leaves) Digests(dst []Hash) {
	for i := range l.states {
		l.states[i].digest(&dst[i])
	}
}

// Parents sets dst[i] to the inner node of left[i] and right[i]. dst may be left or right.
func Parents(dst, left, right []Hash) {
	if len(left) != len(dst) || len(right) != len(dst) {
		panic("treehash: as many nodes left and right as parents wanted")
	}
	if len(dst) > 0 {
		parents(dst, left, right, 1)
	}
}

// Fold replaces a level of a tree by the one above it, in place. A missing right sibling counts as 32 zero bytes.
func Fold(level []Hash) []Hash {
	pairs := len(level) / 2
	if pairs > 0 {
		parents(level[:pairs], level, level[1:], 2)
	}
	if len(level)%2 == 1 {
		var none Hash
		Parents(level[pairs:pairs+1], level[len(level)-1:], []Hash{none})
		pairs++
	}
	return level[:pairs]
}

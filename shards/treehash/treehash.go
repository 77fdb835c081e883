// Package treehash computes the hashes of Merkle trees in bulk: many leaves H(0x00 ‖ data) of one length, and many
// inner nodes H(0x01 ‖ left ‖ right), with H = BLAKE2b-256. It computes sixteen hashes, or four, together, each in a
// lane of the processor's vector registers. Start with Leaves and Parents.
package treehash

// Size of a hash, in bytes.
const Size = 32

// Hash is a BLAKE2b-256 hash: a Merkle node or root.
type Hash [Size]byte

const (
	blockSize = 128
	lanes     = 16 // the most hashes that are computed together
)

// Window divides the length of every part of a leaf except the last, in bytes.
const Window = blockSize

// octet holds the states of eight hashes, word by word: each word of all eight hashes together.
type octet [8][octetSize]uint64

const octetSize = 8

// Padded rounds count up to an index at which a slice of leaves may start.
func Padded(count int) int { return (count + octetSize - 1) / octetSize * octetSize }

// Leaves are unfinished hashes of leaves: 65 bytes each.
type Leaves struct {
	count  int
	states []octet
	// lead holds, for each lane of states, the byte before the next data: first the prefix, then the last byte
	// absorbed. The prefix shifts the data by one byte against the blocks.
	lead []byte
}

// NewLeaves returns count leaves without data.
func NewLeaves(count int) Leaves {
	l := RawLeaves(count)
	l.Reset()
	return l
}

// RawLeaves returns count leaves that must be Reset before use. This lets several goroutines each reset a part, and so
// be the first to touch its memory.
func RawLeaves(count int) Leaves {
	padded := Padded(count)
	return Leaves{count, make([]octet, padded/octetSize), make([]byte, padded)}
}

// Len returns the number of leaves.
func (l Leaves) Len() int { return l.count }

// Slice returns the leaves [from, to), which stay shared; from must be Padded.
func (l Leaves) Slice(from, to int) Leaves {
	if from != Padded(from) || to < from || to > l.count {
		panic("treehash: no slice")
	}
	padded := from + Padded(to-from)
	return Leaves{to - from, l.states[from/octetSize : padded/octetSize], l.lead[from:padded]}
}

// Reset makes all leaves empty again.
func (l Leaves) Reset() {
	for i := range l.states {
		l.states[i] = empty
	}
	clear(l.lead)
}

// Absorb adds data[i] to leaf i. All parts have the same length. Each leaf already has before bytes and is complete
// with size bytes. Every part but the last must be a multiple of Window long.
func (l Leaves) Absorb(data [][]byte, before, size int64) {
	if len(data) != l.count {
		panic("treehash: want one part for each leaf")
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
func (l Leaves) Digests(dst []Hash) { l.Spread(dst, 1) }

// Spread copies the hashes of the leaves, all complete, to dst[0], dst[step], dst[2·step] and so on.
func (l Leaves) Spread(dst []Hash, step int) {
	if step < 1 || l.count > 0 && len(dst) <= (l.count-1)*step {
		panic("treehash: more leaves than room for hashes")
	}
	digests(dst, step, l.states, l.count)
}

// Parents sets dst[i] to the inner node of left[i] and right[i]. dst may be left or right.
func Parents(dst, left, right []Hash) {
	if len(left) != len(dst) || len(right) != len(dst) {
		panic("treehash: want one left and one right node for each parent")
	}
	if len(dst) > 0 {
		parents(dst, left, right, 1, 0)
	}
}

// Fold replaces a level of a tree by the one above it, in place. A missing right sibling counts as 32 zero bytes.
func Fold(level []Hash) []Hash { return FoldRows(level, level, 1) }

// RowWidth is the best number of trees side by side.
const RowWidth = octetSize

// FoldRows sets dst to the level above src of width trees that lie side by side, with node i of tree c at
// src[i·width+c]. A missing right sibling counts as 32 zero bytes. dst may be src. It returns the part of dst with
// the new level.
func FoldRows(dst, src []Hash, width int) []Hash {
	pairs := len(src) / (2 * width)
	switch {
	case pairs == 0:
	case width == 1:
		parents(dst[:pairs], src, src[1:], 2, 0)
	case width == RowWidth:
		parents(dst[:pairs*width], src, src[width:], 1, width)
	default:
		for i := range pairs {
			Parents(dst[i*width:(i+1)*width], src[2*i*width:(2*i+1)*width], src[(2*i+1)*width:(2*i+2)*width])
		}
	}
	end := pairs * width
	var none [RowWidth]Hash
	for last := src[2*end:]; len(last) > 0; { // a row without sibling
		n := min(len(last), len(none))
		Parents(dst[end:end+n], last[:n], none[:n])
		last, end = last[n:], end+n
	}
	return dst[:end]
}

// place returns the index of node i if nodes are step apart, and jump more after every eight.
func place(i, step, jump int) int { return i*step + i/octetSize*jump }

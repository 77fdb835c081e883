package probe

import (
	"encoding/binary"

	"golang.org/x/crypto/blake2b"

	"walrus/shards"
)

// Blob describes a blob to draw from.
type Blob struct {
	ID     shards.BlobID
	Length uint64 // bytes
}

const (
	// wholeCell: of cells up to this size, or up to one strip, whole symbols are always asked for, in bytes. Of larger
	// ones they are asked for so seldom that it costs wholeCell on average. Else a part is, of partCell or one strip.
	wholeCell = 4 << 10
	partCell  = 4 << 10
)

// drawTries bounds the search for a cell that is not all zeros.
const drawTries = 64

// drawDomain begins the hash from which choices are drawn.
const drawDomain = "walrus probe draw 1\x00"

// dice are the bytes that a seed gives, one block of 32 after the other.
type dice struct {
	seed [32]byte
	next uint64
}

// below returns a number in [0, n), n > 0, with a bias below 2⁻³².
func (d *dice) below(n uint64) uint64 {
	b := append([]byte(drawDomain), d.seed[:]...)
	sum := blake2b.Sum256(binary.LittleEndian.AppendUint64(b, d.next))
	d.next++
	return binary.LittleEndian.Uint64(sum[:]) % n
}

// Draw chooses one cell of a blob among the slivers on a node's shards, and asks for it as a repair does: without its
// proof. The same seed gives the same question. The seed must be unpredictable for the node. Network, Nonce and Height
// of the question are left for the caller to fill in. ok is false if the node has no shards. Rows and cells behind the
// end of a short blob are all zeros, which nobody needs to store: Draw avoids them. A question costs the node at most 8
// KiB on average, or 4 KiB and a strip of one symbol, whatever the size of the blob. To a Whole one ask for the Proofs
// next; after a part do not, because the node would read all of a large sliver.
func Draw(seed [32]byte, p shards.Params, b Blob, held []int) (q Question, ok bool) {
	if len(held) == 0 {
		return q, false
	}
	d := &dice{seed: seed}
	q = Question{Shards: p.Shards(), Blob: b.ID, SymbolSize: p.SymbolSize(b.Length), Slivers: []int{0}, Targets: []int{0}}
	for range drawTries {
		shard := held[d.below(uint64(len(held)))]
		q.Axis = shards.Axis(d.below(2))
		q.Slivers[0] = p.SliverOfPair(q.Axis, p.PairOnShard(b.ID, shard))
		q.Targets[0] = int(d.below(uint64(p.Shards())))
		if !zero(p, b.Length, q) {
			break
		}
	}
	q.Length = q.SymbolSize
	w := int64(p.StripWidth())
	part := max(partCell/w, 1) * w
	if q.SymbolSize > max(wholeCell, part) && d.below(uint64(q.SymbolSize)) >= wholeCell {
		q.Offset = int64(d.below(uint64((q.SymbolSize+part-1)/part))) * part
		q.Length = min(part, q.SymbolSize-q.Offset)
	}
	return q, true
}

// zero reports whether a cell lies behind the end of the blob, or on a line that does.
func zero(p shards.Params, length uint64, q Question) bool {
	row, column := q.Slivers[0], q.Targets[0]
	if q.Axis == shards.Secondary {
		row, column = column, row
	}
	z, s := uint64(q.SymbolSize), uint64(p.Columns())
	source := row < p.Rows() && column < p.Columns()
	return row < p.Rows() && uint64(row)*s*z >= length || column < p.Columns() && uint64(column)*z >= length ||
		source && (uint64(row)*s+uint64(column))*z >= length
}

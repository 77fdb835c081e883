package shards

import "fmt"

const (
	// MinShards is the smallest network that tolerates a fault (f = 1).
	MinShards = 4
	// MaxShards is the largest network whose rows and columns fit the 2^16 points of the code's field, each with the
	// padding between its two parts. Beyond it the code is not defined.
	MaxShards = 49155
	// MaxLength bounds a blob, in bytes (16 TiB), so that sizes derived from a length off the wire (encoded size ≤
	// n·(p+s)·z + 64·n²) stay far from overflowing an int64.
	MaxLength = 1 << 44
)

// Params describes the encoding for n shards. It is a comparable value, made by NewParams. The zero value is not
// usable.
type Params struct{ n int }

// NewParams returns the encoding of n shards, MinShards ≤ n ≤ MaxShards.
func NewParams(n int) (Params, error) {
	if n < MinShards || n > MaxShards {
		return Params{}, fmt.Errorf("shards: %d shards: must be between %d and %d", n, MinShards, MaxShards)
	}
	return Params{n}, nil
}

// Shards returns n: the number of shards, of sliver pairs, of rows and of columns of the expanded matrix.
func (p Params) Shards() int { return p.n }

// Faulty returns f = ⌊(n−1)/3⌋: the number of shards that may lie.
func (p Params) Faulty() int { return (p.n - 1) / 3 }

// Rows returns p = n−2f, the number of source rows; any p primary slivers give back the blob.
func (p Params) Rows() int { return p.n - 2*p.Faulty() }

// Columns returns s = n−f, the number of source columns; any s secondary slivers give back the blob.
func (p Params) Columns() int { return p.n - p.Faulty() }

// SymbolSize returns z, in bytes, for a blob of length bytes: ⌈max(length,1)/(p·s)⌉ rounded up to even, because the
// code works on 16-bit elements.
func (p Params) SymbolSize(length uint64) int64 {
	cells := uint64(p.Rows()) * uint64(p.Columns())
	z := (max(length, 1)-1)/cells + 1
	return int64(z + z&1)
}

// PairOnShard returns the sliver pair of blob id that shard holds: pair i lives on shard (i+r) mod n, where r is the
// blob ID as a big-endian integer mod n.
func (p Params) PairOnShard(id BlobID, shard int) int {
	return (shard - p.rotation(id) + p.n) % p.n
}

// ShardOfPair returns the shard that holds sliver pair of blob id.
func (p Params) ShardOfPair(id BlobID, pair int) int {
	return (pair + p.rotation(id)) % p.n
}

func (p Params) rotation(id BlobID) int {
	r := 0
	for _, b := range id {
		r = (r<<8 | int(b)) % p.n
	}
	return r
}

// Axis is the kind of a sliver.
type Axis uint8

const (
	// Primary slivers are rows: s symbols each; rows 0…p−1 are the blob itself.
	Primary Axis = 0
	// Secondary slivers are columns: p symbols each.
	Secondary Axis = 1
)

// Other returns the crossing axis.
func (a Axis) Other() Axis { return 1 - a }

// String returns "primary" or "secondary".
func (a Axis) String() string {
	switch a {
	case Primary:
		return "primary"
	case Secondary:
		return "secondary"
	}
	return fmt.Sprintf("axis(%d)", uint8(a))
}

// Valid reports whether a is one of the two axes; check it on every value from the wire.
func (a Axis) Valid() bool { return a == Primary || a == Secondary }

// SliverOfPair returns the index along axis of the sliver in pair: primary i and secondary n−1−i make pair i.
func (p Params) SliverOfPair(axis Axis, pair int) int {
	if axis == Primary {
		return pair
	}
	return p.n - 1 - pair
}

// PairOfSliver is the inverse of SliverOfPair.
func (p Params) PairOfSliver(axis Axis, index int) int { return p.SliverOfPair(axis, index) }

// SourceSymbols returns the number of symbols in a sliver along axis: s for a primary, p for a secondary. The same
// number of recovery symbols rebuilds such a sliver.
func (p Params) SourceSymbols(axis Axis) int {
	if axis == Primary {
		return p.Columns()
	}
	return p.Rows()
}

// EncodedSize returns the bytes that the whole network keeps for a blob: n sliver pairs, each with its own copy of
// the metadata, counted as in the original Walrus: n·((p+s)·z + 64·n + 32).
func (p Params) EncodedSize(length uint64) int64 {
	n := int64(p.n)
	return n * (int64(p.Rows()+p.Columns())*p.SymbolSize(length) + 64*n + 32)
}

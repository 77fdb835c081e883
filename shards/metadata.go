package shards

import (
	"encoding/binary"
	"errors"
	"fmt"

	"golang.org/x/crypto/blake2b"

	"walrus/shards/treehash"
)

// TypeRS2 is the only encoding type: RedStuff over Reed–Solomon.
const TypeRS2 byte = 1

// HashSize is the size of every hash: BLAKE2b-256.
const HashSize = treehash.Size

// Hash is a BLAKE2b-256 hash: a Merkle node or root.
type Hash = treehash.Hash

// PairRoots has the Merkle roots of the two slivers of a pair, each over the n symbols of the sliver's expansion.
type PairRoots struct{ Primary, Secondary Hash }

// Metadata describes one encoded blob. Its hash is the blob ID, so it proves itself.
type Metadata struct {
	Length uint64      // bytes of the blob
	Pairs  []PairRoots // n, by pair index
}

// ErrMetadata reports metadata that is malformed or belongs to another blob.
var ErrMetadata = errors.New("invalid metadata")

const metadataHeader = 1 + 8

// MetadataSize returns the size of the binary form for n shards: type u8 ‖ length u64 LE ‖ n × (primary ‖ secondary
// root).
func (p Params) MetadataSize() int { return metadataHeader + p.n*2*HashSize }

// Params returns the encoding, from the number of pairs.
func (m *Metadata) Params() Params { return Params{len(m.Pairs)} }

// Layout returns the layout of the blob's slivers along axis.
func (m *Metadata) Layout(axis Axis) Layout { return m.Params().Layout(axis, m.Length) }

// Root returns the Merkle root of sliver index along axis.
func (m *Metadata) Root(axis Axis, index int) Hash {
	pair := &m.Pairs[m.Params().PairOfSliver(axis, index)]
	if axis == Primary {
		return pair.Primary
	}
	return pair.Secondary
}

// ID computes the blob ID.
func (m *Metadata) ID() BlobID { return DeriveBlobID(m.Length, m.BlobRoot()) }

// BlobRoot computes the blob root: the Merkle root over the roots of all sliver pairs.
func (m *Metadata) BlobRoot() Hash {
	n := len(m.Pairs)
	buf, data := make([]byte, 0, n*2*HashSize), make([][]byte, n)
	for i := range m.Pairs {
		at := len(buf)
		buf = append(append(buf, m.Pairs[i].Primary[:]...), m.Pairs[i].Secondary[:]...)
		data[i] = buf[at:]
	}
	leaves, digests := treehash.NewLeaves(n), make([]Hash, n)
	leaves.Absorb(data, 0, 2*HashSize)
	leaves.Digests(digests)
	return merkleRoot(digests)
}

// DeriveBlobID computes the blob ID of a blob of length bytes from its blob root.
func DeriveBlobID(length uint64, root Hash) BlobID {
	var b [metadataHeader + HashSize]byte
	b[0] = TypeRS2
	binary.LittleEndian.PutUint64(b[1:], length)
	copy(b[metadataHeader:], root[:])
	return BlobID(blake2b.Sum256(b[:]))
}

// Marshal returns the binary form, Params.MetadataSize bytes.
func (m *Metadata) Marshal() []byte {
	b := make([]byte, 0, m.Params().MetadataSize())
	b = append(b, TypeRS2)
	b = binary.LittleEndian.AppendUint64(b, m.Length)
	for i := range m.Pairs {
		b = append(b, m.Pairs[i].Primary[:]...)
		b = append(b, m.Pairs[i].Secondary[:]...)
	}
	return b
}

// UnmarshalMetadata decodes the binary form for the network's n and checks that it is the metadata of id. All
// metadata from peers and disks comes through it. Errors wrap ErrMetadata.
func UnmarshalMetadata(p Params, id BlobID, b []byte) (*Metadata, error) {
	if len(b) != p.MetadataSize() {
		return nil, fmt.Errorf("%w: %d bytes: want %d for %d shards", ErrMetadata, len(b), p.MetadataSize(), p.n)
	}
	if b[0] != TypeRS2 {
		return nil, fmt.Errorf("%w: encoding type %d: want %d", ErrMetadata, b[0], TypeRS2)
	}
	m := &Metadata{Length: binary.LittleEndian.Uint64(b[1:]), Pairs: make([]PairRoots, p.n)}
	if m.Length > MaxLength {
		return nil, fmt.Errorf("%w: blob of %d bytes: the limit is %d", ErrMetadata, m.Length, uint64(MaxLength))
	}
	b = b[metadataHeader:]
	for i := range m.Pairs {
		copy(m.Pairs[i].Primary[:], b)
		copy(m.Pairs[i].Secondary[:], b[HashSize:])
		b = b[2*HashSize:]
	}
	if m.ID() != id {
		return nil, fmt.Errorf("%w: it does not match blob ID %s", ErrMetadata, id)
	}
	return m, nil
}

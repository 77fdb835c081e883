package shards

import (
	"encoding/binary"
	"fmt"
)

// LineOpening proves the root of one sliver to whoever has the blob ID, without the blob's metadata.
type LineOpening struct {
	Length uint64 // bytes of the blob
	Root   Hash   // of the sliver
	Pair   PairOpening
}

// OpenLine returns the proof for sliver index along axis.
func (m *Metadata) OpenLine(axis Axis, index int) (LineOpening, error) {
	if err := m.check(axis, index); err != nil {
		return LineOpening{}, err
	}
	return LineOpening{Length: m.Length, Root: m.Root(axis, index), Pair: m.openPair(m.pairTree(), axis, index)}, nil
}

// Verify checks that Root is that of sliver index along axis of blob id, in a network with the shards of p. Errors wrap
// ErrProof.
func (l *LineOpening) Verify(p Params, id BlobID, axis Axis, index int) error {
	switch {
	case !axis.Valid() || index < 0 || index >= p.n:
		return fmt.Errorf("%w: %s sliver %d: want a line below %d", ErrProof, axis, index, p.n)
	case l.Length > MaxLength:
		return fmt.Errorf("%w: blob of %d bytes: the limit is %d", ErrProof, l.Length, uint64(MaxLength))
	case len(l.Pair.Path) != p.ProofSize():
		return fmt.Errorf("%w: a path of %d hashes: want %d", ErrProof, len(l.Pair.Path), p.ProofSize())
	}
	leaf := pairHash(l.Root, l.Pair.Other)
	if axis == Secondary {
		leaf = pairHash(l.Pair.Other, l.Root)
	}
	if DeriveBlobID(l.Length, climb(leaf, p.PairOfSliver(axis, index), l.Pair.Path)) != id {
		return fmt.Errorf("%w: the root of %s sliver %d does not lead to blob ID %s", ErrProof, axis, index, id)
	}
	return nil
}

// Leads reports whether the opening's path leads from its leaf, at position target, to the line's root.
func (l *LineOpening) Leads(target int, o Opening) bool {
	return len(o.Path) == len(l.Pair.Path) && climb(o.Leaf, target, o.Path) == l.Root
}

// LineOpeningSize returns the size of the binary form, in bytes.
func (p Params) LineOpeningSize() int { return 8 + (2+p.ProofSize())*HashSize }

// Append appends the binary form: length u64 LE ‖ root ‖ the pair's other root ‖ path.
func (l *LineOpening) Append(b []byte) []byte {
	b = binary.LittleEndian.AppendUint64(b, l.Length)
	b = append(b, l.Root[:]...)
	return appendHashes(b, l.Pair.Other, l.Pair.Path)
}

// UnmarshalLineOpening decodes the binary form for the network's n. It does not verify the proof. Errors wrap ErrProof.
func UnmarshalLineOpening(p Params, b []byte) (l LineOpening, err error) {
	if len(b) != p.LineOpeningSize() {
		return l, fmt.Errorf("%w: %d bytes: want %d for %d shards", ErrProof, len(b), p.LineOpeningSize(), p.n)
	}
	l.Length = binary.LittleEndian.Uint64(b)
	l.Root = Hash(b[8:])
	l.Pair.Other, l.Pair.Path, _ = takeHashes(b[8+HashSize:], p.ProofSize())
	return l, nil
}

package shards

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
)

// LineProof proves that a blob was encoded wrongly. It comes with a sliver, in strip order. The sliver was computed
// from enough crossing lines: each has, at position Index, the symbol that the sliver has for it. In a right encoding
// the sliver would be sliver Index of the metadata, but its root differs.
//
// The sliver is not a part of this value, because it may be large: it is read as a stream.
type LineProof struct {
	Axis     Axis
	Index    int
	Crossing []CrossingPath // Params.SourceSymbols(Axis), by ascending line
}

// CrossingPath leads from the leaf at position Index in the tree of one crossing line to its root.
type CrossingPath struct {
	Line int    // sliver index along the other axis
	Path []Hash // Params.ProofSize hashes
}

// lineProofHeader is the size of: axis u8 ‖ index u16 LE.
const lineProofHeader = 1 + 2

// LineProofSize returns the size of the binary form of a proof about a line along axis, without the sliver.
func (p Params) LineProofSize(axis Axis) int {
	return lineProofHeader + p.SourceSymbols(axis)*(2+p.ProofSize()*HashSize)
}

// NewLineProof decodes sliver index along axis from symbols of crossing slivers, by the index of each: at least
// Params.SourceSymbols(axis); more are ignored. It returns the proof and the sliver, in strip order, that belongs to
// it.
// Errors wrap ErrNotEnough if there are too few, and ErrProof if they prove nothing: they give the sliver of the
// metadata, or one is not in its crossing sliver.
func NewLineProof(m *Metadata, axis Axis, index int, symbols map[int]Symbol) (l *LineProof, sliver []byte, err error) {
	data := make(map[int][]byte, len(symbols))
	for i := range symbols {
		data[i] = symbols[i].Data
	}
	sliver, err = m.rebuild(axis, index, data)
	if err != nil {
		return nil, nil, err
	}
	l = &LineProof{Axis: axis, Index: index}
	for _, i := range slices.Sorted(maps.Keys(symbols))[:m.Params().SourceSymbols(axis)] { // as rebuild chooses
		l.Crossing = append(l.Crossing, CrossingPath{i, symbols[i].Proof})
	}
	if err := l.Verify(m, bytes.NewReader(sliver)); err != nil {
		return nil, nil, err
	}
	return l, sliver, nil
}

// Verify checks the proof against the metadata of the blob. It reads the sliver from r, which gives Layout.Size bytes
// in strip order, and needs memory for one strip and a Verifier. Errors wrap ErrProof if the proof is wrong. An error
// of r is returned as it is.
func (l *LineProof) Verify(m *Metadata, r io.Reader) error {
	if err := m.check(l.Axis, l.Index); err != nil {
		return fmt.Errorf("%w: %w", ErrProof, err)
	}
	if err := l.check(m.Params()); err != nil {
		return err
	}
	v, err := newVerifier(m, l.Axis, l.Index, nil)
	if err != nil {
		return err
	}
	defer v.release()
	if err := v.readStrips(r, func() error { return nil }); err != nil {
		if errors.Is(err, ErrSliver) {
			err = fmt.Errorf("%w: %w", ErrProof, err)
		}
		return err
	}
	ws := newWorkspace()
	defer ws.release()
	leaves := v.line.digests(ws)
	crossing := l.Axis.Other()
	for _, c := range l.Crossing {
		if climb(leaves[c.Line], l.Index, c.Path) != m.Root(crossing, c.Line) {
			return fmt.Errorf("%w: symbol %d of %s sliver %d is not that of %s sliver %d",
				ErrProof, c.Line, l.Axis, l.Index, crossing, c.Line)
		}
	}
	if merkleRoot(leaves) == v.root {
		return fmt.Errorf("%w: %s sliver %d matches its root", ErrProof, l.Axis, l.Index)
	}
	return nil
}

// check checks everything but the hashes.
func (l *LineProof) check(p Params) error {
	if !l.Axis.Valid() || l.Index < 0 || l.Index >= p.n {
		return fmt.Errorf("%w: %s sliver %d: want a line below %d", ErrProof, l.Axis, l.Index, p.n)
	}
	if need := p.SourceSymbols(l.Axis); len(l.Crossing) != need {
		return fmt.Errorf("%w: %d crossing lines: want %d", ErrProof, len(l.Crossing), need)
	}
	before := -1
	for _, c := range l.Crossing {
		if c.Line <= before || c.Line >= p.n {
			return fmt.Errorf("%w: line %d after %d: must ascend and be below %d", ErrProof, c.Line, before, p.n)
		}
		if len(c.Path) != p.ProofSize() {
			return fmt.Errorf("%w: a path of %d hashes: want %d", ErrProof, len(c.Path), p.ProofSize())
		}
		before = c.Line
	}
	return nil
}

// Marshal returns the binary form, Params.LineProofSize bytes: axis u8 ‖ index u16 LE, then for each crossing line its
// index u16 LE ‖ path.
func (l *LineProof) Marshal() []byte {
	b := []byte{byte(l.Axis)}
	b = binary.LittleEndian.AppendUint16(b, uint16(l.Index))
	for _, c := range l.Crossing {
		b = binary.LittleEndian.AppendUint16(b, uint16(c.Line))
		for i := range c.Path {
			b = append(b, c.Path[i][:]...)
		}
	}
	return b
}

// UnmarshalLineProof decodes the binary form for the network's n. It does not verify the proof. Errors wrap ErrProof.
func UnmarshalLineProof(p Params, b []byte) (*LineProof, error) {
	if len(b) < lineProofHeader || !Axis(b[0]).Valid() {
		return nil, fmt.Errorf("%w: no header of a line proof", ErrProof)
	}
	l := &LineProof{Axis: Axis(b[0]), Index: int(binary.LittleEndian.Uint16(b[1:]))}
	if want := p.LineProofSize(l.Axis); len(b) != want {
		return nil, fmt.Errorf("%w: a line proof of %d bytes: want %d for %d shards", ErrProof, len(b), want, p.n)
	}
	for b = b[lineProofHeader:]; len(b) > 0; {
		c := CrossingPath{Line: int(binary.LittleEndian.Uint16(b)), Path: make([]Hash, p.ProofSize())}
		b = b[2:]
		for i := range c.Path {
			c.Path[i], b = Hash(b[:HashSize]), b[HashSize:]
		}
		l.Crossing = append(l.Crossing, c)
	}
	if err := l.check(p); err != nil {
		return nil, err
	}
	return l, nil
}

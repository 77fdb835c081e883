package shards

import (
	"errors"
	"fmt"
	"io"
)

// Expansion proves symbols of one sliver's expansion. It holds the Merkle tree of the n symbols and none of their
// bytes: 64 bytes for each. It is safe for concurrent use.
type Expansion struct {
	tree [][]Hash // the leaves, and each level above them up to the root
}

// Expand reads sliver index along axis from r, in strip order, and compares it with its root. It also returns the
// symbols at the positions keep, each 0…n−1 in the expansion. It fails with ErrSliver if the sliver does not match. It
// needs memory for one strip, a Verifier and the symbols kept.
func (m *Metadata) Expand(axis Axis, index int, r io.Reader, keep []int) (e *Expansion, kept [][]byte, err error) {
	v, err := newVerifier(m, axis, index, keep)
	if err != nil {
		return nil, nil, err
	}
	defer func() {
		if v.memory != nil {
			v.release()
		}
	}()
	if err := v.readStrips(r, func() error { return nil }); err != nil {
		return nil, nil, err
	}
	ws := newWorkspace()
	defer ws.release()
	e = &Expansion{tree: treeOf(v.line.digests(ws))}
	return e, v.line.kept, v.compare(e.root())
}

// NewExpansion returns the expansion whose symbols have the given hashes, n of them. It fails with ErrSliver if they do
// not lead to the root of sliver index along axis.
func (m *Metadata) NewExpansion(axis Axis, index int, leaves []Hash) (*Expansion, error) {
	if err := m.check(axis, index); err != nil {
		return nil, err
	}
	if len(leaves) != len(m.Pairs) {
		return nil, fmt.Errorf("%w: %d hashes of symbols: want %d", ErrSliver, len(leaves), len(m.Pairs))
	}
	e := &Expansion{tree: treeOf(leaves)}
	if e.root() != m.Root(axis, index) {
		return nil, fmt.Errorf("%w: the hashes of symbols do not match the root of %s sliver %d", ErrSliver, axis, index)
	}
	return e, nil
}

func (e *Expansion) root() Hash { return e.tree[len(e.tree)-1][0] }

// Opening proves the leaf of the symbol at target, 0…n−1.
func (e *Expansion) Opening(target int) Opening { return Opening{e.tree[0][target], e.Proof(target)} }

// Leaves returns the hashes of all n symbols. They are shared and read-only.
func (e *Expansion) Leaves() []Hash { return e.tree[0] }

// Proof returns the siblings on the way from the symbol at target, 0…n−1, to the root.
func (e *Expansion) Proof(target int) []Hash { return pathIn(e.tree, target) }

// ReadSymbols reads the strips of sliver index along axis that have the bytes [offset, offset+length) of its symbols,
// and calls emit after each strip with the next bytes of the symbols at targets. parts may be empty, and are
// overwritten afterwards. It hashes nothing, so it is far cheaper than Expand, and the sliver is not compared with its
// root. offset must be a multiple of the strips' width, as the end must, unless it is the end of the symbols.
// ReadSymbols stops at the first error of emit.
func (m *Metadata) ReadSymbols(axis Axis, index int, r io.ReaderAt, targets []int, offset, length int64,
	emit func(parts [][]byte) error) error {
	v, err := newVerifier(m, axis, index, targets)
	if err != nil {
		return err
	}
	defer v.release()
	w := int64(v.layout.Width)
	if offset < 0 || length < 1 || length > v.layout.SymbolSize-offset || offset%w != 0 || length%w != 0 &&
		offset+length != v.layout.SymbolSize {
		return fmt.Errorf("bytes [%d, %d) of symbols of %d bytes: must be whole strips of %d", offset, offset+length,
			v.layout.SymbolSize, w)
	}
	v.strip, v.stop = int(offset/w), int((offset+length+w-1)/w)
	v.line.at, v.line.unhashed = offset, true
	from, _ := v.layout.Strip(v.strip)
	return v.readStrips(io.NewSectionReader(r, from, v.layout.Size()-from), func() error {
		err := emit(v.line.kept)
		for i := range v.line.kept {
			v.line.kept[i] = v.line.kept[i][:0]
		}
		return err
	})
}

// readStrips feeds the strips up to v.stop to v, and calls done after each.
func (v *Verifier) readStrips(r io.Reader, done func() error) error {
	for _, target := range v.line.targets {
		if n := v.line.k + v.line.r; target < 0 || target >= n {
			return fmt.Errorf("symbol %d: must be below %d", target, n)
		}
	}
	strip := make([]byte, v.layout.Symbols*v.layout.StripWidth(0))
	for t := v.strip; t < v.stop; t++ {
		_, size := v.layout.Strip(t)
		if _, err := io.ReadFull(r, strip[:size]); err != nil {
			if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
				return fmt.Errorf("%w: it ends in strip %d of %d", ErrSliver, t, v.layout.Strips())
			}
			return fmt.Errorf("read %s sliver %d: %w", v.axis, v.index, err)
		}
		if err := v.WriteStrip(strip[:size]); err != nil {
			return err
		}
		if err := done(); err != nil {
			return err
		}
	}
	return nil
}

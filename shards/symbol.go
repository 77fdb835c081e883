package shards

import (
	"errors"
	"fmt"
	"io"
	"math/bits"
)

// Symbol is one recovery symbol with the proof that it belongs to a sliver's expansion.
type Symbol struct {
	Data  []byte // z bytes
	Proof []Hash // the siblings from the leaf to the root, Params.ProofSize hashes
}

// ProofSize is the number of hashes in the proof of a symbol: ⌈log2 n⌉.
func (p Params) ProofSize() int { return bits.Len(uint(p.n - 1)) }

// ExtractSymbols reads sliver index along axis from r, in strip order, and returns the symbols at targets, each
// 0…n−1 in the sliver's expansion. It fails with ErrSliver if the sliver does not match its root. Its memory is one strip, 65
// bytes for each of the n symbols, and the symbols asked for.
func (m *Metadata) ExtractSymbols(axis Axis, index int, r io.Reader, targets []int) ([]Symbol, error) {
	v, err := newVerifier(m, axis, index, targets)
	if err != nil {
		return nil, err
	}
	for _, target := range targets {
		if target < 0 || target >= len(m.Pairs) {
			return nil, fmt.Errorf("symbol %d: must be below %d", target, len(m.Pairs))
		}
	}
	strip := make([]byte, v.layout.Symbols*v.layout.StripWidth(0))
	for t := range v.layout.Strips() {
		_, size := v.layout.Strip(t)
		if _, err := io.ReadFull(r, strip[:size]); err != nil {
			if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
				return nil, fmt.Errorf("%w: it ends in strip %d of %d", ErrSliver, t, v.layout.Strips())
			}
			return nil, fmt.Errorf("read %s sliver %d: %w", axis, index, err)
		}
		if err := v.WriteStrip(strip[:size]); err != nil {
			return nil, err
		}
	}
	ws := newWorkspace()
	defer ws.release()
	proofs, root := merkleProofs(v.line.digests(ws), targets)
	if err := v.compare(root); err != nil {
		return nil, err
	}
	symbols := make([]Symbol, len(targets))
	for i := range symbols {
		symbols[i] = Symbol{Data: v.line.kept[i], Proof: proofs[i]}
	}
	return symbols, nil
}

// VerifySymbol checks the symbol at position target, 0…n−1, of the expansion of sliver index along axis. Errors wrap
// ErrSymbol if they are about the symbol.
func (m *Metadata) VerifySymbol(axis Axis, index, target int, sym Symbol) error {
	if err := m.check(axis, index); err != nil {
		return err
	}
	p := m.Params()
	switch {
	case target < 0 || target >= p.n:
		return fmt.Errorf("%w: position %d: must be below %d", ErrSymbol, target, p.n)
	case int64(len(sym.Data)) != p.SymbolSize(m.Length):
		return fmt.Errorf("%w: %d bytes: want %d", ErrSymbol, len(sym.Data), p.SymbolSize(m.Length))
	case len(sym.Proof) != p.ProofSize():
		return fmt.Errorf("%w: proof of %d hashes: want %d", ErrSymbol, len(sym.Proof), p.ProofSize())
	}
	if merkleFold(hashLeaf(sym.Data), target, sym.Proof) != m.Root(axis, index) {
		return fmt.Errorf("%w: symbol %d of %s sliver %d does not match its root", ErrSymbol, target, axis, index)
	}
	return nil
}

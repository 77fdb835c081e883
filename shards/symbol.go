package shards

import (
	"fmt"
	"io"
	"math/bits"

	"walrus/shards/treehash"
)

// Symbol is a recovery symbol with the proof that it belongs to a sliver's expansion.
type Symbol struct {
	Data  []byte // z bytes
	Proof []Hash // siblings from the leaf to the root, Params.ProofSize hashes
}

// ProofSize returns the number of hashes in the proof of a symbol: ⌈log2 n⌉.
func (p Params) ProofSize() int { return bits.Len(uint(p.n - 1)) }

// ExtractSymbols reads sliver index along axis from r, in strip order, and returns the symbols at targets, each 0…n−1
// in the sliver's expansion. It fails with ErrSliver if the sliver does not match its root. It needs memory for one
// strip, a Verifier and the returned symbols.
func (m *Metadata) ExtractSymbols(axis Axis, index int, r io.Reader, targets []int) ([]Symbol, error) {
	e, kept, err := m.Expand(axis, index, r, targets)
	if err != nil {
		return nil, err
	}
	symbols := make([]Symbol, len(targets))
	for i, target := range targets {
		symbols[i] = Symbol{Data: kept[i], Proof: e.Proof(target)}
	}
	return symbols, nil
}

// VerifySymbol checks the symbol at position target, 0…n−1, of the expansion of sliver index along axis. Errors wrap
// ErrSymbol if the symbol is at fault.
func (m *Metadata) VerifySymbol(axis Axis, index, target int, sym Symbol) error {
	return m.VerifySymbols(axis, []Claim{{index, target, sym}})
}

// Claim states that Symbol is at position Target, 0…n−1, of the expansion of sliver Index.
type Claim struct {
	Index, Target int
	Symbol
}

// claimBatch: claims are verified in batches of this size, a few times the number of hashes computed together.
const claimBatch = 32

// VerifySymbols checks many symbols of one or several slivers along axis, far faster than VerifySymbol one by one. It
// returns an error for the first wrong symbol. The error wraps ErrSymbol if the symbol is at fault.
func (m *Metadata) VerifySymbols(axis Axis, claims []Claim) error {
	return m.verifyClaims(axis, nil, claims)
}

// VerifyLeaves is VerifySymbols for symbols of which only the leaf hashes are known. leaves[i] is the hash of
// claims[i], whose Data is ignored.
func (m *Metadata) VerifyLeaves(axis Axis, leaves []Hash, claims []Claim) error {
	if len(leaves) != len(claims) {
		return fmt.Errorf("%d leaves for %d symbols", len(leaves), len(claims))
	}
	return m.verifyClaims(axis, leaves, claims)
}

// verifyClaims checks the claims. Without leaves it hashes their data.
func (m *Metadata) verifyClaims(axis Axis, leaves []Hash, claims []Claim) error {
	for i := range claims {
		if err := m.checkClaim(axis, &claims[i]); err != nil {
			return err
		}
		if size := m.Params().SymbolSize(m.Length); leaves == nil && int64(len(claims[i].Data)) != size {
			return fmt.Errorf("%w: %d bytes: want %d", ErrSymbol, len(claims[i].Data), size)
		}
	}
	wrong := make([]int, (len(claims)+claimBatch-1)/claimBatch)
	parallel(len(wrong), func(ws *workspace, b int) {
		from, to := b*claimBatch, min((b+1)*claimBatch, len(claims))
		nodes := grow(&ws.hashes, 3*claimBatch)
		if leaves != nil {
			copy(nodes, leaves[from:to])
		} else {
			hashClaims(ws, nodes[:to-from], claims[from:to])
		}
		wrong[b] = m.wrongClaim(nodes, axis, claims[from:to])
	})
	for b, i := range wrong {
		if i >= 0 {
			c := &claims[b*claimBatch+i]
			return fmt.Errorf("%w: symbol %d of %s sliver %d does not match its root", ErrSymbol, c.Target, axis, c.Index)
		}
	}
	return nil
}

// checkClaim checks everything but the symbol and the hashes.
func (m *Metadata) checkClaim(axis Axis, c *Claim) error {
	if err := m.check(axis, c.Index); err != nil {
		return err
	}
	p := m.Params()
	switch {
	case c.Target < 0 || c.Target >= p.n:
		return fmt.Errorf("%w: position %d: must be below %d", ErrSymbol, c.Target, p.n)
	case len(c.Proof) != p.ProofSize():
		return fmt.Errorf("%w: proof of %d hashes: want %d", ErrSymbol, len(c.Proof), p.ProofSize())
	}
	return nil
}

// hashClaims computes the leaf hashes of claims.
func hashClaims(ws *workspace, nodes []Hash, claims []Claim) {
	data := grow(&ws.symbols, len(claims))
	for i := range claims {
		data[i] = claims[i].Data
	}
	leaves := ws.leaves(len(claims))
	leaves.Absorb(data, 0, int64(len(data[0])))
	leaves.Digests(nodes)
}

// wrongClaim returns the first claim whose proof does not lead to its root, or -1. hashes has the claims' leaf hashes,
// and room for twice as many.
func (m *Metadata) wrongClaim(hashes []Hash, axis Axis, claims []Claim) int {
	count := len(claims)
	nodes, left, right := hashes[:count], hashes[count:2*count], hashes[2*count:3*count]
	climbAll(nodes, left, right, m.Params().ProofSize(),
		func(i int) (int, []Hash) { return claims[i].Target, claims[i].Proof })
	for i := range claims {
		if nodes[i] != m.Root(axis, claims[i].Index) {
			return i
		}
	}
	return -1
}

// climbAll replaces each node, the leaf at a position, by the root to which its proof leads. left and right are
// scratch.
func climbAll(nodes, left, right []Hash, levels int, path func(i int) (position int, proof []Hash)) {
	for up := range levels {
		for i := range nodes {
			position, proof := path(i)
			left[i], right[i] = nodes[i], proof[up]
			if position>>up&1 == 1 {
				left[i], right[i] = right[i], left[i]
			}
		}
		treehash.Parents(nodes, left, right)
	}
}

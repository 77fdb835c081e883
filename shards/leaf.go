package shards

import "fmt"

// Leaf states that the symbol at position Target, 0…n−1, of the expansion of sliver Index has the hash Hash. Proof leads
// from it to the sliver's root, as in Symbol. So it names a cell without its bytes.
type Leaf struct {
	Index, Target int
	Hash          Hash
	Proof         []Hash
}

// VerifyLeaves checks leaves of one or several slivers along axis. It returns an error for the first wrong one, which
// wraps ErrSymbol if the leaf is at fault.
func (m *Metadata) VerifyLeaves(axis Axis, leaves []Leaf) error {
	p := m.Params()
	for i := range leaves {
		l := &leaves[i]
		if err := m.check(axis, l.Index); err != nil {
			return err
		}
		if l.Target < 0 || l.Target >= p.n {
			return fmt.Errorf("%w: position %d: must be below %d", ErrSymbol, l.Target, p.n)
		}
		if len(l.Proof) != p.ProofSize() {
			return fmt.Errorf("%w: proof of %d hashes: want %d", ErrSymbol, len(l.Proof), p.ProofSize())
		}
	}
	ws := newWorkspace()
	defer ws.release()
	count := len(leaves)
	hashes := grow(&ws.hashes, 3*count)
	nodes, left, right := hashes[:count], hashes[count:2*count], hashes[2*count:3*count]
	for i := range leaves {
		nodes[i] = leaves[i].Hash
	}
	climb(nodes, left, right, p.ProofSize(), func(i int) (int, []Hash) { return leaves[i].Target, leaves[i].Proof })
	for i := range leaves {
		if nodes[i] != m.Root(axis, leaves[i].Index) {
			return fmt.Errorf("%w: the hash of symbol %d of %s sliver %d does not match its root", ErrSymbol, leaves[i].Target, axis, leaves[i].Index)
		}
	}
	return nil
}

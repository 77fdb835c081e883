package shards

import "fmt"

// VerifyOpenings checks that the leaves stand at targets, 0…n−1, in the expansion of sliver index along axis: one
// opening for each target. It returns an error for the first wrong one, which wraps ErrSymbol if the opening is at
// fault.
func (m *Metadata) VerifyOpenings(axis Axis, index int, targets []int, openings []Opening) error {
	if err := m.check(axis, index); err != nil {
		return err
	}
	if len(openings) != len(targets) {
		return fmt.Errorf("%w: %d hashes of symbols: want %d", ErrSymbol, len(openings), len(targets))
	}
	p, count := m.Params(), len(targets)
	ws := newWorkspace()
	defer ws.release()
	hashes := grow(&ws.hashes, 3*count)
	nodes, left, right := hashes[:count], hashes[count:2*count], hashes[2*count:3*count]
	for i, target := range targets {
		if target < 0 || target >= p.n {
			return fmt.Errorf("%w: position %d: must be below %d", ErrSymbol, target, p.n)
		}
		if len(openings[i].Path) != p.ProofSize() {
			return fmt.Errorf("%w: proof of %d hashes: want %d", ErrSymbol, len(openings[i].Path), p.ProofSize())
		}
		nodes[i] = openings[i].Leaf
	}
	climbAll(nodes, left, right, p.ProofSize(), func(i int) (int, []Hash) { return targets[i], openings[i].Path })
	for i := range nodes {
		if nodes[i] != m.Root(axis, index) {
			return fmt.Errorf("%w: the hash of symbol %d of %s sliver %d does not match its root", ErrSymbol,
				targets[i], axis, index)
		}
	}
	return nil
}

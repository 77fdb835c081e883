package shards

import (
	"math/bits"

	"walrus/shards/treehash"
)

// merkleRoot folds leaves in place; a missing right sibling is 32 zero bytes.
func merkleRoot(level []Hash) Hash {
	for len(level) > 1 {
		level = treehash.Fold(level)
	}
	return level[0]
}

// merkleProofs folds leaves in place and returns, for each target, the siblings on its way to the root, and the root.
func merkleProofs(level []Hash, targets []int) ([][]Hash, Hash) {
	depth := bits.Len(uint(len(level) - 1))
	proofs := make([][]Hash, len(targets))
	for i := range proofs {
		proofs[i] = make([]Hash, 0, depth)
	}
	for up := 0; len(level) > 1; up++ {
		for i, target := range targets {
			var sibling Hash
			if at := target>>up ^ 1; at < len(level) {
				sibling = level[at]
			}
			proofs[i] = append(proofs[i], sibling)
		}
		level = treehash.Fold(level)
	}
	return proofs, level[0]
}

package shards

import "walrus/shards/treehash"

// merkleRoot folds leaves in place; a missing right sibling is 32 zero bytes.
func merkleRoot(level []Hash) Hash {
	for len(level) > 1 {
		level = treehash.Fold(level)
	}
	return level[0]
}

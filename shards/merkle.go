package shards

import (
	"slices"

	"walrus/shards/treehash"
)

// merkleRoot folds leaves in place; a missing right sibling is 32 zero bytes.
func merkleRoot(level []Hash) Hash {
	for len(level) > 1 {
		level = treehash.Fold(level)
	}
	return level[0]
}

// treeOf returns the leaves and each level above them, up to the root. It leaves the leaves as they are.
func treeOf(leaves []Hash) (tree [][]Hash) {
	for level := slices.Clone(leaves); ; level = treehash.Fold(slices.Clone(level)) {
		tree = append(tree, slices.Clip(level))
		if len(level) == 1 {
			return tree
		}
	}
}

// pathIn returns the siblings on the way from leaf at to the root.
func pathIn(tree [][]Hash, at int) []Hash {
	path := make([]Hash, len(tree)-1)
	for up := range path {
		if sibling := at>>up ^ 1; sibling < len(tree[up]) { // else 32 zero bytes
			path[up] = tree[up][sibling]
		}
	}
	return path
}

package shards

import (
	"math/bits"

	"golang.org/x/crypto/blake2b"

	"walrus/shards/treehash"
)

// hashInner is the Merkle inner node H(0x01 ‖ left ‖ right).
func hashInner(l, r *Hash) Hash {
	var b [1 + 2*HashSize]byte
	b[0] = 1
	copy(b[1:], l[:])
	copy(b[1+HashSize:], r[:])
	return blake2b.Sum256(b[:])
}

// hashLeaf is the Merkle leaf H(0x00 ‖ data).
func hashLeaf(data []byte) Hash {
	h, err := blake2b.New256(nil)
	if err != nil {
		panic(err) // only for a key that is too long
	}
	h.Write([]byte{0})
	h.Write(data)
	return Hash(h.Sum(nil))
}

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

// merkleFold is the root that proof gives for the leaf at position target.
func merkleFold(node Hash, target int, proof []Hash) Hash {
	for up := range proof {
		if target>>up&1 == 0 {
			node = hashInner(&node, &proof[up])
		} else {
			node = hashInner(&proof[up], &node)
		}
	}
	return node
}

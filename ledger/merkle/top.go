package merkle

import (
	"crypto/sha256"
	"fmt"
)

const (
	// MaxTopDepth bounds the depth of a Top.
	MaxTopDepth = 12
	// MaxTopSize bounds a Top, in bytes: all subtrees at the greatest depth, and the inner nodes above.
	MaxTopSize = (1<<MaxTopDepth)*(1+32) + 1<<MaxTopDepth
)

// The binary form of a top: its nodes in preorder.
const (
	topEmpty   = 0
	topSubtree = 1 // ‖ hash: a subtree at the depth, or a leaf above it
	topInner   = 2 // ‖ left ‖ right
)

// Top returns the part of the tree down to a depth, at most MaxTopDepth: who has proofs against an older root learns
// from it which of them still hold, see ReadTop and Proof.Subtree.
func (t *Tree) Top(depth int) ([]byte, error) {
	if t == nil {
		return []byte{topEmpty}, nil
	}
	return t.appendTop(nil, t.root, Place{}, min(depth, MaxTopDepth))
}

func (t *Tree) appendTop(b []byte, n node, at Place, depth int) (_ []byte, err error) {
	if n == nil {
		return append(b, topEmpty), nil
	}
	if st, ok := n.(*stub); ok && at.Depth < depth && st.keys > 1 {
		if n, err = t.store.load(st, at); err != nil {
			return nil, err
		}
	}
	if in, ok := n.(*inner); ok && at.Depth < depth {
		if b, err = t.appendTop(append(b, topInner), in.left, at.child(0), depth); err != nil {
			return nil, err
		}
		return t.appendTop(b, in.right, at.child(1), depth)
	}
	h := hashOf(n)
	return append(append(b, topSubtree), h[:]...), nil
}

// ReadTop returns the subtrees in a Top of the tree with this root. A key has a value in that tree if a proof of it, of
// the same depth and whatever its root, goes through one of them. Errors wrap ErrProof.
func ReadTop(root Hash, b []byte, depth int) (subtrees map[Hash]bool, err error) {
	subtrees = make(map[Hash]bool)
	h, rest, err := readTop(b, min(depth, MaxTopDepth), subtrees)
	switch {
	case err != nil:
		return nil, err
	case len(rest) > 0:
		return nil, fmt.Errorf("%w: the top of the tree has %d bytes too many", ErrProof, len(rest))
	case h != root:
		return nil, fmt.Errorf("%w: the top of the tree leads to root %s, not %s", ErrProof, h, root)
	}
	return subtrees, nil
}

func readTop(b []byte, depth int, subtrees map[Hash]bool) (h Hash, rest []byte, err error) {
	switch {
	case len(b) > 0 && b[0] == topEmpty:
		return h, b[1:], nil
	case len(b) > sha256.Size && b[0] == topSubtree:
		rest = b[1+copy(h[:], b[1:]):]
		subtrees[h] = true
		return h, rest, nil
	case len(b) > 0 && b[0] == topInner && depth > 0:
		left, rest, err := readTop(b[1:], depth-1, subtrees)
		if err != nil {
			return h, nil, err
		}
		right, rest, err := readTop(rest, depth-1, subtrees)
		return hashInner(&left, &right), rest, err
	}
	return h, nil, fmt.Errorf("%w: the top of the tree is malformed", ErrProof)
}

// Subtree returns the hash of the subtree at a depth on the way of a proof that key has value, or of the leaf if that
// is higher. It verifies nothing.
func (p Proof) Subtree(key, value []byte, depth int) Hash {
	path, v := Hash(sha256.Sum256(key)), Hash(sha256.Sum256(value))
	return p.climb(&path, hashLeaf(&path, &v), min(depth, MaxTopDepth))
}

// climb returns the hash of the subtree at a depth, from the one at the end of a path.
func (p Proof) climb(path *Hash, h Hash, to int) Hash {
	for depth := len(p.siblings) - 1; depth >= to; depth-- {
		if bit(path, depth) == 0 {
			h = hashInner(&h, &p.siblings[depth])
		} else {
			h = hashInner(&p.siblings[depth], &h)
		}
	}
	return h
}

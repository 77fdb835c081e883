// Package merkle implements the tree whose root stands for the ledger's whole state: a compact sparse Merkle tree
// over keys and values, with proofs that a key has a value or none. The root depends only on the pairs, not on the
// order of changes. Trees are immutable: a change makes a new tree that shares the unchanged parts. They exist only in
// memory, at about 200 bytes per key. Start with Tree.
//
// A key's path is its SHA-256. It leads from the root, one bit per level, the highest bit of the first byte first, 0 to
// the left, down to the subtree that has this key only: its leaf is there. With H = SHA-256 and ‖ for concatenation:
//
//	empty subtree   32 zero bytes
//	leaf            H(0x00 ‖ path ‖ H(value))
//	inner node      H(0x01 ‖ left ‖ right)
package merkle

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"sort"
	"sync"
)

// Hash is a SHA-256, or 32 zero bytes for an empty tree.
type Hash [sha256.Size]byte

// String returns 64 hexadecimal digits.
func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// Change sets a key's value, or removes the key if Value is nil. An empty value is a value.
type Change struct {
	Key, Value []byte
}

// Tree is an immutable set of keys with values. The zero Tree and a nil one are empty. It is safe for concurrent use.
type Tree struct {
	root node // nil if empty
	size int
}

// node is an *inner or a *leaf. Nil is an empty subtree.
type node interface {
	sum() *Hash
}

// inner has at least two keys below it: if one child is empty, the other is an inner, too.
type inner struct {
	hash        Hash
	left, right node
}

type leaf struct {
	hash, path, value Hash
}

func (n *inner) sum() *Hash { return &n.hash }
func (l *leaf) sum() *Hash  { return &l.hash }

// Root returns the root hash; all zeros if the tree is empty.
func (t *Tree) Root() Hash {
	if t == nil {
		return Hash{}
	}
	return hashOf(t.root)
}

// Len returns the number of keys.
func (t *Tree) Len() int {
	if t == nil {
		return 0
	}
	return t.size
}

const (
	// minShare is the least number of changes worth a goroutine: some 50 µs of work.
	minShare = 64
	// hashedAtOnce is the number of changes that a goroutine hashes before it takes more.
	hashedAtOnce = 256
)

// Apply returns a new tree with the changes; the old tree is unchanged. Of several changes to one key the last
// counts. It uses up to workers goroutines, at least one; the result does not depend on their number.
func (t *Tree) Apply(changes []Change, workers int) *Tree {
	if t == nil {
		t = &Tree{}
	}
	if len(changes) == 0 {
		return t
	}
	root, grown := apply(t.root, arrange(hashChanges(changes, workers)), 0, workers)
	return &Tree{root: root, size: t.size + grown}
}

// change is a Change with its path and its value's hash.
type change struct {
	path, value Hash
	remove      bool
	order       int
}

func hashChanges(changes []Change, workers int) []change {
	out := make([]change, len(changes))
	hash := func(from, to int) {
		for i, c := range changes[from:to] {
			out[from+i] = change{path: sha256.Sum256(c.Key), remove: c.Value == nil, order: from + i}
			if c.Value != nil {
				out[from+i].value = sha256.Sum256(c.Value)
			}
		}
	}
	if workers < 2 || len(changes) < 2*hashedAtOnce {
		hash(0, len(changes))
		return out
	}
	parts := make(chan int)
	var all sync.WaitGroup
	for range workers {
		all.Go(func() {
			for from := range parts {
				hash(from, min(from+hashedAtOnce, len(changes)))
			}
		})
	}
	for from := 0; from < len(changes); from += hashedAtOnce {
		parts <- from
	}
	close(parts)
	all.Wait()
	return out
}

// arrange sorts changes by path and keeps the last of each.
func arrange(cs []change) []change {
	slices.SortFunc(cs, func(a, b change) int {
		if c := bytes.Compare(a.path[:], b.path[:]); c != 0 {
			return c
		}
		return b.order - a.order
	})
	return slices.CompactFunc(cs, func(a, b change) bool { return a.path == b.path })
}

// apply makes the subtree at depth with the changes, which are sorted and all belong in it. grown is the number of
// keys gained.
func apply(n node, cs []change, depth, workers int) (result node, grown int) {
	if len(cs) == 0 {
		return n, 0
	}
	in, ok := n.(*inner)
	if !ok {
		return rebuild(n, cs, depth, workers)
	}
	k := split(cs, depth)
	var left, right node
	var more, less int
	both(k, len(cs)-k, workers,
		func(w int) { left, more = apply(in.left, cs[:k], depth+1, w) },
		func(w int) { right, less = apply(in.right, cs[k:], depth+1, w) })
	if left == in.left && right == in.right {
		return in, 0
	}
	return join(left, right), more + less
}

// rebuild does apply's work for an empty subtree or one leaf.
func rebuild(n node, cs []change, depth, workers int) (result node, grown int) {
	old, _ := n.(*leaf)
	leaves := make([]*leaf, 0, len(cs)+1)
	kept := old == nil
	for i := range cs {
		c := &cs[i]
		if !kept {
			switch d := bytes.Compare(old.path[:], c.path[:]); {
			case d < 0:
				leaves, kept = append(leaves, old), true
			case d == 0 && !c.remove && old.value == c.value:
				leaves, kept = append(leaves, old), true
				continue
			case d == 0:
				kept = true
			}
		}
		if !c.remove {
			leaves = append(leaves, &leaf{path: c.path, value: c.value}) // build computes its hash
		}
	}
	if !kept {
		leaves = append(leaves, old)
	}
	grown = len(leaves)
	if old != nil {
		grown--
	}
	return build(leaves, depth, workers), grown
}

// build makes the subtree at depth from sorted leaves, whose hashes need not be set.
func build(leaves []*leaf, depth, workers int) node {
	switch len(leaves) {
	case 0:
		return nil
	case 1:
		l := leaves[0]
		if l.hash == (Hash{}) {
			l.hash = hashLeaf(&l.path, &l.value)
		}
		return l
	}
	k := sort.Search(len(leaves), func(i int) bool { return bit(&leaves[i].path, depth) == 1 })
	var left, right node
	both(k, len(leaves)-k, workers,
		func(w int) { left = build(leaves[:k], depth+1, w) },
		func(w int) { right = build(leaves[k:], depth+1, w) })
	return join(left, right)
}

// both runs the two halves of some work, in parallel if there are workers and each half is worth one. It tells each
// half its number of workers.
func both(leftSize, rightSize, workers int, left, right func(workers int)) {
	if workers < 2 || min(leftSize, rightSize) < minShare {
		if leftSize < rightSize { // give the spare worker to the greater half
			left(1)
			right(workers)
			return
		}
		left(workers)
		right(1)
		return
	}
	var other sync.WaitGroup
	other.Go(func() { left(workers / 2) })
	right(workers - workers/2)
	other.Wait()
}

// join makes a subtree of two halves. A single leaf moves up.
func join(left, right node) node {
	if left == nil {
		if _, ok := right.(*leaf); ok || right == nil {
			return right
		}
	}
	if right == nil {
		if _, ok := left.(*leaf); ok {
			return left
		}
	}
	n := &inner{left: left, right: right}
	l, r := hashOf(left), hashOf(right)
	n.hash = hashInner(&l, &r)
	return n
}

// split returns the number of changes that go to the left at depth.
func split(cs []change, depth int) int {
	return sort.Search(len(cs), func(i int) bool { return bit(&cs[i].path, depth) == 1 })
}

func bit(path *Hash, depth int) byte { return path[depth>>3] >> (7 - depth&7) & 1 }

func hashOf(n node) Hash {
	if n == nil {
		return Hash{}
	}
	return *n.sum()
}

const (
	tagLeaf  = 0
	tagInner = 1
)

func hashLeaf(path, value *Hash) Hash  { return hashPair(tagLeaf, path, value) }
func hashInner(left, right *Hash) Hash { return hashPair(tagInner, left, right) }

func hashPair(tag byte, a, b *Hash) Hash {
	var buf [1 + 2*len(a)]byte
	buf[0] = tag
	copy(buf[1:], a[:])
	copy(buf[1+len(a):], b[:])
	return sha256.Sum256(buf[:])
}

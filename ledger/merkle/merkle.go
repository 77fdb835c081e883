// Package merkle implements the tree whose root stands for the ledger's whole state: a compact sparse Merkle tree
// over keys and values, with proofs that a key has a value or none. The root depends only on the pairs, not on the
// order of changes. Trees are immutable: a change makes a new tree that shares the unchanged parts.
//
// A tree lies in memory, at about 200 bytes per key, or most of it in a Source: a database, which this package does not
// know. Parts are then loaded when needed, checked against the hash that their parent has for them, and kept in a
// bounded Cache. Start with Tree; with Open if it lies in a Source.
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
	"errors"
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

// Tree is an immutable set of keys with values. The zero Tree and a nil one are empty and in memory. It is safe for
// concurrent use.
type Tree struct {
	root  node    // nil if empty
	store *stored // nil if the whole tree is in memory
	// replaced lists the pages in the Source whose subtrees have changed: Save writes or removes them.
	replaced []Place
}

// node is an *inner, a *leaf or a *stub. Nil is an empty subtree.
type node interface {
	sum() *Hash
	count() uint64
}

// inner has at least two keys below it: if one child is empty, the other has more than one key, too.
type inner struct {
	hash        Hash
	keys        uint64
	left, right node
}

type leaf struct {
	hash, path, value Hash
}

// stub stands for a subtree in the Source.
type stub struct {
	hash Hash
	keys uint64
}

func (n *inner) sum() *Hash    { return &n.hash }
func (l *leaf) sum() *Hash     { return &l.hash }
func (s *stub) sum() *Hash     { return &s.hash }
func (n *inner) count() uint64 { return n.keys }
func (l *leaf) count() uint64  { return 1 }
func (s *stub) count() uint64  { return s.keys }

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
	return int(countOf(t.root))
}

const (
	// minShare is the least number of changes worth a goroutine: some 50 µs of work.
	minShare = 64
	// minLoads is minShare where each change may load something: some 100 µs.
	minLoads = 4
	// hashedAtOnce is the number of changes that a goroutine hashes before it takes more.
	hashedAtOnce = 256
)

// Build returns the tree of these changes to an empty one, in memory.
func Build(changes []Change) *Tree {
	t, _ := (*Tree)(nil).Apply(changes, 1) // only loading can fail
	return t
}

// Apply returns a new tree with the changes; the old tree is unchanged. Of several changes to one key the last
// counts. It uses up to workers goroutines, at least one; the result does not depend on their number. It fails only if
// a part cannot be loaded: with the error of the Source, or one that wraps ErrDamaged.
func (t *Tree) Apply(changes []Change, workers int) (*Tree, error) {
	if t == nil {
		t = &Tree{}
	}
	if len(changes) == 0 {
		return t, nil
	}
	a := applying{store: t.store, share: minShare}
	if t.store != nil {
		a.share = minLoads
	}
	root, err := a.apply(t.root, arrange(hashChanges(changes, workers)), 0, workers)
	if err != nil {
		return nil, err
	}
	return &Tree{root: root, store: t.store, replaced: append(t.replaced[:len(t.replaced):len(t.replaced)], a.replaced...)}, nil
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

// applying is one call of Apply.
type applying struct {
	store *stored // constant
	share int     // constant: the least number of changes worth a goroutine

	mu       sync.Mutex
	replaced []Place // guarded by mu
}

// apply makes the subtree at depth with the changes, which are sorted and all belong in it.
func (a *applying) apply(n node, cs []change, depth, workers int) (node, error) {
	if len(cs) == 0 {
		return n, nil
	}
	switch n := n.(type) {
	case *stub:
		at := placeOf(&cs[0].path, depth)
		whole, err := a.store.load(n, at)
		if err != nil {
			return nil, err
		}
		result, err := a.apply(whole, cs, depth, workers)
		if result == whole {
			return n, err
		}
		if n.keys > maxBucket {
			a.mu.Lock()
			a.replaced = append(a.replaced, at)
			a.mu.Unlock()
		}
		return result, err
	case *inner:
		k := split(cs, depth)
		var left, right node
		var err1, err2 error
		both(k, len(cs)-k, workers, a.share,
			func(w int) { left, err1 = a.apply(n.left, cs[:k], depth+1, w) },
			func(w int) { right, err2 = a.apply(n.right, cs[k:], depth+1, w) })
		if err := errors.Join(err1, err2); err != nil {
			return nil, err
		}
		if left == n.left && right == n.right {
			return n, nil
		}
		return join(left, right), nil
	}
	return rebuild(n, cs, depth, workers), nil
}

// rebuild does apply's work for an empty subtree or one leaf.
func rebuild(n node, cs []change, depth, workers int) node {
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
	return build(leaves, depth, workers)
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
	if workers < 2 {
		return join(build(leaves[:k], depth+1, 1), build(leaves[k:], depth+1, 1))
	}
	var left, right node
	both(k, len(leaves)-k, workers, minShare,
		func(w int) { left = build(leaves[:k], depth+1, w) },
		func(w int) { right = build(leaves[k:], depth+1, w) })
	return join(left, right)
}

// both runs the two halves of some work, in parallel if there are workers and each half has a share worth one. It tells
// each half its number of workers.
func both(leftSize, rightSize, workers, share int, left, right func(workers int)) {
	if workers < 2 || min(leftSize, rightSize) < share {
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
	l, r := countOf(left), countOf(right)
	switch {
	case l == 0 && r <= 1:
		return right
	case r == 0 && l <= 1:
		return left
	}
	n := &inner{keys: l + r, left: left, right: right}
	lh, rh := hashOf(left), hashOf(right)
	n.hash = hashInner(&lh, &rh)
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

func countOf(n node) uint64 {
	if n == nil {
		return 0
	}
	return n.count()
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

package merkle

import (
	"fmt"
	"iter"
)

// BuildPages makes the pages of the tree with these leaves, which must ascend by path, and passes them to write. It
// needs no memory that grows with their number. It returns the tree's root and number of keys. Errors are those of
// leaves and write.
func BuildPages(leaves iter.Seq2[Leaf, error], write func(at Place, page []byte) error) (root Hash, keys uint64, err error) {
	next, stop := iter.Pull2(leaves)
	defer stop()
	b := builder{next: next, saving: saving{write: write}}
	n, err := b.subtree(Place{})
	if err == nil {
		n, err = b.saving.node(n, Place{})
	}
	return hashOf(n), countOf(n), err
}

// builder makes subtrees from a stream of leaves.
type builder struct {
	next   func() (Leaf, error, bool)
	ahead  []*leaf // read, but not yet in a subtree
	last   *leaf   // the last one read
	ended  bool
	saving saving
}

// read makes ahead hold the leaves at a place, or maxBucket+1 of them. It returns their number.
func (b *builder) read(at Place) (n int, err error) {
	for {
		for n < len(b.ahead) && n <= maxBucket && at.has(&b.ahead[n].path) {
			n++
		}
		if n < len(b.ahead) || n > maxBucket || b.ended {
			return n, nil
		}
		l, err, ok := b.next()
		if err != nil {
			return 0, err
		}
		if b.ended = !ok; b.ended {
			continue
		}
		if b.last != nil && compare(&b.last.path, &l.Path) >= 0 {
			return 0, fmt.Errorf("path %s follows %s: want ascending paths", l.Path, b.last.path)
		}
		b.last = &leaf{path: l.Path, value: l.Value}
		b.ahead = append(b.ahead, b.last)
	}
}

// subtree makes the subtree at a place from the next leaves.
func (b *builder) subtree(at Place) (node, error) {
	n, err := b.read(at)
	if err != nil {
		return nil, err
	}
	if n <= maxBucket {
		bucket := build(b.ahead[:n], at.Depth, 1)
		b.ahead = append(b.ahead[:0], b.ahead[n:]...)
		return b.saving.node(bucket, at)
	}
	left, err := b.subtree(at.child(0))
	if err != nil {
		return nil, err
	}
	right, err := b.subtree(at.child(1))
	if err != nil || at.Depth%pageLevels != 0 {
		return join(left, right), err
	}
	return b.saving.node(join(left, right), at)
}

package merkle

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
)

// In a Source, a tree has two kinds of parts:
//
//   - A bucket is a subtree with at most maxBucket keys that is not within a greater bucket. Its leaves are read from
//     the state itself: nothing else is stored for it.
//   - A page has the inner nodes of a subtree with more keys, at a depth divisible by pageLevels, down to the next such
//     depth. Where a bucket or another page begins, it has that one's hash and number of keys.
//
// So the pages depend on the pairs only, as the root does.
const (
	// maxBucket: a greater one means fewer pages (36 bytes for each bucket, which has 24 keys on average), but more
	// records to read and hash when something in it is used for the first time.
	maxBucket = 32
	// pageLevels is the number of levels in a page. A block writes all pages above each changed key. With 1,000 random
	// changes among millions of keys, pages of 2 and 3 levels make the fewest bytes, and 3 need fewer reads.
	pageLevels = 3
	// maxPage bounds a page, in bytes: a version, 2^pageLevels − 1 inner nodes and 2^pageLevels hashes with numbers.
	maxPage = 1 + (1<<pageLevels - 1) + (1<<pageLevels)*(1+binary.MaxVarintLen64+sha256.Size)
)

// ErrDamaged reports that a part of the tree in the Source is not the one that its parent has the hash of.
var ErrDamaged = errors.New("the stored tree is damaged")

// Place names a subtree: all paths that begin with the same bits.
type Place struct {
	Depth  int  // number of bits
	Prefix Hash // the bits, then zeros
}

// String returns the depth, a slash and the prefix in hexadecimal, in as many bytes as it needs.
func (p Place) String() string { return fmt.Sprintf("%d/%x", p.Depth, p.Prefix[:(p.Depth+7)/8]) }

// Bytes returns the binary form: the depth u8, then the bytes of the prefix that have any of its bits.
func (p Place) Bytes() []byte { return append([]byte{byte(p.Depth)}, p.Prefix[:(p.Depth+7)/8]...) }

// Last returns the last path at the place. The first is Prefix.
func (p Place) Last() Hash {
	last := p.Prefix
	for i := p.Depth; i < maxDepth; i++ {
		last[i>>3] |= 1 << (7 - i&7)
	}
	return last
}

func (p Place) has(path *Hash) bool { return placeOf(path, p.Depth).Prefix == p.Prefix }

// child returns the place of the left (0) or right (1) half.
func (p Place) child(right byte) Place {
	p.Prefix[p.Depth>>3] |= right << (7 - p.Depth&7)
	p.Depth++
	return p
}

// placeOf returns the place of the subtree at depth that a path leads to.
func placeOf(path *Hash, depth int) Place {
	p := Place{Depth: depth}
	n := copy(p.Prefix[:], path[:(depth+7)/8])
	if depth&7 != 0 {
		p.Prefix[n-1] &= 0xff << (8 - depth&7)
	}
	return p
}

// The binary form of a page: a version u8, then its nodes in preorder:
//
//	0                                  empty
//	1 ‖ number of keys uvarint ‖ hash  a bucket, or a page below
//	2 ‖ left ‖ right                   an inner node
const (
	pageVersion = 1

	tagEmpty = 0
	tagStub  = 1
	tagBoth  = 2
)

// parsePage decodes the page at a place. It computes the hashes and numbers of keys of the inner nodes.
func parsePage(b []byte, at Place) (node, error) {
	if len(b) == 0 || len(b) > maxPage || b[0] != pageVersion {
		return nil, fmt.Errorf("page of %d bytes, or of another version", len(b))
	}
	n, rest, err := parseNode(b[1:], at.Depth, at.Depth+pageLevels)
	if err == nil && len(rest) > 0 {
		err = fmt.Errorf("%d bytes after the page", len(rest))
	}
	return n, err
}

var errPage = errors.New("malformed page")

// parseNode decodes the node at a depth of a page that ends at another.
func parseNode(b []byte, depth, end int) (n node, rest []byte, err error) {
	if len(b) == 0 {
		return nil, nil, errPage
	}
	tag, b := b[0], b[1:]
	switch tag {
	case tagEmpty:
		return nil, b, nil
	case tagStub:
		keys, used := binary.Uvarint(b)
		if used <= 0 || used > 1 && b[used-1] == 0 || len(b) < used+sha256.Size || keys == 0 || keys > maxBucket && depth < end {
			return nil, nil, errPage
		}
		s := &stub{keys: keys}
		return s, b[used+copy(s.hash[:], b[used:]):], nil
	case tagBoth:
		if depth >= min(end, maxDepth) {
			return nil, nil, errPage
		}
		left, b, err := parseNode(b, depth+1, end)
		if err != nil {
			return nil, nil, err
		}
		right, b, err := parseNode(b, depth+1, end)
		if err != nil {
			return nil, nil, err
		}
		if n = join(left, right); countOf(n) <= maxBucket {
			return nil, nil, errPage
		}
		return n, b, nil
	}
	return nil, nil, errPage
}

// saving writes the parts of a tree into pages.
type saving struct {
	cache *Cache // nil: none
	write func(at Place, page []byte) error
	wrote map[Place]bool // nil: not needed
}

// node writes the pages of a subtree that are in memory, and returns a stub for it, or nil if it is empty.
func (s *saving) node(n node, at Place) (node, error) {
	switch n := n.(type) {
	case nil:
		return nil, nil
	case *stub:
		return n, nil
	}
	short := &stub{hash: *n.sum(), keys: n.count()}
	if short.keys <= maxBucket {
		s.cache.putBucket(n)
		return short, nil
	}
	page := []byte{pageVersion}
	top, err := s.part(&page, n, at, at.Depth+pageLevels)
	if err != nil {
		return nil, err
	}
	if s.wrote != nil {
		s.wrote[at] = true
	}
	s.cache.putPage(top)
	return short, s.write(at, page)
}

// part appends a node to its page, which ends at a depth, and returns it with stubs for the parts below.
func (s *saving) part(page *[]byte, n node, at Place, end int) (node, error) {
	in, _ := n.(*inner)
	if in == nil || in.keys <= maxBucket || at.Depth == end {
		short, err := s.node(n, at)
		if short == nil || err != nil {
			*page = append(*page, tagEmpty)
			return nil, err
		}
		*page = binary.AppendUvarint(append(*page, tagStub), short.count())
		*page = append(*page, short.sum()[:]...)
		return short, nil
	}
	*page = append(*page, tagBoth)
	left, err1 := s.part(page, in.left, at.child(0), end)
	right, err2 := s.part(page, in.right, at.child(1), end)
	if left == in.left && right == in.right {
		return in, errors.Join(err1, err2)
	}
	return &inner{hash: in.hash, keys: in.keys, left: left, right: right}, errors.Join(err1, err2)
}

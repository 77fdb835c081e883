package merkle

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
)

// MaxRangeProofSize bounds the binary form of a RangeProof, in bytes. With a million keys it is about 700.
const MaxRangeProofSize = 2 * (4 + maxDepth*sha256.Size + 1 + 2*sha256.Size)

// RangeProof shows that some leaves are all the leaves whose paths lie in an interval. It has what the tree has outside
// the interval, along its two edges: the paths of its first and last path. The zero RangeProof shows that an empty tree
// has no leaves.
type RangeProof struct {
	low, high edge
}

// edge holds the hashes of a tree along a path at an end of an interval, outside the interval.
type edge struct {
	depth    int    // number of inner nodes on the path
	siblings []Hash // of the nodes below them on the side away from the interval, from the root down
	outside  bool   // the path ends at a leaf outside the interval
	leaf     Leaf   // that leaf
}

// NewRangeProof makes the proof for all leaves with paths from first to last, both included. low and high are the
// proofs of the paths first and last, from one tree.
func NewRangeProof(first, last Hash, low, high Proof) RangeProof {
	p := RangeProof{low: newEdge(&first, &last, &first, 1, low), high: newEdge(&first, &last, &last, 0, high)}
	if p.low.outside && p.high.outside && p.low.leaf == p.high.leaf {
		p.high.outside, p.high.leaf = false, Leaf{}
	}
	return p
}

// newEdge makes the edge along path. The interval is on the other side of a node's child wherever path goes to side.
func newEdge(first, last, path *Hash, side byte, proof Proof) edge {
	e := edge{depth: len(proof.siblings)}
	for depth, sibling := range proof.siblings {
		if bit(path, depth) == side {
			e.siblings = append(e.siblings, sibling)
		}
	}
	if proof.other && !within(&proof.path, first, last) {
		e.outside, e.leaf = true, Leaf{proof.path, proof.value}
	}
	return e
}

func within(path, first, last *Hash) bool {
	return bytes.Compare(path[:], first[:]) >= 0 && bytes.Compare(path[:], last[:]) <= 0
}

// VerifyRange checks that a tree with this root has exactly the given leaves with paths from first to last, both
// included. next returns them one after the other in ascending order of their paths; false after the last. Memory does
// not grow with their number. Errors wrap ErrProof.
func VerifyRange(root, first, last Hash, next func() (Leaf, bool), p RangeProof) error {
	if bytes.Compare(first[:], last[:]) > 0 {
		return fmt.Errorf("%w: the interval from %s to %s is empty", ErrProof, first, last)
	}
	for _, e := range []*edge{&p.low, &p.high} {
		if e.depth < 0 || e.depth > maxDepth {
			return fmt.Errorf("%w: %d levels: at most %d", ErrProof, e.depth, maxDepth)
		}
	}
	v := ranging{first: &first, last: &last, next: next, low: p.low, high: p.high}
	v.read()
	v.read()
	h := v.edges(new(Hash), 0, true, true)
	if v.fault == "" && (v.has > 0 || len(v.low.siblings) > 0 || len(v.high.siblings) > 0) {
		v.fail("it has more leaves or hashes than there is room for")
	}
	if v.fault != "" {
		return fmt.Errorf("%w: %s", ErrProof, v.fault)
	}
	if h != root {
		return fmt.Errorf("%w: it leads to root %s, not %s", ErrProof, h, root)
	}
	return nil
}

// ranging computes a root from leaves and a proof. Every part of the tree that touches the interval is computed from
// the leaves, so none can be left out; hashes are taken from the proof only for parts wholly outside.
type ranging struct {
	first, last *Hash
	next        func() (Leaf, bool)
	low, high   edge    // their siblings are those left to use
	ahead       [2]Leaf // the next leaves
	has         int     // number of leaves in ahead
	ended       bool    // next has no more
	fault       string  // the first thing that was wrong
}

func (v *ranging) fail(text string) {
	if v.fault == "" {
		v.fault = text
	}
}

// read reads one more leaf ahead, if there is one.
func (v *ranging) read() {
	if v.ended {
		return
	}
	l, ok := v.next()
	if !ok {
		v.ended = true
		return
	}
	if !within(&l.Path, v.first, v.last) || v.has > 0 && bytes.Compare(v.ahead[v.has-1].Path[:], l.Path[:]) >= 0 {
		v.fail("a leaf is outside the interval or out of order")
	}
	v.ahead[v.has] = l
	v.has++
}

// sharesPrefix reports whether two paths begin with the same depth bits.
func sharesPrefix(a, b *Hash, depth int) bool {
	n := depth / 8
	return bytes.Equal(a[:n], b[:n]) && (depth%8 == 0 || (a[n]^b[n])>>(8-depth%8) == 0)
}

// count returns the number of leaves ahead in the subtree at prefix: 2 stands for 2 or more.
func (v *ranging) count(prefix *Hash, depth int) (n int) {
	for n < v.has && sharesPrefix(&v.ahead[n].Path, prefix, depth) {
		n++
	}
	return n
}

// inside returns the hash of a subtree inside the interval.
func (v *ranging) inside(prefix *Hash, depth int) Hash {
	switch v.count(prefix, depth) {
	case 0:
		return Hash{}
	case 1:
		return v.takeLeaf()
	}
	if depth == maxDepth || v.fault != "" { // two leaves with one path: read has found the fault
		v.fail("a leaf comes twice")
		return Hash{}
	}
	left := v.inside(prefix, depth+1)
	right := *prefix
	right[depth>>3] |= 1 << (7 - depth&7)
	h := v.inside(&right, depth+1)
	return hashInner(&left, &h)
}

func (v *ranging) takeLeaf() Hash {
	h := hashLeaf(&v.ahead[0].Path, &v.ahead[0].Value)
	v.has--
	v.ahead[0] = v.ahead[1]
	v.read()
	return h
}

// edges returns the hash of a subtree that first leads to, or last, or both.
func (v *ranging) edges(prefix *Hash, depth int, onLow, onHigh bool) Hash {
	if !onLow && !onHigh {
		return v.inside(prefix, depth)
	}
	endLow, endHigh := onLow && depth == v.low.depth, onHigh && depth == v.high.depth
	if onLow && onHigh && endLow != endHigh {
		v.fail("its two edges part where they cannot")
	}
	if v.fault != "" {
		return Hash{}
	}
	if endLow || endHigh {
		return v.end(prefix, depth, endLow, endHigh)
	}
	var left, right Hash
	down := *prefix
	down[depth>>3] |= 1 << (7 - depth&7)
	lowRight, highRight := bit(v.first, depth) == 1, bit(v.last, depth) == 1
	if onHigh && !highRight { // before its turn: siblings come from the root down
		right = v.sibling(&v.high)
	}
	if onLow && lowRight {
		left = v.sibling(&v.low)
	} else {
		left = v.edges(prefix, depth+1, onLow, onHigh && !highRight)
	}
	if !onHigh || highRight {
		right = v.edges(&down, depth+1, onLow && lowRight, onHigh)
	}
	return hashInner(&left, &right)
}

func (v *ranging) sibling(e *edge) (h Hash) {
	if len(e.siblings) == 0 {
		v.fail("hashes are missing")
		return h
	}
	h, e.siblings = e.siblings[0], e.siblings[1:]
	return h
}

// end returns the hash of a subtree with one leaf or none, at the end of an edge.
func (v *ranging) end(prefix *Hash, depth int, low, high bool) Hash {
	e := &v.low
	if !low || high && v.high.outside {
		e = &v.high
	}
	inside := v.count(prefix, depth)
	switch {
	case low && high && v.low.outside && v.high.outside, e.outside && inside > 0, inside > 1:
		v.fail("an edge ends above several leaves")
	case e.outside && (within(&e.leaf.Path, v.first, v.last) || !sharesPrefix(&e.leaf.Path, prefix, depth)):
		v.fail("an edge ends at a leaf that does not belong there")
	case e.outside:
		return hashLeaf(&e.leaf.Path, &e.leaf.Value)
	case inside == 1:
		return v.takeLeaf()
	}
	return Hash{}
}

// Marshal returns the binary form: low edge, then high edge. An edge is the number of inner nodes u16 and of
// hashes u16, little-endian, the hashes, then a byte: 0, or 1 followed by path and value hash of the leaf outside the
// interval.
func (p RangeProof) Marshal() []byte {
	b := make([]byte, 0, 2*(5+2*sha256.Size)+sha256.Size*(len(p.low.siblings)+len(p.high.siblings)))
	return p.high.marshal(p.low.marshal(b))
}

func (e *edge) marshal(b []byte) []byte {
	b = binary.LittleEndian.AppendUint16(b, uint16(e.depth))
	b = binary.LittleEndian.AppendUint16(b, uint16(len(e.siblings)))
	for i := range e.siblings {
		b = append(b, e.siblings[i][:]...)
	}
	if !e.outside {
		return append(b, 0)
	}
	b = append(append(b, 1), e.leaf.Path[:]...)
	return append(b, e.leaf.Value[:]...)
}

// UnmarshalRangeProof decodes exactly one binary form. Errors wrap ErrFormat.
func UnmarshalRangeProof(b []byte) (p RangeProof, err error) {
	if len(b) > MaxRangeProofSize {
		return RangeProof{}, fmt.Errorf("%w: %d bytes: at most %d", ErrFormat, len(b), MaxRangeProofSize)
	}
	rest := b
	for _, e := range []*edge{&p.low, &p.high} {
		if rest, err = e.unmarshal(rest); err != nil {
			return RangeProof{}, err
		}
	}
	if len(rest) > 0 {
		return RangeProof{}, fmt.Errorf("%w: %d bytes too many", ErrFormat, len(rest))
	}
	return p, nil
}

func (e *edge) unmarshal(b []byte) (rest []byte, err error) {
	if len(b) < 5 {
		return nil, fmt.Errorf("%w: it ends within an edge", ErrFormat)
	}
	depth, count := int(binary.LittleEndian.Uint16(b)), int(binary.LittleEndian.Uint16(b[2:]))
	if b = b[4:]; depth > maxDepth || count > depth || len(b) < count*sha256.Size+1 {
		return nil, fmt.Errorf("%w: %d hashes on %d levels in %d bytes", ErrFormat, count, depth, len(b))
	}
	e.depth = depth
	if count > 0 {
		e.siblings = make([]Hash, count)
	}
	for i := range e.siblings {
		b = b[copy(e.siblings[i][:], b):]
	}
	tag, b := b[0], b[1:]
	switch {
	case tag == 0:
		return b, nil
	case tag == 1 && len(b) >= 2*sha256.Size:
		e.outside = true
		b = b[copy(e.leaf.Path[:], b):]
		return b[copy(e.leaf.Value[:], b):], nil
	}
	return nil, fmt.Errorf("%w: tag %d with %d bytes after it", ErrFormat, tag, len(b))
}

// Compare orders paths.
func (h Hash) Compare(other Hash) int { return bytes.Compare(h[:], other[:]) }

// Next returns the path after h; false after the last.
func (h Hash) Next() (Hash, bool) {
	for i := len(h) - 1; i >= 0; i-- {
		if h[i]++; h[i] != 0 {
			return h, true
		}
	}
	return h, false
}

package merkle

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
)

var (
	// ErrProof reports a proof that does not prove the claim.
	ErrProof = errors.New("proof does not hold")
	// ErrFormat reports bytes that are not the binary form of a proof.
	ErrFormat = errors.New("malformed proof")
)

const (
	// maxDepth is the length of a path in bits.
	maxDepth = 8 * sha256.Size
	// MaxProofSize bounds the binary form of a proof, in bytes. With a million keys it is about 700.
	MaxProofSize = 2 + maxDepth*sha256.Size + 1 + 2*sha256.Size
)

// Proof shows the leaf at a key's path: the key's own, none, or another key's. The zero Proof shows that an empty
// tree has no leaf.
type Proof struct {
	siblings []Hash // from the root down
	other    bool   // the path ends at another key's leaf
	path     Hash   // of the other leaf
	value    Hash   // of the other leaf
}

// Prove makes a proof of the key's value, or of its absence. The proof shares no memory with the tree. It fails only if
// a part of the tree cannot be loaded: see Apply.
func (t *Tree) Prove(key []byte) (Proof, error) { return t.ProvePath(sha256.Sum256(key)) }

// ProvePath is Prove for the key with this path, if there is one.
func (t *Tree) ProvePath(path Hash) (Proof, error) {
	var p Proof
	if t == nil {
		return p, nil
	}
	n := t.root
	for depth := 0; ; {
		switch m := n.(type) {
		case *inner:
			next, sibling := m.left, m.right
			if bit(&path, depth) == 1 {
				next, sibling = sibling, next
			}
			p.siblings = append(p.siblings, hashOf(sibling))
			n = next
			depth++
			continue
		case *stub:
			var err error
			if n, err = t.store.load(m, placeOf(&path, depth)); err != nil {
				return Proof{}, err
			}
			continue
		case *leaf:
			if m.path != path {
				p.other, p.path, p.value = true, m.path, m.value
			}
		}
		return p, nil
	}
}

// Verify checks that in the tree with this root the key has the value, or none if value is nil. Errors wrap ErrProof.
func Verify(root Hash, key, value []byte, p Proof) error {
	if len(p.siblings) > maxDepth {
		return fmt.Errorf("%w: %d levels: at most %d", ErrProof, len(p.siblings), maxDepth)
	}
	path := Hash(sha256.Sum256(key))
	var h Hash
	switch {
	case value != nil && p.other:
		return fmt.Errorf("%w: it shows the leaf of another key", ErrProof)
	case value != nil:
		v := Hash(sha256.Sum256(value))
		h = hashLeaf(&path, &v)
	case p.other:
		if p.path == path {
			return fmt.Errorf("%w: it shows a leaf of the key that should be absent", ErrProof)
		}
		for depth := range p.siblings {
			if bit(&p.path, depth) != bit(&path, depth) {
				return fmt.Errorf("%w: the leaf it shows is not on the key's path", ErrProof)
			}
		}
		h = hashLeaf(&p.path, &p.value)
	}
	if h = p.climb(&path, h, 0); h != root {
		return fmt.Errorf("%w: it leads to root %s, not %s", ErrProof, h, root)
	}
	return nil
}

// Marshal returns the binary form: the number of siblings as u16 little-endian, the siblings from the root down, then
// a byte: 0, or 1 followed by path and value hash of the other key's leaf.
func (p Proof) Marshal() []byte {
	b := make([]byte, 0, 2+len(p.siblings)*sha256.Size+1+2*sha256.Size)
	b = binary.LittleEndian.AppendUint16(b, uint16(len(p.siblings)))
	for i := range p.siblings {
		b = append(b, p.siblings[i][:]...)
	}
	if !p.other {
		return append(b, 0)
	}
	b = append(b, 1)
	b = append(b, p.path[:]...)
	return append(b, p.value[:]...)
}

// UnmarshalProof decodes exactly one binary form. Errors wrap ErrFormat.
func UnmarshalProof(b []byte) (Proof, error) {
	if len(b) < 3 || len(b) > MaxProofSize {
		return Proof{}, fmt.Errorf("%w: %d bytes: want 3 to %d", ErrFormat, len(b), MaxProofSize)
	}
	count, rest := int(binary.LittleEndian.Uint16(b)), b[2:]
	if count > maxDepth || len(rest) < count*sha256.Size+1 {
		return Proof{}, fmt.Errorf("%w: %d siblings in %d bytes", ErrFormat, count, len(b))
	}
	var p Proof
	if count > 0 {
		p.siblings = make([]Hash, count)
	}
	for i := range p.siblings {
		rest = rest[copy(p.siblings[i][:], rest):]
	}
	tag, rest := rest[0], rest[1:]
	switch {
	case tag == 0 && len(rest) == 0:
	case tag == 1 && len(rest) == 2*sha256.Size:
		p.other = true
		copy(p.value[:], rest[copy(p.path[:], rest):])
	default:
		return Proof{}, fmt.Errorf("%w: tag %d with %d bytes after it", ErrFormat, tag, len(rest))
	}
	return p, nil
}

package merkle

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// all is a set of pairs with its leaves in order.
type ordered struct {
	tree   *Tree
	leaves []Leaf
}

func newOrdered(n int) ordered {
	o := ordered{tree: grow(n, 1)}
	for i := range n {
		o.leaves = append(o.leaves, Leaf{sha256.Sum256(numbered(i)), sha256.Sum256(numbered(i))})
	}
	slices.SortFunc(o.leaves, func(a, b Leaf) int { return bytes.Compare(a.Path[:], b.Path[:]) })
	return o
}

func (o ordered) between(first, last Hash) (in []Leaf) {
	for _, l := range o.leaves {
		if within(&l.Path, &first, &last) {
			in = append(in, l)
		}
	}
	return in
}

func (o ordered) prove(first, last Hash) RangeProof {
	return NewRangeProof(first, last, provePath(o.tree, first), provePath(o.tree, last))
}

func streamed(leaves []Leaf) func() (Leaf, bool) {
	return func() (l Leaf, ok bool) {
		if len(leaves) == 0 {
			return l, false
		}
		l, leaves = leaves[0], leaves[1:]
		return l, true
	}
}

var lastPath = Hash(bytes.Repeat([]byte{255}, sha256.Size))

// interval draws an interval: some ends are paths of leaves, or near them.
func (o ordered) interval(r *rand.Rand) (first, last Hash) {
	end := func() (h Hash) {
		if len(o.leaves) > 0 {
			h = o.leaves[r.IntN(len(o.leaves))].Path
		}
		switch r.IntN(5) {
		case 0:
			h, _ = h.Next()
		case 1:
			binary.BigEndian.PutUint64(h[:], r.Uint64())
		case 2:
			h[r.IntN(3)] ^= 1 << r.IntN(8)
		case 3:
			h = [2]Hash{{}, lastPath}[r.IntN(2)]
		}
		return h
	}
	first, last = end(), end()
	if bytes.Compare(first[:], last[:]) > 0 {
		first, last = last, first
	}
	return first, last
}

// The proofs of all intervals hold. With one leaf left out, added, changed or moved, none does.
func TestRangeProofs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := newOrdered(rapid.SampledFrom([]int{0, 1, 2, 3, 7, 40, 300}).Draw(t, "keys"))
		r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
		root := o.tree.Root()
		first, last := o.interval(r)
		leaves := o.between(first, last)
		p, err := UnmarshalRangeProof(o.prove(first, last).Marshal())
		if err != nil {
			t.Fatal(err)
		}
		if err := VerifyRange(root, first, last, streamed(leaves), p); err != nil {
			t.Fatalf("%d leaves from %s to %s: %v", len(leaves), first, last, err)
		}
		refused := func(what string, leaves []Leaf) {
			if err := VerifyRange(root, first, last, streamed(leaves), p); !errors.Is(err, ErrProof) {
				t.Fatalf("%s: %v, want ErrProof", what, err)
			}
		}
		added := Leaf{Path: first, Value: Hash{1}}
		if i, found := slices.BinarySearchFunc(leaves, first, func(l Leaf, h Hash) int {
			return bytes.Compare(l.Path[:], h[:])
		}); !found {
			refused("one added", slices.Insert(slices.Clone(leaves), i, added))
		}
		if len(leaves) > 0 {
			i := r.IntN(len(leaves))
			refused("one left out", slices.Delete(slices.Clone(leaves), i, i+1))
			other := slices.Clone(leaves)
			other[i].Value[3] ^= 4
			refused("a value changed", other)
			refused("one twice", slices.Insert(slices.Clone(leaves), i, leaves[i]))
			refused("none", nil)
		}
		if len(leaves) > 1 {
			i := r.IntN(len(leaves) - 1)
			other := slices.Clone(leaves)
			other[i], other[i+1] = other[i+1], other[i]
			refused("out of order", other)
			other = slices.Clone(leaves)
			other[i].Value, other[i+1].Value = other[i+1].Value, other[i].Value
			refused("values swapped", other)
		}
	})
}

// The leaves of a wider interval, or of a narrower one, with any proofs of the tree, do not pass for another's.
func TestRangeProofsOfOthers(t *testing.T) {
	o := newOrdered(60)
	r := rand.New(rand.NewPCG(1, 2))
	root := o.tree.Root()
	for range 3000 {
		first, last := o.interval(r)
		from, to := o.interval(r)
		leaves := o.between(from, to)
		honest := o.between(first, last)
		err := VerifyRange(root, first, last, streamed(leaves), o.prove(from, to))
		if err == nil && !slices.Equal(leaves, honest) {
			t.Fatalf("leaves from %s to %s pass for those from %s to %s", from, to, first, last)
		}
		if err := VerifyRange(Hash{7}, first, last, streamed(honest), o.prove(first, last)); !errors.Is(err, ErrProof) {
			t.Fatalf("another root: %v", err)
		}
	}
}

// Intervals one after the other are the whole tree: nothing between them is lost.
func TestRangesInTurn(t *testing.T) {
	o := newOrdered(500)
	r := rand.New(rand.NewPCG(3, 4))
	var got []Leaf
	for first, more := (Hash{}), true; more; {
		in := o.between(first, lastPath)
		n := min(len(in), 1+r.IntN(40))
		last := lastPath
		if n < len(in) {
			last = in[n-1].Path
		}
		if err := VerifyRange(o.tree.Root(), first, last, streamed(in[:n]), o.prove(first, last)); err != nil {
			t.Fatal(err)
		}
		got = append(got, in[:n]...)
		first, more = last.Next()
	}
	if !slices.Equal(got, o.leaves) {
		t.Fatalf("%d leaves, want %d", len(got), len(o.leaves))
	}
}

// Every flipped bit of a proof is found.
func TestForgedRangeProofs(t *testing.T) {
	o := newOrdered(60)
	r := rand.New(rand.NewPCG(5, 6))
	for range 40 {
		first, last := o.interval(r)
		b := o.prove(first, last).Marshal()
		for at := range 8 * len(b) {
			forged := bytes.Clone(b)
			forged[at/8] ^= 1 << (at % 8)
			p, err := UnmarshalRangeProof(forged)
			if err == nil {
				err = VerifyRange(o.tree.Root(), first, last, streamed(o.between(first, last)), p)
			}
			if !errors.Is(err, ErrProof) && !errors.Is(err, ErrFormat) {
				t.Fatalf("from %s to %s: bit %d of %d flipped: %v", first, last, at, 8*len(b), err)
			}
		}
		for n := range len(b) {
			if _, err := UnmarshalRangeProof(b[:n]); !errors.Is(err, ErrFormat) {
				t.Fatalf("%d of %d bytes: %v, want ErrFormat", n, len(b), err)
			}
		}
	}
}

// Verifying takes no memory for the leaves.
func TestRangeMemory(t *testing.T) {
	o := newOrdered(4000)
	few, many := o.between(Hash{}, Hash{8}), o.leaves
	proofs := []RangeProof{o.prove(Hash{}, Hash{8}), o.prove(Hash{}, lastPath)}
	allocs := func(leaves []Leaf, last Hash, p RangeProof) float64 {
		return testing.AllocsPerRun(10, func() {
			if err := VerifyRange(o.tree.Root(), Hash{}, last, streamed(leaves), p); err != nil {
				t.Fatal(err)
			}
		})
	}
	small, large := allocs(few, Hash{8}, proofs[0]), allocs(many, lastPath, proofs[1])
	if large > 2*small+100 {
		t.Errorf("%v allocations for %d leaves, %v for %d", large, len(many), small, len(few))
	}
}

// FuzzRangeProof takes proofs and leaves of any form: they neither panic nor prove anything but the truth.
func FuzzRangeProof(f *testing.F) {
	o := newOrdered(60)
	r := rand.New(rand.NewPCG(7, 8))
	for range 30 {
		first, last := o.interval(r)
		f.Add(o.prove(first, last).Marshal(), first[:], last[:], int64(0), uint16(60), []byte{})
	}
	f.Fuzz(func(t *testing.T, b, from, to []byte, skip int64, take uint16, extra []byte) {
		p, err := UnmarshalRangeProof(b)
		if err != nil {
			if !errors.Is(err, ErrFormat) {
				t.Fatal(err)
			}
			return
		}
		if !bytes.Equal(p.Marshal(), b) {
			t.Fatalf("% x has another form: % x", b, p.Marshal())
		}
		var first, last Hash
		copy(first[:], from)
		copy(last[:], to)
		honest := o.between(first, last)
		leaves := slices.Clone(honest)
		if len(leaves) > 0 && skip > 0 {
			i := int(skip % int64(len(leaves)))
			leaves = slices.Delete(leaves, i, i+1)
		}
		leaves = leaves[:min(int(take), len(leaves))]
		for len(extra) >= 2*sha256.Size {
			leaves = append(leaves, Leaf{Hash(extra[:sha256.Size]), Hash(extra[sha256.Size : 2*sha256.Size])})
			extra = extra[2*sha256.Size:]
		}
		err = VerifyRange(o.tree.Root(), first, last, streamed(leaves), p)
		if err != nil && !errors.Is(err, ErrProof) {
			t.Fatal(err)
		}
		if err == nil && !slices.Equal(leaves, honest) {
			t.Fatalf("%d leaves pass for %d", len(leaves), len(honest))
		}
	})
}

func BenchmarkVerifyRange(b *testing.B) {
	o := newOrdered(100_000)
	last := Hash{16}
	leaves, p := o.between(Hash{}, last), o.prove(Hash{}, last)
	b.ReportMetric(float64(len(p.Marshal())), "bytes")
	b.ReportAllocs()
	for b.Loop() {
		if err := VerifyRange(o.tree.Root(), Hash{}, last, streamed(leaves), p); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N*len(leaves))/b.Elapsed().Seconds(), "leaves/s")
}

func provePath(t *Tree, path Hash) Proof {
	p, err := t.ProvePath(path)
	if err != nil {
		panic(err)
	}
	return p
}

package shards

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
)

func newRand(t testing.TB) *rand.Rand {
	seed := rand.Uint64()
	t.Logf("seed %#x", seed)
	return rand.New(rand.NewPCG(seed, 1))
}

func randomBytes(r *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

// coefficient is the definition of the code: recovery i is the sum over the originals j of j's value times
// s(x)/(C·(x⊕y)), where x and y are their points, s vanishes on 0…m−1 and C is the product of 1…m−1.
func (c code) coefficient(i, j int) uint16 {
	f := field()
	x, y := c.point(c.k+i), c.point(j)
	outside := x // the one of the two points that is not below m
	if c.high {
		outside = y
	}
	s, product := uint16(1), uint16(1)
	for z := range c.m {
		s = f.mul(s, uint16(outside^z))
		if z > 0 {
			product = f.mul(product, uint16(z))
		}
	}
	return f.mul(s, f.inv(f.mul(product, uint16(x^y))))
}

func TestCodeMatchesItsDefinition(t *testing.T) {
	r := newRand(t)
	cases := [][2]int{{2, 2}, {3, 1}, {1, 3}, {4, 6}, {7, 3}, {5, 2}, {3, 4}, {9, 4}, {5, 8}, {334, 666}, {667, 333}, {256, 256}, {300, 212}, {512, 256}}
	for _, c := range cases {
		c := newCode(c[0], c[1])
		t.Run(fmt.Sprintf("%d+%d", c.k, c.r), func(t *testing.T) {
			v := vectors{make([]byte, c.span()*groupSize), groupSize}
			for j := range c.k {
				copy(v.slot(c.point(j)), randomBytes(r, groupSize))
			}
			originals := bytes.Clone(v.buf)
			c.encode(v)
			for range 8 {
				i := r.IntN(c.r)
				want := make([]byte, groupSize)
				for j := range c.k {
					mulAdd(want, originals[c.point(j)*groupSize:][:groupSize], c.coefficient(i, j))
				}
				if got := v.slot(c.point(c.k + i)); !bytes.Equal(got, want) {
					t.Fatalf("recovery %d: %x: want %x", i, got, want)
				}
			}
		})
	}
}

// decodeSome encodes random originals and checks that the given positions give back the others.
func decodeSome(t *testing.T, r *rand.Rand, c code, positions []int) {
	t.Helper()
	v := vectors{make([]byte, c.span()*groupSize), groupSize}
	word := make([][]byte, c.k+c.r)
	for j := range c.k {
		word[j] = randomBytes(r, groupSize)
		copy(v.slot(c.point(j)), word[j])
	}
	c.encode(v)
	for i := c.k; i < c.k+c.r; i++ {
		word[i] = bytes.Clone(v.slot(c.point(i)))
	}
	e, err := newEraser(c, positions)
	if err != nil {
		t.Fatal(err)
	}
	d := vectors{randomBytes(r, e.size*groupSize), groupSize}
	for _, i := range positions {
		copy(d.slot(c.point(i)), word[i])
	}
	e.decode(d)
	for _, i := range e.missing {
		if !bytes.Equal(d.slot(c.point(i)), word[i]) {
			t.Fatalf("%d+%d from %v: original %d is wrong", c.k, c.r, positions, i)
		}
	}
}

func TestDecodeEverySubset(t *testing.T) {
	r := newRand(t)
	for n := 4; n <= 11; n++ {
		for k := 1; k < n; k++ {
			for mask := range 1 << n {
				var positions []int
				for i := range n {
					if mask>>i&1 == 1 {
						positions = append(positions, i)
					}
				}
				if len(positions) == k {
					decodeSome(t, r, newCode(k, n-k), positions)
				}
			}
		}
	}
}

func TestDecodeRandomSubsets(t *testing.T) {
	r := newRand(t)
	for range 200 {
		n := 4 + r.IntN(600)
		k := 1 + r.IntN(n-1)
		decodeSome(t, r, newCode(k, n-k), r.Perm(n)[:k])
	}
	for _, c := range [][2]int{{16387, 32768}, {32771, 16384}} {
		decodeSome(t, r, newCode(c[0], c[1]), r.Perm(c[0] + c[1])[:c[0]])
	}
}

func TestNewEraserRefuses(t *testing.T) {
	c := newCode(3, 4)
	for _, positions := range [][]int{{0, 1}, {0, 1, 2, 3}, {0, 1, 1}, {0, 1, 7}, {0, 1, -1}, nil} {
		if _, err := newEraser(c, positions); err == nil {
			t.Errorf("%v: no error", positions)
		}
	}
	if _, err := newEraser(c, []int{0}); !errors.Is(err, ErrNotEnough) {
		t.Errorf("too few: %v: want ErrNotEnough", err)
	}
}

package shards

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"walrus/shards/fft16"
)

func newRand(t testing.TB) *rand.Rand {
	seed := rand.Uint64()
	t.Logf("seed %#x", seed)
	return rand.New(rand.NewPCG(seed, 1))
}

func randomBytes(r *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for rest := b; len(rest) > 0; {
		rest = rest[copy(rest, binary.LittleEndian.AppendUint64(nil, r.Uint64())):]
	}
	return b
}

// coefficient returns a coefficient by the definition of the code: recovery i is the sum over the originals j of j's
// value times s(x)/(C·(x⊕y)), where x and y are their points, s vanishes on 0…m−1 and C is the product of 1…m−1.
func (c code) coefficient(i, j int) uint16 {
	x, y := c.point(c.k+i), c.point(j)
	outside := x // of the two points, the one not below m
	if c.high {
		outside = y
	}
	s, product := uint16(1), uint16(1)
	for z := range c.m {
		s = fft16.Mul(s, uint16(outside^z))
		if z > 0 {
			product = fft16.Mul(product, uint16(z))
		}
	}
	return fft16.Mul(s, fft16.Inv(fft16.Mul(product, uint16(x^y))))
}

func TestCodeMatchesItsDefinition(t *testing.T) {
	r := newRand(t)
	cases := [][2]int{{2, 2}, {3, 1}, {1, 3}, {4, 6}, {7, 3}, {5, 2}, {3, 4}, {9, 4}, {5, 8},
		{334, 666}, {667, 333}, {256, 256}, {300, 212}, {512, 256}}
	for _, c := range cases {
		c := newCode(c[0], c[1])
		t.Run(fmt.Sprintf("%d+%d", c.k, c.r), func(t *testing.T) {
			v := fft16.New(make([]byte, c.span()*fft16.GroupSize), fft16.GroupSize)
			for j := range c.k {
				copy(v.Slot(c.point(j)), randomBytes(r, fft16.GroupSize))
			}
			originals := bytes.Clone(v.Slots(0, c.span()))
			c.encode(v, c.k)
			for range 8 {
				i := r.IntN(c.r)
				want := make([]byte, fft16.GroupSize)
				for j := range c.k {
					fft16.MulAdd(want, originals[c.point(j)*fft16.GroupSize:][:fft16.GroupSize], c.coefficient(i, j))
				}
				if got := v.Slot(c.point(c.k + i)); !bytes.Equal(got, want) {
					t.Fatalf("recovery %d: %x: want %x", i, got, want)
				}
			}
		})
	}
}

// decodeSome encodes random originals and checks that the given positions recover the others.
func decodeSome(t *testing.T, r *rand.Rand, c code, positions []int) {
	t.Helper()
	v := fft16.New(make([]byte, c.span()*fft16.GroupSize), fft16.GroupSize)
	word := make([][]byte, c.k+c.r)
	for j := range c.k {
		word[j] = randomBytes(r, fft16.GroupSize)
		copy(v.Slot(c.point(j)), word[j])
	}
	c.encode(v, c.k)
	for i := c.k; i < c.k+c.r; i++ {
		word[i] = bytes.Clone(v.Slot(c.point(i)))
	}
	e, err := newEraser(c, positions)
	if err != nil {
		t.Fatal(err)
	}
	d := fft16.New(randomBytes(r, e.size*fft16.GroupSize), fft16.GroupSize)
	for _, i := range positions {
		copy(d.Slot(c.point(i)), word[i])
	}
	e.decode(d)
	for _, i := range e.missing {
		if !bytes.Equal(d.Slot(c.point(i)), word[i]) {
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

func TestDecodeFewMissing(t *testing.T) {
	r := newRand(t)
	for _, c := range []code{newCode(334, 666), newCode(667, 333), newCode(34, 66), newCode(67, 33), newCode(4, 6)} {
		for _, missing := range []int{0, 1, 2, 3, 5, 12, 13, 20, 40} {
			missing = min(missing, c.k, c.r)
			positions := r.Perm(c.k)[missing:]
			for _, i := range r.Perm(c.r)[:missing] {
				positions = append(positions, c.k+i)
			}
			decodeSome(t, r, c, positions)
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

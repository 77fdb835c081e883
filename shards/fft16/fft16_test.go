package fft16

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"
)

func newRand(t testing.TB) *rand.Rand {
	seed := rand.Uint64()
	t.Logf("seed %#x", seed)
	return rand.New(rand.NewPCG(seed, 1))
}

func fill(r *rand.Rand, b []byte) {
	for i := range b {
		b[i] = byte(r.Uint32())
	}
}

func element(slot []byte, i int) uint16 {
	g := slot[i/32*GroupSize:]
	return uint16(g[i%32]) | uint16(g[i%32+32])<<8
}

func TestField(t *testing.T) {
	r := newRand(t)
	for range 10_000 {
		a, b, c := uint16(r.Uint32()), uint16(r.Uint32()), uint16(r.Uint32())
		if Mul(a, b) != Mul(b, a) || Mul(a, Mul(b, c)) != Mul(Mul(a, b), c) || Mul(a, b^c) != Mul(a, b)^Mul(a, c) {
			t.Fatalf("%#x %#x %#x: not a field", a, b, c)
		}
		if Mul(a, 1) != a || a != 0 && Mul(a, Inv(a)) != 1 || a != 0 && Exp(Log(a)) != a {
			t.Fatalf("%#x: wrong inverse or one", a)
		}
	}
	for i := range 15 { // the defining property of the Cantor basis
		if b := uint16(2 << i); Mul(b, b)^b != 1<<i {
			t.Errorf("basis element %d: x²+x is %#x: want %#x", i+1, Mul(b, b)^b, 1<<i)
		}
	}
}

func TestMulAdd(t *testing.T) {
	r := newRand(t)
	eachPath(t, func(t *testing.T) {
		for i := range 500 {
			x := make([]byte, GroupSize*(1+r.IntN(5)))
			fill(r, x)
			y := make([]byte, len(x))
			fill(r, y)
			c := uint16(i) // small ones, and some others
			if i > 100 {
				c = uint16(r.Uint32())
			}
			sum, v := bytes.Clone(x), New(bytes.Clone(y), len(y))
			MulAdd(sum, y, c)
			v.Scale(0, c)
			for i := range len(x) / 2 {
				want := Mul(c, element(y, i))
				if element(sum, i) != element(x, i)^want || element(v.Slot(0), i) != want {
					t.Fatalf("%#x·%#x is wrong", c, element(y, i))
				}
			}
		}
	})
}

// TestForwardEvaluates compares with the definition: basis polynomial x is the product, over the bits i of x, of the
// polynomial that vanishes on the first 2^i points, whose value at point y is y>>i.
func TestForwardEvaluates(t *testing.T) {
	r := newRand(t)
	eachPath(t, func(t *testing.T) {
		for size := 1; size <= 64; size *= 2 {
			for _, at := range []int{0, size, 2 * size, 5 * size} {
				v := New(make([]byte, (at+size)*GroupSize), GroupSize)
				fill(r, v.buf)
				before := bytes.Clone(v.buf)
				v.Forward(at, size, size)
				for y := at; y < at+size; y++ {
					var want uint16
					for x := range size {
						term := element(before[(at+x)*GroupSize:], 7)
						for i := 0; x>>i > 0; i++ {
							if x>>i&1 == 1 {
								term = Mul(term, uint16(y>>i))
							}
						}
						want ^= term
					}
					if got := element(v.Slot(y), 7); got != want {
						t.Fatalf("size %d at %d: point %d: %#x: want %#x", size, at, y, got, want)
					}
				}
			}
		}
	})
}

// TestLayersAgree compares the transforms with a layer by layer computation, cut short or not.
func TestLayersAgree(t *testing.T) {
	r := newRand(t)
	eachPath(t, func(t *testing.T) {
		for range 400 {
			size, width := 1<<r.IntN(11), GroupSize*(1+r.IntN(3))
			at := size * r.IntN(4)
			count := r.IntN(size + 1)
			a := New(make([]byte, (at+size)*width), width)
			fill(r, a.buf)
			b := New(bytes.Clone(a.buf), width)
			a.Forward(at, size, count)
			b.forwardLayers(at, at, size, count)
			if !bytes.Equal(a.Slots(at, at+count), b.Slots(at, at+count)) {
				t.Fatalf("forward of %d at %d, %d wanted: differs", size, at, count)
			}
			clear(a.Slots(at+count, at+size))
			copy(b.buf, a.buf)
			before := bytes.Clone(a.buf)
			a.Inverse(at, size, count)
			b.inverseLayers(at, at, size, count)
			if !bytes.Equal(a.buf, b.buf) {
				t.Fatalf("inverse of %d at %d, %d given: differs", size, at, count)
			}
			a.Forward(at, size, size)
			if !bytes.Equal(a.buf, before) {
				t.Fatalf("forward does not undo inverse of %d at %d", size, at)
			}
		}
		// The far end of the field.
		v := New(make([]byte, Order*GroupSize), GroupSize)
		fill(r, v.Slots(Order-512, Order))
		w := New(bytes.Clone(v.buf), GroupSize)
		v.Forward(Order-512, 512, 512)
		w.forwardLayers(Order-512, Order-512, 512, 512)
		if !bytes.Equal(v.buf, w.buf) {
			t.Error("forward at the end of the field differs")
		}
	})
}

// TestAddDerivative checks the product rule on polynomials of one point: (f·g)' = f'·g + f·g'.
func TestAddDerivative(t *testing.T) {
	const size = 64
	r := newRand(t)
	random := func() Vectors {
		v := New(make([]byte, size*GroupSize), GroupSize)
		fill(r, v.Slots(0, size/2)) // so that a product has degree below size
		return v
	}
	derivative := func(v Vectors) Vectors {
		d := New(bytes.Clone(v.buf), v.width)
		d.AddDerivative(size, size)
		for want := 1; want < size; want *= 2 {
			part := New(bytes.Clone(v.buf), v.width)
			part.AddDerivative(size, want)
			if !bytes.Equal(part.Slots(0, want), d.Slots(0, want)) {
				t.Fatalf("the first %d coefficients differ", want)
			}
		}
		Xor(d.buf, v.buf)
		return d
	}
	values := func(v Vectors) []uint16 {
		w := New(bytes.Clone(v.buf), v.width)
		w.Forward(0, size, size)
		var all []uint16
		for x := range size {
			for i := range 32 {
				all = append(all, element(w.Slot(x), i))
			}
		}
		return all
	}
	f, g := random(), random()
	fv, gv, df, dg := values(f), values(g), values(derivative(f)), values(derivative(g))
	product := New(make([]byte, size*GroupSize), GroupSize)
	for x := range size {
		for i := range 32 {
			y := Mul(fv[32*x+i], gv[32*x+i])
			product.Slot(x)[i], product.Slot(x)[i+32] = byte(y), byte(y>>8)
		}
	}
	product.Inverse(0, size, size)
	for k, got := range values(derivative(product)) {
		if want := Mul(df[k], gv[k]) ^ Mul(fv[k], dg[k]); got != want {
			t.Fatalf("point %d: %#x: want %#x", k/32, got, want)
		}
	}
}

func BenchmarkForward(b *testing.B) {
	for _, width := range []int{64, 256, 768} {
		b.Run(fmt.Sprint(width), func(b *testing.B) {
			eachPath(b, func(b *testing.B) {
				v := New(make([]byte, 1024*width), width)
				b.SetBytes(int64(512 * width))
				for b.Loop() {
					v.Forward(512, 512, 512)
				}
			})
		})
	}
}

// Package fft16 implements the additive Fourier transform of Lin, Chung and Han over GF(2^16) on vectors: the values
// of many independent polynomials at a time. Start with Vectors.
package fft16

import (
	"crypto/subtle"
	"math/bits"

	"github.com/klauspost/reedsolomon"
)

// GroupSize is the size of a group of elements, in bytes: 32 low bytes, then their 32 high bytes.
const GroupSize = 64

// Vectors is a row of slots of equal width in one buffer: slot x holds the values of polynomials at the field's point
// x, or their coefficients of basis polynomial x.
type Vectors struct {
	buf   []byte
	width int
}

// New returns the slots of width bytes, a multiple of GroupSize, in buf.
func New(buf []byte, width int) Vectors {
	if width <= 0 || width%GroupSize != 0 || len(buf)%width != 0 {
		panic("fft16: width must be a multiple of GroupSize, and the buffer a multiple of width")
	}
	return Vectors{buf, width}
}

// Slot returns slot x.
func (v Vectors) Slot(x int) []byte { return v.buf[x*v.width : (x+1)*v.width : (x+1)*v.width] }

// Slots returns the bytes of the slots from x up to y.
func (v Vectors) Slots(x, y int) []byte { return v.buf[x*v.width : y*v.width] }

// MulAdd computes dst ^= c·src, element by element, in full groups. dst may be src.
func MulAdd(dst, src []byte, c uint16) {
	if len(dst) != len(src) || len(src)%GroupSize != 0 {
		panic("fft16: vectors must have the same size, a multiple of GroupSize")
	}
	if c != 0 && len(src) > 0 {
		multiplyAdd(dst, src, c)
	}
}

// multiplyByLibrary is MulAdd without our assembly. The library builds its tables once, in 0.1 s.
func multiplyByLibrary(dst, src []byte, c uint16) {
	reedsolomon.LowLevel{}.GF16MulSliceXor(c, src, dst)
}

// Xor computes dst ^= src.
func Xor(dst, src []byte) { subtle.XORBytes(dst, dst, src) }

// Scale multiplies slot x by c.
func (v Vectors) Scale(x int, c uint16) {
	MulAdd(v.Slot(x), v.Slot(x), c^1)
}

// Forward evaluates the polynomials whose coefficients are in the slots at the points at…at+size−1. size is a power
// of two, and at a multiple of it. Only the first want slots are valid afterwards.
func (v Vectors) Forward(at, size, want int) {
	_ = v.Slots(at, at+size)
	if want > 0 && size > 1 {
		v.forward(at, size, want)
	}
}

// Inverse is the inverse of Forward. Only the first have slots may be nonzero.
func (v Vectors) Inverse(at, size, have int) {
	_ = v.Slots(at, at+size)
	if have > 0 && size > 1 {
		v.inverse(at, size, have)
	}
}

// forwardLayers does forward layer by layer: a block of points that starts at a multiple of its size, 2·half, has the
// factor s(block), where s vanishes on the first half points. It works in the slots from slot on.
func (v Vectors) forwardLayers(slot, at, size, want int) {
	for half, level := size/2, bits.Len(uint(size))-2; half > 0; half, level = half/2, level-1 {
		for block := 0; block < want; block += 2 * half {
			low, high := v.Slots(slot+block, slot+block+half), v.Slots(slot+block+half, slot+block+2*half)
			MulAdd(low, high, uint16((at+block)>>level))
			Xor(high, low)
		}
	}
}

func (v Vectors) inverseLayers(slot, at, size, have int) {
	for half, level := 1, 0; half < size; half, level = half*2, level+1 {
		for block := 0; block < have; block += 2 * half {
			low, high := v.Slots(slot+block, slot+block+half), v.Slots(slot+block+half, slot+block+2*half)
			Xor(high, low)
			MulAdd(low, high, uint16((at+block)>>level))
		}
	}
}

// AddDerivative adds to the polynomials with coefficients in slots 0…size−1 their formal derivative. In the Cantor
// basis, the derivative of basis polynomial x is the sum of the basis polynomials whose index is x with one bit
// cleared. Only the first want coefficients, a power of two, are valid afterwards.
func (v Vectors) AddDerivative(size, want int) {
	for x := 1; x < want; x++ {
		low := x & -x
		Xor(v.Slots(x-low, x), v.Slots(x, x+low))
	}
	for bit := want; bit < size; bit *= 2 {
		Xor(v.Slots(0, want), v.Slots(bit, bit+want))
	}
}

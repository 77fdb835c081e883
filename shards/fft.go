package shards

import (
	"crypto/subtle"

	"github.com/klauspost/reedsolomon"
)

// vectors is a row of slots of equal width in one buffer: slot x holds the values, at many independent places, of a
// polynomial at the field's point x. Inside a slot the elements lie in groups of 64 bytes: 32 low bytes, then their 32
// high bytes.
type vectors struct {
	buf   []byte
	width int // bytes of a slot, a multiple of groupSize
}

const groupSize = 64

func (v vectors) slot(x int) []byte { return v.buf[x*v.width : (x+1)*v.width : (x+1)*v.width] }

// slots are the bytes of the slots from x up to y.
func (v vectors) slots(x, y int) []byte { return v.buf[x*v.width : y*v.width] }

// mulAdd is dst ^= c·src, element by element.
func mulAdd(dst, src []byte, c uint16) {
	reedsolomon.LowLevel{}.GF16MulSliceXor(c, src, dst)
}

func xorInto(dst, src []byte) { subtle.XORBytes(dst, dst, src) }

// fft evaluates at the points at…at+size−1 the polynomial whose coefficients (in the basis of Lin, Chung and Han) are
// in the same slots. size is a power of two and at a multiple of it. Only the first want slots are right afterwards.
func (v vectors) fft(at, size, want int) {
	for half, level := size/2, log2(size)-1; half > 0; half, level = half/2, level-1 {
		for block := at; block < at+want; block += 2 * half {
			c := uint16(block >> level)
			low, high := v.slots(block, block+half), v.slots(block+half, block+2*half)
			if c != 0 {
				mulAdd(low, high, c)
			}
			xorInto(high, low)
		}
	}
}

// ifft is the inverse of fft. Only the first have slots may be other than zero.
func (v vectors) ifft(at, size, have int) {
	for half, level := 1, 0; half < size; half, level = half*2, level+1 {
		for block := at; block < at+have; block += 2 * half {
			c := uint16(block >> level)
			low, high := v.slots(block, block+half), v.slots(block+half, block+2*half)
			xorInto(high, low)
			if c != 0 {
				mulAdd(low, high, c)
			}
		}
	}
}

// addDerivative adds to the polynomial whose coefficients are in slots 0…size−1 its formal derivative: in the Cantor
// basis, that of basis polynomial x is the sum of those whose index is x with one bit cleared.
func (v vectors) addDerivative(size int) {
	for x := 1; x < size; x++ {
		low := x & -x
		xorInto(v.slots(x-low, x), v.slots(x, x+low))
	}
}

// scale multiplies slot x by c.
func (v vectors) scale(x int, c uint16) {
	mulAdd(v.slot(x), v.slot(x), c^1)
}

package shards

import (
	"math/bits"

	"walrus/shards/fft16"
)

// code is the systematic Reed–Solomon code of k originals and r recoveries, in positions 0…k−1 and k…k+r−1. A codeword
// is the values of a polynomial at points of the field. At high rate the recoveries are at the points 0…r−1 and the
// originals from m, the power of two above r; at low rate the originals are at 0…k−1 and the recoveries from m, the
// power of two above k. Which one is used is part of the format.
type code struct {
	k, r int
	m    int
	high bool
}

func newCode(k, r int) code {
	k2, r2 := nextPow2(k), nextPow2(r)
	if k2 > r2 || k2 == r2 && k <= r {
		return code{k: k, r: r, m: r2, high: true}
	}
	return code{k: k, r: r, m: k2}
}

// code is the code along axis: a primary sliver is s symbols, extended to n.
func (p Params) code(axis Axis) code {
	k := p.SourceSymbols(axis)
	return newCode(k, p.n-k)
}

// point is where in the field position i of the codeword lies.
func (c code) point(i int) int {
	switch {
	case c.high && i >= c.k:
		return i - c.k
	case c.high:
		return c.m + i
	case i >= c.k:
		return c.m + i - c.k
	default:
		return i
	}
}

// span is how many slots encode needs: all points of the codeword, to a multiple of m.
func (c code) span() int {
	if c.high {
		return c.m + (c.k+c.m-1)/c.m*c.m
	}
	return c.m + (c.r+c.m-1)/c.m*c.m
}

// encode computes the recoveries from the originals, each in the slot of its point. It destroys the originals.
// Only the first live originals may be other than zero; the slots of the others, and those that hold neither originals nor
// recoveries, need not be cleared.
func (c code) encode(v fft16.Vectors, live int) {
	if c.high {
		c.encodeHigh(v, live)
		return
	}
	clear(v.Slots(live, c.m))
	v.Inverse(0, c.m, live)
	for at := c.m; at < c.m+c.r; at += c.m {
		copy(v.Slots(at, at+c.m), v.Slots(0, c.m))
		v.Forward(at, c.m, min(c.m, c.m+c.r-at))
	}
}

func (c code) encodeHigh(v fft16.Vectors, live int) {
	end := c.m + live
	clear(v.Slots(end, c.m+(live+c.m-1)/c.m*c.m))
	for at := c.m; at < end; at += c.m {
		v.Inverse(at, c.m, min(c.m, end-at))
		if at == c.m {
			copy(v.Slots(0, c.m), v.Slots(at, at+c.m))
		} else {
			fft16.Xor(v.Slots(0, c.m), v.Slots(at, at+c.m))
		}
	}
	v.Forward(0, c.m, c.r)
}

func nextPow2(n int) int { return 1 << bits.Len(uint(n-1)) }

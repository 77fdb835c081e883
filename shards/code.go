package shards

import (
	"math/bits"

	"walrus/shards/fft16"
)

// code is the systematic Reed–Solomon code of k originals and r recoveries, in positions 0…k−1 and k…k+r−1. A
// codeword holds the values of a polynomial at points of the field. At high rate the recoveries are at the points
// 0…r−1 and the originals start at m, the power of two above r. At low rate the originals are at 0…k−1 and the
// recoveries start at m, the power of two above k. The choice between the two is part of the format.
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

// code returns the code along axis: a primary sliver has s symbols, extended to n.
func (p Params) code(axis Axis) code {
	k := p.SourceSymbols(axis)
	return newCode(k, p.n-k)
}

// point returns the field's point of position i of the codeword.
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

// span returns the number of slots that encode needs: all points of the codeword, rounded up to a multiple of m.
func (c code) span() int {
	if c.high {
		return c.m + (c.k+c.m-1)/c.m*c.m
	}
	return c.m + (c.r+c.m-1)/c.m*c.m
}

// encode computes the recoveries from the originals, each in the slot of its point. It destroys the originals. Only
// the first live originals may be nonzero. The slots of the other originals, and those without originals or
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

// operands returns the first k vectors of s as the originals of a code.
func operands(s fft16.Strided, k int) operand { return operand{first: s, split: k, live: k} }

// operand holds the first live originals of a code; the others are zero. first has the first split of them, rest the
// others.
type operand struct {
	first, rest fft16.Strided
	split, live int
}

// list fills symbols with the live originals, each a vector of first or rest.
func (o operand) list(symbols [][]byte) {
	for i := range o.split {
		symbols[i] = o.first.Buf[i*o.first.Stride:][:o.first.Width]
	}
	for i := range o.live - o.split {
		symbols[o.split+i] = o.rest.Buf[i*o.rest.Stride:][:o.rest.Width]
	}
}

// from returns the size originals of o that follow its first k.
func (o operand) from(k, size int) operand {
	switch {
	case k < o.split:
		o.first.Buf = o.first.Buf[k*o.first.Stride:]
	case k > o.split:
		o.rest.Buf = o.rest.Buf[(k-o.split)*o.rest.Stride:]
	}
	o.split, o.live = max(0, o.split-k), o.live-k
	o.live = min(o.live, size)
	o.split = min(o.split, o.live)
	return o
}

// extend computes the recoveries from the originals and writes them to out, which must have the same width. If stream
// is true, it writes past the caches.
func (c code) extend(v fft16.Vectors, in operand, out fft16.Strided, stream bool) {
	if c.high {
		c.sum(v, in)
		v.ForwardTo(0, 0, 0, c.m, c.r, out, stream)
		return
	}
	v.InverseFrom(0, 0, c.m, in.first, in.split, in.rest, in.live)
	for done := 0; done < c.r; done += c.m {
		part := out
		part.Buf = out.Buf[done*out.Stride:]
		v.ForwardTo(c.m, 0, c.m+done, c.m, min(c.m, c.r-done), part, stream)
	}
}

// extendInPlace is extend, but writes each recovery to the start of the slot of its point.
func (c code) extendInPlace(v fft16.Vectors, in operand, width int) {
	out := fft16.Strided{Stride: packedSize(width), Parts: 1, Width: width}
	if c.high {
		c.sum(v, in)
		out.Buf = v.Slots(0, c.m)
		v.ForwardTo(0, 0, 0, c.m, c.r, out, false)
		return
	}
	v.InverseFrom(0, 0, c.m, in.first, in.split, in.rest, in.live)
	for at := c.m; at < c.m+c.r; at += c.m {
		out.Buf = v.Slots(at, at+c.m)
		v.ForwardTo(at, 0, at, c.m, min(c.m, c.m+c.r-at), out, false)
	}
}

// sum is the first half of encodeHigh: it leaves the coefficients in the first m slots.
func (c code) sum(v fft16.Vectors, in operand) {
	for done := 0; done < in.live; done += c.m {
		slot, part := min(done, c.m), in.from(done, c.m)
		v.InverseFrom(slot, c.m+done, c.m, part.first, part.split, part.rest, part.live)
		if done > 0 {
			fft16.Xor(v.Slots(0, c.m), v.Slots(c.m, 2*c.m))
		}
	}
}

func nextPow2(n int) int { return 1 << bits.Len(uint(n-1)) }

package shards

import (
	"fmt"
	"math/bits"
	"slices"
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
// Slots that hold neither need not be cleared.
func (c code) encode(v vectors) {
	if c.high {
		clear(v.slots(c.m+c.k, c.span()))
		for at := c.m; at < c.m+c.k; at += c.m {
			v.ifft(at, c.m, min(c.m, c.m+c.k-at))
			if at == c.m {
				copy(v.slots(0, c.m), v.slots(at, at+c.m))
			} else {
				xorInto(v.slots(0, c.m), v.slots(at, at+c.m))
			}
		}
		v.fft(0, c.m, c.r)
		return
	}
	clear(v.slots(c.k, c.m))
	v.ifft(0, c.m, c.k)
	for at := c.m; at < c.m+c.r; at += c.m {
		copy(v.slots(at, at+c.m), v.slots(0, c.m))
		v.fft(at, c.m, min(c.m, c.m+c.r-at))
	}
}

// eraser recovers the originals of a code from one fixed set of k positions. It is read-only after newEraser.
type eraser struct {
	code
	positions []int    // the k that are given
	missing   []int    // the originals among the others
	size      int      // slots that decode works on
	last      int      // one more than the last point that is given
	given     []bool   // by point
	weights   []uint16 // by point: the locator where the value is known, the inverse of its derivative where it is erased
}

// newEraser returns the decoder for k distinct positions in 0…k+r−1.
func newEraser(c code, positions []int) (*eraser, error) {
	if len(positions) != c.k {
		return nil, fmt.Errorf("%w: have %d of %d", ErrNotEnough, len(positions), c.k)
	}
	used := c.m + c.r
	zeros, zerosEnd := c.k, c.m // points that are zero by construction, and so known
	if c.high {
		used = c.m + c.k
		zeros, zerosEnd = used, nextPow2(used)
	}
	e := &eraser{code: c, positions: positions, size: nextPow2(used)}
	e.given = make([]bool, e.size)
	for _, i := range positions {
		if i < 0 || i >= c.k+c.r {
			return nil, fmt.Errorf("index %d: must be below %d", i, c.k+c.r)
		}
		x := c.point(i)
		if e.given[x] {
			return nil, fmt.Errorf("index %d is there twice", i)
		}
		e.given[x] = true
		e.last = max(e.last, x+1)
	}
	for i := range c.k {
		if !e.given[c.point(i)] {
			e.missing = append(e.missing, i)
		}
	}
	known := slices.Clone(e.given)
	for x := zeros; x < zerosEnd; x++ {
		known[x] = true
	}
	e.weights = locator(known)
	return e, nil
}

// locator evaluates the polynomial that vanishes at the points not known: its value at the known points, the inverse
// of its derivative at the others. Its logarithm is a sum of log(x⊕y) over the erased y, a convolution over XOR.
func locator(known []bool) []uint16 {
	t := field()
	size := len(known)
	logs, erased := make([]int64, size), make([]int64, size)
	for x := range size {
		logs[x] = int64(t.log[x])
		if !known[x] {
			erased[x] = 1
		}
	}
	// The transforms are exact modulo 2^64, and the sums, at most 2^32·size, are far below it.
	walshHadamard(logs)
	walshHadamard(erased)
	for x := range logs {
		logs[x] *= erased[x]
	}
	walshHadamard(logs)
	weights := make([]uint16, size)
	for x := range weights {
		e := uint64(logs[x]) / uint64(size) % fieldModulus
		if !known[x] {
			e = fieldModulus - e
		}
		weights[x] = t.exp[e]
	}
	return weights
}

func walshHadamard(a []int64) {
	for half := 1; half < len(a); half *= 2 {
		for block := 0; block < len(a); block += 2 * half {
			for x := block; x < block+half; x++ {
				a[x], a[x+half] = a[x]+a[x+half], a[x]-a[x+half]
			}
		}
	}
}

// decode computes the missing originals from the given positions, each in the slot of its point; the missing ones are
// in the slots of their points afterwards. v has e.size slots; all but the given ones are overwritten.
func (e *eraser) decode(v vectors) {
	for x := range e.size {
		if e.given[x] {
			v.scale(x, e.weights[x])
		} else {
			clear(v.slot(x))
		}
	}
	v.ifft(0, e.size, e.last)
	v.addDerivative(e.size) // the sum is as good: the polynomial itself is zero where it is needed
	v.fft(0, e.size, e.size)
	for _, i := range e.missing {
		x := e.point(i)
		v.scale(x, e.weights[x])
	}
}

func nextPow2(n int) int { return 1 << bits.Len(uint(n-1)) }
func log2(n int) int     { return bits.Len(uint(n)) - 1 }

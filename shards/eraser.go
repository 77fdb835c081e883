package shards

import (
	"fmt"
	"slices"

	"walrus/shards/fft16"
)

// eraser recovers the originals of a code from a fixed set of k positions. It is read-only after newEraser.
type eraser struct {
	code
	positions []int    // the k given ones
	missing   []int    // the originals that are not given
	size      int      // number of slots for decode
	last      int      // the last given point plus one
	want      int      // the last missing point plus one
	given     []bool   // by point
	weights   []uint16 // by point: the locator's value where known, the inverse of its derivative where erased
	// factors has the multiplier of each given value, by missing original, then by position. It is nil unless so few
	// originals are missing that the sums are cheaper than the transforms.
	factors [][]uint16
}

// maxFactors is the number of products, per slot, that cost about as much as the transforms.
const maxFactors = 2

// newEraser returns the decoder for k distinct positions in 0…k+r−1.
func newEraser(c code, positions []int) (*eraser, error) {
	if len(positions) < c.k {
		return nil, fmt.Errorf("%w: have %d of %d", ErrNotEnough, len(positions), c.k)
	}
	if len(positions) > c.k {
		return nil, fmt.Errorf("have %d: want exactly %d", len(positions), c.k)
	}
	used := c.m + c.r
	zeros, zerosEnd := c.k, c.m // zero by construction, and so known
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
			return nil, fmt.Errorf("index %d is given twice", i)
		}
		e.given[x] = true
		e.last = max(e.last, x+1)
	}
	for i := range c.k {
		if !e.given[c.point(i)] {
			e.missing = append(e.missing, i)
			e.want = c.point(i) + 1
		}
	}
	known := slices.Clone(e.given)
	for x := zeros; x < zerosEnd; x++ {
		known[x] = true
	}
	e.weights = locator(known)
	if len(e.missing)*c.k <= maxFactors*e.size {
		e.factors = make([][]uint16, len(e.missing))
		for i := range e.factors {
			e.factors[i] = e.lagrange(e.missing[i])
		}
	}
	return e, nil
}

// lagrange returns, for each position, the value at missing original i of the polynomial that is one at the position
// and zero at every other known point. With e the locator and x the erased point, that is e(y)/(e'(x)·(x⊕y)) at
// position's point y.
func (e *eraser) lagrange(i int) []uint16 {
	x := e.point(i)
	factors := make([]uint16, len(e.positions))
	for k, pos := range e.positions {
		y := e.point(pos)
		factors[k] = fft16.Mul(fft16.Mul(e.weights[x], e.weights[y]), fft16.Inv(uint16(x^y)))
	}
	return factors
}

// locator evaluates the polynomial that vanishes at the unknown points: its value at the known points, and the
// inverse of its derivative at the others. Its logarithm is a sum of log(x⊕y) over the erased y, a convolution over
// XOR.
func locator(known []bool) []uint16 {
	size := len(known)
	logs, erased := make([]int64, size), make([]int64, size)
	for x := range size {
		logs[x] = int64(fft16.Log(uint16(x)))
		if !known[x] {
			erased[x] = 1
		}
	}
	// The transforms are exact modulo 2^64; the sums are at most 2^32·size, far below it.
	walshHadamard(logs)
	walshHadamard(erased)
	for x := range logs {
		logs[x] *= erased[x]
	}
	walshHadamard(logs)
	weights := make([]uint16, size)
	for x := range weights {
		e := uint64(logs[x]) / uint64(size) % fft16.Modulus
		if !known[x] {
			e = fft16.Modulus - e
		}
		weights[x] = fft16.Exp(uint16(e))
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

// decode computes the missing originals from the given positions. Before the call, the slots of the given points hold
// their values. Afterwards the slots of the missing originals do, too. v has e.size slots; all but the given ones are
// overwritten.
func (e *eraser) decode(v fft16.Vectors) {
	if e.factors != nil {
		for m, i := range e.missing {
			sum := v.Slot(e.point(i))
			clear(sum)
			for k, pos := range e.positions {
				fft16.MulAdd(sum, v.Slot(e.point(pos)), e.factors[m][k])
			}
		}
		return
	}
	for x := range e.size {
		if e.given[x] {
			v.Scale(x, e.weights[x])
		} else {
			clear(v.Slot(x))
		}
	}
	v.Inverse(0, e.size, e.last)
	// Coefficients from a power of two on do not matter at the points below it. The sum serves as the derivative,
	// because the polynomial itself is zero at the wanted points.
	part := nextPow2(e.want)
	v.AddDerivative(e.size, part)
	v.Forward(0, part, e.want)
	for _, i := range e.missing {
		x := e.point(i)
		v.Scale(x, e.weights[x])
	}
}

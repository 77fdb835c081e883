package fft16

import "fmt"

// Strided holds vectors at equal distances in memory, with parts at equal distances: part k of vector x begins at
// x·Stride + k·Step. A part consists of full groups and a tail of as many low and then as many high bytes. In a slot
// the tail is a group too, with zeros after each half.
type Strided struct {
	Buf    []byte
	Stride int // from one vector to the next, in bytes
	Parts  int // of a vector
	Step   int // from one part of a vector to the next, in bytes
	Width  int // of a part, in bytes; even
}

// groups returns the number of full groups in a part, tail the bytes of its tail.
func (s Strided) groups() int { return s.Width / GroupSize }
func (s Strided) tail() int   { return s.Width % GroupSize }

// slot returns the width of a slot that holds a vector.
func (s Strided) slot() int { return s.Parts * ((s.Width + GroupSize - 1) / GroupSize * GroupSize) }

// check panics if the buffer does not contain count vectors.
func (s Strided) check(count int) {
	if count <= 0 {
		return
	}
	if s.Stride < 0 || s.Step < 0 || s.Parts <= 0 || s.Width <= 0 || s.Width%2 != 0 ||
		(count-1)*s.Stride+(s.Parts-1)*s.Step+s.Width > len(s.Buf) {
		panic(fmt.Sprintf("fft16: %d vectors %d apart, of %d parts of %d bytes %d apart, are not in %d bytes",
			count, s.Stride, s.Parts, s.Width, s.Step, len(s.Buf)))
	}
}

// get fills slot with vector x.
func (s Strided) get(slot []byte, x int) {
	full, half := s.groups()*GroupSize, s.tail()/2
	for k := range s.Parts {
		part := s.Buf[x*s.Stride+k*s.Step:][:s.Width]
		slot = slot[copy(slot, part[:full]):]
		if half > 0 {
			clear(slot[:GroupSize])
			copy(slot, part[full:full+half])
			copy(slot[GroupSize/2:], part[full+half:])
			slot = slot[GroupSize:]
		}
	}
}

// put is the inverse of get. The vector may lie at the start of the slot.
func (s Strided) put(slot []byte, x int) {
	full, half := s.groups()*GroupSize, s.tail()/2
	for k := range s.Parts {
		part := s.Buf[x*s.Stride+k*s.Step:][:s.Width]
		slot = slot[copy(part[:full], slot):]
		if half > 0 {
			copy(part[full:], slot[:half])
			copy(part[full+half:], slot[GroupSize/2:][:half])
			slot = slot[GroupSize:]
		}
	}
}

// Get copies the vectors [from, to) of src to the slots from slot on.
func (v Vectors) Get(slot int, src Strided, from, to int) {
	src.check(to)
	for x := from; x < to; x++ {
		src.get(v.Slot(slot+x-from), x)
	}
}

// InverseFrom is Inverse for vectors from two buffers: first has the first split, rest the others, up to have.
// Afterwards the slots from slot on hold the coefficients of the polynomials that take these values at the points from
// at on, and zero at the other points below at+size.
func (v Vectors) InverseFrom(slot, at, size int, first Strided, split int, rest Strided, have int) {
	_ = v.Slots(slot, slot+size)
	first.check(split)
	rest.check(have - split)
	clear(v.Slots(slot+have, slot+size))
	if have == 0 {
		return
	}
	fused := v.inverseStart(slot, at, size, first, split)
	v.Get(slot+fused, first, fused, split)
	v.Get(slot+split, rest, 0, have-split)
	v.inverseEnd(slot, at, size, have, fused)
}

// ForwardTo is Forward for the coefficients in the slots from coefs on. It works in the slots from slot on, which may
// be the same, and writes the values at the points from at on, as many as wanted, to dst. If stream is true, it writes
// full aligned groups past the caches.
func (v Vectors) ForwardTo(slot, coefs, at, size, want int, dst Strided, stream bool) {
	_, _ = v.Slots(slot, slot+size), v.Slots(coefs, coefs+size)
	dst.check(want)
	if want <= 0 {
		return
	}
	fused := v.forwardTo(slot, coefs, at, size, want, dst, stream)
	for i := fused; i < want; i++ {
		dst.put(v.Slot(slot+i), i)
	}
}

// Move copies the first count vectors from src to dst, and prefetches ahead vectors in advance. If stream is true, it
// writes full aligned groups past the caches.
func Move(dst, src Strided, count, ahead int, stream bool) {
	dst.check(count)
	src.check(count)
	if dst.Width != src.Width || dst.Parts != src.Parts {
		panic("fft16: move of vectors of different widths")
	}
	if count <= 0 {
		return
	}
	move(dst, src, count, ahead, stream)
}

func moveEach(dst, src Strided, count int) {
	for x := range count {
		for k := range src.Parts {
			copy(dst.Buf[x*dst.Stride+k*dst.Step:], src.Buf[x*src.Stride+k*src.Step:][:src.Width])
		}
	}
}

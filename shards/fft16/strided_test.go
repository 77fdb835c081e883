package fft16

import (
	"bytes"
	"math/rand/v2"
	"testing"
)

// strided returns memory for count vectors with parts of width bytes, at random distances and filled.
func strided(r *rand.Rand, count, parts, width int) Strided {
	s := Strided{Parts: parts, Width: width}
	gap := func() int {
		if r.IntN(2) == 0 {
			return width + 2*r.IntN(40)
		}
		return (width+GroupSize-1)/GroupSize*GroupSize + GroupSize*r.IntN(2)
	}
	if r.IntN(2) == 0 { // vector after vector
		s.Step = gap()
		s.Stride = parts*s.Step + GroupSize*r.IntN(2)
	} else { // part after part
		s.Stride = gap()
		s.Step = count*s.Stride + GroupSize*r.IntN(2)
	}
	s.Buf = make([]byte, max(0, count-1)*s.Stride+(parts-1)*s.Step+width)
	fill(r, s.Buf)
	return s
}

// TestStrided compares transforms from and to memory with transforms in slots.
func TestStrided(t *testing.T) {
	r := newRand(t)
	eachPath(t, func(t *testing.T) {
		for range 400 {
			size, parts, width := 1<<r.IntN(10), 1+r.IntN(4), 2*(1+r.IntN(130))
			at, slot := size*r.IntN(4), r.IntN(5)
			have := r.IntN(size + 1)
			split := r.IntN(have + 1)
			first, rest := strided(r, split, parts, width), strided(r, have-split, parts, width)
			a := New(make([]byte, (slot+2*size)*first.slot()), first.slot())
			fill(r, a.buf)
			b := New(make([]byte, (at+size)*a.width), a.width)
			b.Get(at, first, 0, split)
			b.Get(at+split, rest, 0, have-split)
			b.Inverse(at, size, have)
			a.InverseFrom(slot, at, size, first, split, rest, have)
			if !bytes.Equal(a.Slots(slot, slot+size), b.Slots(at, at+size)) {
				t.Fatalf("inverse of %d at %d, %d given: differs", size, at, have)
			}
			b.Forward(at, size, have)
			dst := strided(r, have, parts, width)
			want := dst
			want.Buf = bytes.Clone(dst.Buf)
			for i := range have {
				want.put(b.Slot(at+i), i)
			}
			a.ForwardTo(slot+size*r.IntN(2), slot, at, size, have, dst, r.IntN(2) == 0)
			Fence()
			if !bytes.Equal(dst.Buf, want.Buf) {
				t.Fatalf("forward of %d at %d, %d wanted, width %d: differs", size, at, have, width)
			}
		}
	})
}

func TestForwardToItsSlots(t *testing.T) {
	r := newRand(t)
	const size, want, width = 32, 21, 152
	a := New(make([]byte, size*192), 192)
	fill(r, a.buf)
	b := New(bytes.Clone(a.buf), 192)
	b.Forward(0, size, want)
	dst := Strided{Buf: a.buf, Stride: 192, Parts: 1, Width: width}
	a.ForwardTo(0, 0, 0, size, want, dst, false)
	for i := range want {
		s := Strided{Buf: make([]byte, width), Stride: width, Parts: 1, Width: width}
		s.put(b.Slot(i), 0)
		if !bytes.Equal(a.Slot(i)[:width], s.Buf) {
			t.Fatalf("slot %d differs", i)
		}
	}
}

func TestMove(t *testing.T) {
	r := newRand(t)
	eachPath(t, func(t *testing.T) {
		for range 200 {
			count, parts, width := r.IntN(20), 1+r.IntN(4), 2*(1+r.IntN(150))
			dst, src := strided(r, count, parts, width), strided(r, count, parts, width)
			want := dst
			want.Buf = bytes.Clone(dst.Buf)
			slot := make([]byte, src.slot())
			for x := range count {
				src.get(slot, x)
				want.put(slot, x)
			}
			Move(dst, src, count, r.IntN(8), r.IntN(2) == 0)
			Fence()
			if !bytes.Equal(dst.Buf, want.Buf) {
				t.Fatalf("%d vectors of %d bytes: differ", count, width)
			}
		}
	})
}

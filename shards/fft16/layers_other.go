//go:build !amd64

package fft16

func (v Vectors) forward(at, size, want int) { v.forwardLayers(at, at, size, want) }
func (v Vectors) inverse(at, size, have int) { v.inverseLayers(at, at, size, have) }
func multiplyAdd(dst, src []byte, c uint16)  { multiplyByLibrary(dst, src, c) }

func (v Vectors) forwardTo(slot, coefs, at, size, want int, _ Strided, _ bool) int {
	if slot != coefs {
		copy(v.Slots(slot, slot+size), v.Slots(coefs, coefs+size))
	}
	v.forwardLayers(slot, at, size, want)
	return 0
}

func (v Vectors) inverseStart(_, _, _ int, _ Strided, _ int) int { return 0 }
func (v Vectors) inverseEnd(slot, at, size, have, _ int)         { v.inverseLayers(slot, at, size, have) }
func move(dst, src Strided, count, _ int, _ bool)                { moveEach(dst, src, count) }

// Fence does nothing here: nothing is streamed.
func Fence() {}

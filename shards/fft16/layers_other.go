//go:build !amd64

package fft16

func (v Vectors) forward(at, size, want int) { v.forwardLayers(at, size, want) }
func (v Vectors) inverse(at, size, have int) { v.inverseLayers(at, size, have) }
func multiplyAdd(dst, src []byte, c uint16)  { multiplyByLibrary(dst, src, c) }

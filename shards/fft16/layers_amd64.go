package fft16

import (
	"math/bits"
	"sync"

	"golang.org/x/sys/cpu"
)

//go:generate sh -c "cd asm && go run . -out ../layers_amd64.s -stubs ../stubs_amd64.go -pkg fft16"

// hasGFNI says whether the processor can run the assembly. Tests switch it off.
var hasGFNI = cpu.X86.HasAVX512F && cpu.X86.HasAVX512BW && cpu.X86.HasAVX512VL && cpu.X86.HasAVX512GFNI

// matrix is multiplication by a constant as four 8×8 bit matrices: low→low, high→high, high→low, low→high.
type matrix = [4]uint64

// matrices are those of the even constants: factors are all even, since a block starts at a multiple of two halves.
var matrices = sync.OnceValue(func() *[Order / 2]matrix {
	t := new([Order / 2]matrix)
	for i := 1; i < len(t); i++ {
		if rest := i & (i - 1); rest != 0 { // multiplication is linear in the constant too
			for k := range t[i] {
				t[i][k] = t[rest][k] ^ t[i^rest][k]
			}
		} else {
			t[i] = newMatrix(uint16(2 * i))
		}
	}
	return t
})

func newMatrix(c uint16) matrix {
	var m matrix
	for in := range 16 {
		product := Mul(c, 1<<in)
		for out := range 16 {
			k := 0
			switch {
			case in < 8 && out >= 8:
				k = 3
			case in >= 8 && out < 8:
				k = 2
			case in >= 8:
				k = 1
			}
			// The processor takes the row of output bit i from byte 7−i.
			m[k] |= uint64(product>>out&1) << (8*(7-out%8) + in%8)
		}
	}
	return m
}

// identity is the matrix of 1.
const identity = 0x0102040810204080

func multiplyAdd(dst, src []byte, c uint16) {
	if !hasGFNI {
		multiplyByLibrary(dst, src, c)
		return
	}
	m := matrices()[c/2]
	if c%2 == 1 {
		m[0] ^= identity
		m[1] ^= identity
	}
	mulAdd(&dst[0], &src[0], len(src), &m)
}

func (v Vectors) forward(at, size, want int) {
	if !hasGFNI {
		v.forwardLayers(at, size, want)
		return
	}
	m := matrices()
	data := v.Slots(at, at+size)
	if bits.Len(uint(size))%2 == 0 { // an odd number of layers
		half := size / 2
		forward2(&data[0], half*v.width, 1, &m[at/size])
		size = half
	}
	for ; size > 1; size /= 4 {
		first := at / size
		forward4(&data[0], size/4*v.width, (want+size-1)/size, &m[first], &m[2*first])
	}
}

func (v Vectors) inverse(at, size, have int) {
	if !hasGFNI {
		v.inverseLayers(at, size, have)
		return
	}
	m := matrices()
	data := v.Slots(at, at+size)
	block := 4
	for ; block <= size; block *= 4 {
		first := at / block
		inverse4(&data[0], block/4*v.width, (have+block-1)/block, &m[first], &m[2*first])
	}
	if block/2 == size {
		inverse2(&data[0], size/2*v.width, 1, &m[at/size])
	}
}

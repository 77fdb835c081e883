package fft16

import (
	"math/bits"
	"sync"
	"unsafe"

	"golang.org/x/sys/cpu"
)

//go:generate sh -c "cd asm && go run . -out ../layers_amd64.s -stubs ../stubs_amd64.go -pkg fft16"

// hasGFNI reports whether the processor can run the assembly. Tests switch it off.
var hasGFNI = cpu.X86.HasAVX512F && cpu.X86.HasAVX512BW && cpu.X86.HasAVX512VL && cpu.X86.HasAVX512GFNI &&
	cpu.X86.HasAVX512VBMI2

// matrix multiplies by a constant. It consists of four 8×8 bit matrices: low→low, high→high, high→low, low→high.
type matrix = [4]uint64

// matrices holds the matrices of the even constants. Factors are always even, because a block starts at a multiple of
// two halves.
var matrices = sync.OnceValue(func() *[Order / 2]matrix {
	t := new([Order / 2]matrix)
	for i := 1; i < len(t); i++ {
		if rest := i & (i - 1); rest != 0 { // multiplication is also linear in the constant
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
		v.forwardLayers(at, at, size, want)
		return
	}
	v.forwardFast(at, at, at, size, want, 1)
}

// forwardFast runs the layers of forward down to blocks of size least. It reads the coefficients in the slots from
// coefs on, and works in the slots from slot on.
func (v Vectors) forwardFast(slot, coefs, at, size, want, least int) {
	m := matrices()
	dst, src := &v.Slots(slot, slot+size)[0], &v.Slots(coefs, coefs+size)[0]
	if bits.Len(uint(size))%2 == 0 { // an odd number of layers
		half := size / 2
		forward2(dst, src, half*v.width, 1, &m[at/size])
		size, src = half, dst
	}
	for ; size > least; size /= 4 {
		first := at / size
		forward4(dst, src, size/4*v.width, (want+size-1)/size, &m[first], &m[2*first])
		src = dst
	}
}

func (v Vectors) forwardTo(slot, coefs, at, size, want int, dst Strided, stream bool) int {
	if !hasGFNI || size < 8 || v.width != dst.slot() {
		if slot != coefs {
			copy(v.Slots(slot, slot+size), v.Slots(coefs, coefs+size))
		}
		if size > 1 {
			if hasGFNI {
				v.forwardFast(slot, slot, at, size, want, 1)
			} else {
				v.forwardLayers(slot, at, size, want)
			}
		}
		return 0
	}
	v.forwardFast(slot, coefs, at, size, want, 4)
	m, first, blocks := matrices(), at/4, want/4
	src := v.Slots(slot, slot+4*blocks)
	if blocks > 0 {
		to := forward4To
		if stream && dst.aligned() {
			to = forward4Stream
		}
		whole, spread := dst.masks()
		to(&dst.Buf[0], dst.Stride, dst.Parts, dst.Step, &src[0], v.width, dst.groups(), whole, spread, blocks,
			&m[first], &m[2*first])
	}
	if want%4 > 0 {
		first += blocks
		last := &v.Slot(slot + 4*blocks)[0]
		forward4(last, last, v.width, 1, &m[first], &m[2*first])
	}
	return 4 * blocks
}

func (v Vectors) inverse(at, size, have int) {
	if !hasGFNI {
		v.inverseLayers(at, at, size, have)
		return
	}
	v.inverseFast(at, at, size, have, 0)
}

// inverseFast runs the layers of inverse in the slots from slot on. Two layers are already done in the first done
// slots.
func (v Vectors) inverseFast(slot, at, size, have, done int) {
	m := matrices()
	data := &v.Slots(slot, slot+size)[0]
	block := 4
	if rest := (have+3)/4 - done/4; done > 0 && rest > 0 {
		from, first := &v.Slot(slot + done)[0], at/4+done/4
		inverse4(from, from, v.width, rest, &m[first], &m[2*first])
	}
	if done > 0 {
		block = 16
	}
	for ; block <= size; block *= 4 {
		first := at / block
		inverse4(data, data, block/4*v.width, (have+block-1)/block, &m[first], &m[2*first])
	}
	if block/2 == size {
		inverse2(data, data, size/2*v.width, 1, &m[at/size])
	}
}

// inverseStart runs the first two layers on as many of the first count vectors in src as it can.
func (v Vectors) inverseStart(slot, at, size int, src Strided, count int) int {
	blocks := count / 4
	if !hasGFNI || size < 4 || blocks == 0 || v.width != src.slot() {
		return 0
	}
	m, first := matrices(), at/4
	whole, spread := src.masks()
	inverse4From(&v.Slot(slot)[0], v.width, &src.Buf[0], src.Stride, src.Parts, src.Step, src.groups(),
		whole, spread, blocks,
		&m[first], &m[2*first])
	return 4 * blocks
}

func (v Vectors) inverseEnd(slot, at, size, have, done int) {
	if size == 1 {
		return
	}
	if !hasGFNI {
		v.inverseLayers(slot, at, size, have)
		return
	}
	v.inverseFast(slot, at, size, have, done)
}

// masks returns bit masks of the bytes of a tail: in memory, and in a group.
func (s Strided) masks() (whole, spread uint64) {
	half := uint64(1)<<(s.tail()/2) - 1
	return 1<<s.tail() - 1, half | half<<(GroupSize/2)
}

func (s Strided) aligned() bool {
	return uintptr(unsafe.Pointer(&s.Buf[0]))%GroupSize == 0 && s.Stride%GroupSize == 0 && s.Step%GroupSize == 0
}

func move(dst, src Strided, count, ahead int, stream bool) {
	if !hasGFNI {
		moveEach(dst, src, count)
		return
	}
	whole, _ := src.masks()
	to := moveGroups
	if stream && dst.aligned() {
		to = moveStream
	}
	to(&dst.Buf[0], dst.Stride, dst.Step, &src.Buf[0], src.Stride, src.Step, src.Parts, src.groups(), whole,
		count, ahead*src.Stride)
}

// Fence makes streamed writes visible to other processors before all later writes.
func Fence() { fence() }

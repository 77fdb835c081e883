// Command asm writes the assembly of package fft16. It has its own module, to keep its dependencies out of the
// program's. Run it by go generate in the parent folder.
package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

const (
	groupSize  = 64 // a register: 32 low bytes, then the 32 high bytes, of 32 elements
	matrixSize = 32 // of four 8×8 bit matrices: low→low, high→high, high→low, low→high
)

func main() {
	straight := indices("straight", 0, 1)
	crossed := indices("crossed", 2, 3)
	for _, inverse := range []bool{false, true} {
		radix2(inverse, straight, crossed)
		radix4(inverse, straight, crossed)
	}
	inverse4From(straight, crossed)
	for _, stream := range []bool{false, true} {
		forward4To(stream, straight, crossed)
		move(stream)
	}
	mulAdd(straight, crossed)
	fence()
	Generate()
}

// indices is a table that spreads two of the four matrices over the halves of a register.
func indices(name string, low, high int) Mem {
	table := GLOBL(name, RODATA|NOPTR)
	for i := range 8 {
		word := low
		if i >= 4 {
			word = high
		}
		DATA(8*i, U64(word))
	}
	return table
}

// factor is a constant of a butterfly, spread over two registers.
type factor struct{ straight, crossed reg.VecPhysical }

var (
	low, high = reg.Z30, reg.Z31 // registers of the index tables
	factors   = [3]factor{{reg.Z24, reg.Z25}, {reg.Z26, reg.Z27}, {reg.Z28, reg.Z29}}
)

func loadFactor(f factor, from Mem) {
	VMOVDQU(from, reg.Y8)
	VPERMQ(reg.Z8, low, f.straight)
	VPERMQ(reg.Z8, high, f.crossed)
}

// multiplyAdd computes x ^= f·y with two temporaries.
func multiplyAdd(x, y reg.VecPhysical, f factor, t, u reg.VecPhysical) {
	VSHUFI64X2(U8(0x4E), y, y, u)
	VGF2P8AFFINEQB(U8(0), f.straight, y, t)
	VGF2P8AFFINEQB(U8(0), f.crossed, u, u)
	VPTERNLOGQ(U8(0x96), t, u, x) // xor of three
}

func butterfly(inverse bool, x, y reg.VecPhysical, f factor, t, u reg.VecPhysical) {
	if inverse {
		VPXORQ(x, y, y)
	}
	multiplyAdd(x, y, f, t, u)
	if !inverse {
		VPXORQ(x, y, y)
	}
}

func direction(inverse bool) string {
	if inverse {
		return "inverse"
	}
	return "forward"
}

// radix2 runs one layer.
func radix2(inverse bool, straight, crossed Mem) {
	name := direction(inverse) + "2"
	TEXT(name, NOSPLIT, "func(dst, src *byte, half, blocks int, factors *[4]uint64)")
	Pragma("noescape")
	Doc(name + " runs one layer over blocks of 2·half bytes. Block b uses factor b. dst may be src.")
	dst := Load(Param("dst"), reg.RDI)
	src := Load(Param("src"), reg.RSI)
	half := Load(Param("half"), reg.RBX)
	blocks := Load(Param("blocks"), reg.RCX)
	table := Load(Param("factors"), reg.R8)
	VMOVDQU64(straight, low)
	VMOVDQU64(crossed, high)
	left := reg.RDX
	Label("block")
	loadFactor(factors[0], Mem{Base: table})
	MOVQ(half, left)
	Label("group")
	VMOVDQU64(Mem{Base: src}, reg.Z0)
	VMOVDQU64(Mem{Base: src, Index: half, Scale: 1}, reg.Z1)
	butterfly(inverse, reg.Z0, reg.Z1, factors[0], reg.Z4, reg.Z5)
	VMOVDQU64(reg.Z0, Mem{Base: dst})
	VMOVDQU64(reg.Z1, Mem{Base: dst, Index: half, Scale: 1})
	ADDQ(U32(groupSize), src)
	ADDQ(U32(groupSize), dst)
	SUBQ(U32(groupSize), left)
	JNZ(LabelRef("group"))
	ADDQ(half, src)
	ADDQ(half, dst)
	ADDQ(U32(matrixSize), table)
	DECQ(blocks)
	JNZ(LabelRef("block"))
	VZEROUPPER()
	RET()
}

// four lists the registers of a butterfly of two layers.
var four = []reg.VecPhysical{reg.Z0, reg.Z1, reg.Z2, reg.Z3}

// butterfly4 does both layers for one group of four slots.
func butterfly4(inverse bool) {
	layers := []func(){
		func() {
			butterfly(inverse, four[0], four[2], factors[0], reg.Z4, reg.Z5)
			butterfly(inverse, four[1], four[3], factors[0], reg.Z6, reg.Z7)
		},
		func() {
			butterfly(inverse, four[0], four[1], factors[1], reg.Z4, reg.Z5)
			butterfly(inverse, four[2], four[3], factors[2], reg.Z6, reg.Z7)
		},
	}
	if inverse {
		layers[0], layers[1] = layers[1], layers[0]
	}
	layers[0]()
	layers[1]()
}

// quarters returns the addresses of a group in four slots that are quarter bytes apart; three holds 3·quarter.
func quarters(base, quarter, three reg.Register) []Mem {
	return []Mem{
		{Base: base}, {Base: base, Index: quarter, Scale: 1}, {Base: base, Index: quarter, Scale: 2},
		{Base: base, Index: three, Scale: 1},
	}
}

func loadFactors(outer, inner reg.Register) {
	loadFactor(factors[0], Mem{Base: outer})
	loadFactor(factors[1], Mem{Base: inner})
	loadFactor(factors[2], Mem{Base: inner, Disp: matrixSize})
}

// radix4 runs two layers at once.
func radix4(inverse bool, straight, crossed Mem) {
	name := direction(inverse) + "4"
	TEXT(name, NOSPLIT, "func(dst, src *byte, quarter, blocks int, outer, inner *[4]uint64)")
	Pragma("noescape")
	Doc(name+" runs two layers over blocks of 4·quarter bytes. Block b uses factor b in the outer layer, and factors",
		"2b and 2b+1 in the inner one. dst may be src.")
	dst := Load(Param("dst"), reg.RDI)
	src := Load(Param("src"), reg.RSI)
	quarter := Load(Param("quarter"), reg.RBX)
	blocks := Load(Param("blocks"), reg.RCX)
	outer := Load(Param("outer"), reg.R8)
	inner := Load(Param("inner"), reg.R9)
	VMOVDQU64(straight, low)
	VMOVDQU64(crossed, high)
	left, three := reg.RDX, reg.RAX
	LEAQ(Mem{Base: quarter, Index: quarter, Scale: 2}, three)
	Label("block")
	loadFactors(outer, inner)
	MOVQ(quarter, left)
	Label("group")
	for i, at := range quarters(src, quarter, three) {
		VMOVDQU64(at, four[i])
	}
	butterfly4(inverse)
	for i, at := range quarters(dst, quarter, three) {
		VMOVDQU64(four[i], at)
	}
	ADDQ(U32(groupSize), src)
	ADDQ(U32(groupSize), dst)
	SUBQ(U32(groupSize), left)
	JNZ(LabelRef("group"))
	ADDQ(three, src)
	ADDQ(three, dst)
	ADDQ(U32(matrixSize), outer)
	ADDQ(U32(2*matrixSize), inner)
	DECQ(blocks)
	JNZ(LabelRef("block"))
	VZEROUPPER()
	RET()
}

// mulAdd multiplies one vector and adds it to another.
func mulAdd(straight, crossed Mem) {
	TEXT("mulAdd", NOSPLIT, "func(dst, src *byte, size int, factor *[4]uint64)")
	Pragma("noescape")
	Doc("mulAdd computes dst ^= factor·src over size bytes.")
	dst := Load(Param("dst"), reg.RDI)
	src := Load(Param("src"), reg.RSI)
	size := Load(Param("size"), reg.RCX)
	table := Load(Param("factor"), reg.R8)
	VMOVDQU64(straight, low)
	VMOVDQU64(crossed, high)
	loadFactor(factors[0], Mem{Base: table})
	Label("group")
	VMOVDQU64(Mem{Base: dst}, reg.Z0)
	VMOVDQU64(Mem{Base: src}, reg.Z1)
	multiplyAdd(reg.Z0, reg.Z1, factors[0], reg.Z4, reg.Z5)
	VMOVDQU64(reg.Z0, Mem{Base: dst})
	ADDQ(U32(groupSize), dst)
	ADDQ(U32(groupSize), src)
	SUBQ(U32(groupSize), size)
	JNZ(LabelRef("group"))
	VZEROUPPER()
	RET()
}

package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// The first layers of an inverse transform and the last ones of a forward transform, between slots and vectors in
// memory. Vectors are stride bytes apart, their parts step bytes apart. A part has a number of full groups. If spread
// is not zero it also has a tail: as many low as high bytes, at the positions of the set bits of spread when in a
// register.

var whole, spread = reg.K1, reg.K2 // the bytes of a tail in memory, and in a register

func loadTail() {
	mask := reg.RAX
	Load(Param("whole"), mask)
	KMOVQ(mask, whole)
	Load(Param("spread"), mask)
	KMOVQ(mask, spread)
}

// argument returns the memory of a parameter.
func argument(name string) Mem {
	at, err := Param(name).Resolve()
	if err != nil {
		panic(err)
	}
	return at.Addr
}

// inverse4From runs the first two layers.
func inverse4From(straight, crossed Mem) {
	TEXT("inverse4From", NOSPLIT,
		"func(dst *byte, width int, src *byte, stride, parts, step, groups int, whole, spread uint64, blocks int, outer, inner *[4]uint64)")
	Pragma("noescape")
	Doc("inverse4From runs the first two layers over vectors at src, into blocks of four slots of width bytes at dst. Each",
		"part of a vector has groups full groups and, if spread is not zero, a tail.")
	dst := Load(Param("dst"), reg.RDI)
	width := Load(Param("width"), reg.RBX)
	stride := Load(Param("stride"), reg.R10)
	step := Load(Param("step"), reg.R11)
	blocks := Load(Param("blocks"), reg.RCX)
	outer := Load(Param("outer"), reg.R8)
	inner := Load(Param("inner"), reg.R9)
	loadTail()
	next := Load(Param("src"), reg.R12)
	groups, parts := argument("groups"), argument("parts")
	VMOVDQU64(straight, low)
	VMOVDQU64(crossed, high)
	src, left, three, three3 := reg.RSI, reg.RDX, reg.RAX, reg.R15
	part, more := reg.R13, reg.R14
	LEAQ(Mem{Base: width, Index: width, Scale: 2}, three)
	LEAQ(Mem{Base: stride, Index: stride, Scale: 2}, three3)
	store := func() {
		for i, at := range quarters(dst, width, three) {
			VMOVDQU64(four[i], at)
		}
		ADDQ(U32(groupSize), dst)
	}
	Label("block")
	loadFactors(outer, inner)
	MOVQ(next, part)
	MOVQ(parts, more)
	Label("part")
	MOVQ(part, src)
	MOVQ(groups, left)
	TESTQ(left, left)
	JZ(LabelRef("tail"))
	Label("group")
	for i, at := range quarters(src, stride, three3) {
		VMOVDQU64(at, four[i])
	}
	butterfly4(true)
	store()
	ADDQ(U32(groupSize), src)
	DECQ(left)
	JNZ(LabelRef("group"))
	Label("tail")
	KTESTQ(spread, spread)
	JZ(LabelRef("next"))
	for i, at := range quarters(src, stride, three3) {
		VMOVDQU8_Z(at, whole, four[i])
		VPEXPANDB_Z(four[i], spread, four[i])
	}
	butterfly4(true)
	store()
	Label("next")
	ADDQ(step, part)
	DECQ(more)
	JNZ(LabelRef("part"))
	ADDQ(three, dst)
	LEAQ(Mem{Base: next, Index: stride, Scale: 4}, next)
	ADDQ(U32(matrixSize), outer)
	ADDQ(U32(2*matrixSize), inner)
	DECQ(blocks)
	JNZ(LabelRef("block"))
	VZEROUPPER()
	RET()
}

// forward4To runs the last two layers.
func forward4To(stream bool, straight, crossed Mem) {
	name, how := "forward4To", ""
	if stream {
		name, how = "forward4Stream", " It writes past the caches: dst must be aligned."
	}
	TEXT(name, NOSPLIT,
		"func(dst *byte, stride, parts, step int, src *byte, width, groups int, whole, spread uint64, blocks int, outer, inner *[4]uint64)")
	Pragma("noescape")
	Doc(name+" runs the last two layers over blocks of four slots of width bytes at src, into vectors at dst.",
		"Each part has groups full groups and, if spread is not zero, a tail."+how)
	src := Load(Param("src"), reg.RSI)
	width := Load(Param("width"), reg.RBX)
	stride := Load(Param("stride"), reg.R10)
	step := Load(Param("step"), reg.R11)
	blocks := Load(Param("blocks"), reg.RCX)
	outer := Load(Param("outer"), reg.R8)
	inner := Load(Param("inner"), reg.R9)
	loadTail()
	next := Load(Param("dst"), reg.R12)
	groups, parts := argument("groups"), argument("parts")
	VMOVDQU64(straight, low)
	VMOVDQU64(crossed, high)
	dst, left, three, three3 := reg.RDI, reg.RDX, reg.RAX, reg.R15
	part, more := reg.R13, reg.R14
	LEAQ(Mem{Base: width, Index: width, Scale: 2}, three)
	LEAQ(Mem{Base: stride, Index: stride, Scale: 2}, three3)
	load := func() {
		for i, at := range quarters(src, width, three) {
			VMOVDQU64(at, four[i])
		}
		ADDQ(U32(groupSize), src)
	}
	Label("block")
	loadFactors(outer, inner)
	MOVQ(next, part)
	MOVQ(parts, more)
	Label("part")
	MOVQ(part, dst)
	MOVQ(groups, left)
	TESTQ(left, left)
	JZ(LabelRef("tail"))
	Label("group")
	load()
	butterfly4(false)
	for i, at := range quarters(dst, stride, three3) {
		if stream {
			VMOVNTDQ(four[i], at)
		} else {
			VMOVDQU64(four[i], at)
		}
	}
	ADDQ(U32(groupSize), dst)
	DECQ(left)
	JNZ(LabelRef("group"))
	Label("tail")
	KTESTQ(spread, spread)
	JZ(LabelRef("next"))
	load()
	butterfly4(false)
	for i, at := range quarters(dst, stride, three3) {
		VPCOMPRESSB_Z(four[i], spread, four[i])
		VMOVDQU8(four[i], whole, at)
	}
	Label("next")
	ADDQ(step, part)
	DECQ(more)
	JNZ(LabelRef("part"))
	ADDQ(three, src)
	LEAQ(Mem{Base: next, Index: stride, Scale: 4}, next)
	ADDQ(U32(matrixSize), outer)
	ADDQ(U32(2*matrixSize), inner)
	DECQ(blocks)
	JNZ(LabelRef("block"))
	VZEROUPPER()
	RET()
}

// move copies vectors without a transform.
func move(stream bool) {
	name, how := "moveGroups", ""
	if stream {
		name, how = "moveStream", " It writes past the caches: dst must be aligned."
	}
	TEXT(name, NOSPLIT, "func(dst *byte, dstStride, dstStep int, src *byte, srcStride, srcStep, parts, groups int, whole uint64, count, ahead int)")
	Pragma("noescape")
	Doc(name+" copies count vectors: the full groups of each part, then the bytes of its tail that whole selects.",
		"It prefetches ahead bytes beyond each read."+how)
	next := Load(Param("src"), reg.R8)
	to := Load(Param("dst"), reg.R9)
	srcStride := Load(Param("srcStride"), reg.R10)
	srcStep := Load(Param("srcStep"), reg.R11)
	dstStride := Load(Param("dstStride"), reg.R12)
	dstStep := Load(Param("dstStep"), reg.R13)
	groups, parts := argument("groups"), argument("parts")
	count := Load(Param("count"), reg.RCX)
	ahead := Load(Param("ahead"), reg.RAX)
	mask := Load(Param("whole"), reg.RBX)
	KMOVQ(mask, whole)
	src, dst, left := reg.RSI, reg.RDI, reg.RDX
	more, from, at := reg.RBX, reg.R14, reg.R15
	Label("vector")
	MOVQ(next, from)
	MOVQ(to, at)
	MOVQ(parts, more)
	Label("part")
	MOVQ(from, src)
	MOVQ(at, dst)
	MOVQ(groups, left)
	TESTQ(left, left)
	JZ(LabelRef("tail"))
	Label("group")
	VMOVDQU64(Mem{Base: src}, reg.Z0)
	PREFETCHT0(Mem{Base: src, Index: ahead, Scale: 1})
	if stream {
		VMOVNTDQ(reg.Z0, Mem{Base: dst})
	} else {
		VMOVDQU64(reg.Z0, Mem{Base: dst})
	}
	ADDQ(U32(groupSize), src)
	ADDQ(U32(groupSize), dst)
	DECQ(left)
	JNZ(LabelRef("group"))
	Label("tail")
	KTESTQ(whole, whole)
	JZ(LabelRef("next"))
	VMOVDQU8_Z(Mem{Base: src}, whole, reg.Z0)
	VMOVDQU8(reg.Z0, whole, Mem{Base: dst})
	Label("next")
	ADDQ(srcStep, from)
	ADDQ(dstStep, at)
	DECQ(more)
	JNZ(LabelRef("part"))
	ADDQ(srcStride, next)
	ADDQ(dstStride, to)
	DECQ(count)
	JNZ(LabelRef("vector"))
	VZEROUPPER()
	RET()
}

func fence() {
	TEXT("fence", NOSPLIT, "func()")
	Doc("fence makes all writes past the caches visible before any later write.")
	SFENCE()
	RET()
}

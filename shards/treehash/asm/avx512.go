package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

var zmm = []reg.VecPhysical{
	reg.Z0, reg.Z1, reg.Z2, reg.Z3, reg.Z4, reg.Z5, reg.Z6, reg.Z7,
	reg.Z8, reg.Z9, reg.Z10, reg.Z11, reg.Z12, reg.Z13, reg.Z14, reg.Z15,
	reg.Z16, reg.Z17, reg.Z18, reg.Z19, reg.Z20, reg.Z21, reg.Z22, reg.Z23,
	reg.Z24, reg.Z25, reg.Z26, reg.Z27, reg.Z28, reg.Z29, reg.Z30, reg.Z31,
}

// leaves512 keeps the 16 words of eight hashes in Z0…Z15 and the 16 words of their message blocks in Z16…Z31. The
// chaining values wait on the stack. The blocks of a message start one byte before its data: that byte of the first
// block is masked and taken from lead, and what is beyond the message's end is masked too.
func leaves512(words Mem) {
	c := begin("leavesAVX512", "lead *byte, ", "leavesAVX512 adds blocks to 8 states.")
	v, m := zmm[:16], zmm[16:]
	local := AllocLocal(9*64 + 64)
	h, lead, mask, rest := reg.RDX, reg.R11, reg.R12, reg.R13
	aligned(local, 64, h)
	for i := range 8 {
		VMOVDQU64(Mem{Base: c.states, Disp: 64 * i}, m[i])
	}
	transpose8(m[:8], v[:8], v[8:])
	for i := range 8 {
		VMOVDQA64(v[i], Mem{Base: h, Disp: 64 * i})
	}
	behind := Mem{Base: h, Disp: 64 * 8} // the first word of the blocks, but for the data
	Load(Param("lead"), lead)
	VPMOVZXBQ(Mem{Base: lead}, m[0])
	VMOVDQA64(m[0], behind)
	MOVQ(I64(-2), mask) // all but the first byte

	Label("block")
	MOVQ(c.total, rest)
	SUBQ(c.counter, rest) // bytes of the message from here on
	c.count()
	MOVQ(U32(blockSize), c.pointer) // the index of BZHI is but a byte
	CMPQ(rest, c.pointer)
	CMOVQGT(c.pointer, rest)
	BZHIQ(rest, mask, mask)
	KMOVQ(mask, reg.K1)
	XORQ(c.pointer, c.pointer)
	SUBQ(U32(64), rest)
	CMOVQLT(c.pointer, rest)
	MOVQ(I64(-1), mask)
	BZHIQ(rest, mask, rest)
	KMOVQ(rest, reg.K2)
	for half, k := range []reg.Register{reg.K1, reg.K2} {
		for i := range 8 {
			VMOVDQU8_Z(c.lane(i).Offset(64*half-1), k, v[i])
		}
		transpose8(v[:8], m[8*half:8*half+8], v[8:])
	}
	VPORQ(behind, m[0], m[0])
	VPXORQ(v[0], v[0], v[0])
	VMOVDQA64(v[0], behind)
	for i := range 8 {
		VMOVDQA64(Mem{Base: h, Disp: 64 * i}, v[i])
		VPBROADCASTQ(words.Offset(8*i), v[8+i])
	}
	VPBROADCASTQ(c.counter, v[12])
	VPXORQ_BCST(words.Offset(8*4), v[12], v[12])
	VPBROADCASTQ(c.last, v[14])
	VPXORQ_BCST(words.Offset(8*6), v[14], v[14])
	mix512(v, m)
	for i := range 8 {
		VPTERNLOGQ(U8(0x96), Mem{Base: h, Disp: 64 * i}, v[8+i], v[i]) // xor of three
		VMOVDQA64(v[i], Mem{Base: h, Disp: 64 * i})
	}
	ADDQ(U32(blockSize), c.offset)
	DECQ(c.blocks)
	JNZ(LabelRef("block"))
	transpose8(v[:8], m[:8], m[8:])
	for i := range 8 {
		VMOVDQU64(m[i], Mem{Base: c.states, Disp: 64 * i})
	}
	VZEROUPPER()
	RET()
}

// parents512 hashes one block of 65 bytes for each lane: the prefix, a node from left and one from right. The words
// from the tenth on are zero and never added.
func parents512(words Mem) {
	const length = 1 + 64
	start := GLOBL("parent16", RODATA|NOPTR)
	for i, w := range iv {
		if i == 0 {
			w ^= 0x01010000 ^ 32
		}
		DATA(8*i, U64(w))
	}
	for i, w := range iv {
		switch i {
		case 4:
			w ^= length
		case 6:
			w = ^w
		}
		DATA(8*(8+i), U64(w))
	}
	one := GLOBL("one", RODATA|NOPTR)
	DATA(0, U64(1))

	TEXT("parentsAVX512", 0, "func(dst, left, right *byte, step, groups int)")
	Pragma("noescape")
	Doc("parentsAVX512 sets 8·groups hashes at dst to the parents of those that lie step bytes apart at left and right.")
	dst, left, right, step, groups := reg.RDI, reg.RSI, reg.RDX, reg.RAX, reg.RCX
	Load(Param("dst"), dst)
	Load(Param("left"), left)
	Load(Param("right"), right)
	Load(Param("step"), step)
	Load(Param("groups"), groups)
	v, m := zmm[:16], zmm[16:]
	Label("group")
	for i := range 8 {
		low := ymm[i]
		VMOVDQU(Mem{Base: left}, low)
		VINSERTI64X4(U8(1), Mem{Base: right}, v[i], v[i])
		ADDQ(step, left)
		ADDQ(step, right)
	}
	transpose8(v[:8], m[:8], v[8:])
	// Shift all words by one byte for the prefix.
	VPSRLQ(U8(56), m[7], m[8])
	for i := 7; i > 0; i-- {
		VPSLLQ(U8(8), m[i], m[i])
		VPSRLQ(U8(56), m[i-1], v[i])
		VPORQ(v[i], m[i], m[i])
	}
	VPSLLQ(U8(8), m[0], m[0])
	VPORQ_BCST(one, m[0], m[0])
	for i := range v {
		VPBROADCASTQ(start.Offset(8*i), v[i])
	}
	mix512(v, m[:9])
	for i := range 4 {
		VPBROADCASTQ(start.Offset(8*i), m[0])
		VPTERNLOGQ(U8(0x96), m[0], v[8+i], v[i])
	}
	transpose8(v[:8], v[8:], m[8:]) // only the first four words of each hash are right, and wanted
	for i := range 8 {
		VMOVDQU(ymm[8+i], Mem{Base: dst, Disp: 32 * i})
	}
	ADDQ(U32(8*32), dst)
	DECQ(groups)
	JNZ(LabelRef("group"))
	VZEROUPPER()
	RET()
}

// mix512 is the twelve rounds. Message words that are not in m are zero.
func mix512(v, m []reg.VecPhysical) {
	eachRound(func(w [4][4]int, message [4][2]int) {
		each := func(f func(k int, a, b, c, d reg.VecPhysical)) {
			for k := range 4 {
				f(k, v[w[k][0]], v[w[k][1]], v[w[k][2]], v[w[k][3]])
			}
		}
		for half, rotations := range [2][2]uint8{{32, 24}, {16, 63}} {
			each(func(k int, a, _, _, _ reg.VecPhysical) {
				if word := message[k][half]; word < len(m) {
					VPADDQ(m[word], a, a)
				}
			})
			each(func(k int, a, b, _, _ reg.VecPhysical) { VPADDQ(b, a, a) })
			each(func(k int, a, _, _, d reg.VecPhysical) { VPXORQ(a, d, d) })
			each(func(k int, _, _, _, d reg.VecPhysical) { VPRORQ(U8(rotations[0]), d, d) })
			each(func(k int, _, _, c, d reg.VecPhysical) { VPADDQ(d, c, c) })
			each(func(k int, _, b, c, _ reg.VecPhysical) { VPXORQ(c, b, b) })
			each(func(k int, _, b, _, _ reg.VecPhysical) { VPRORQ(U8(rotations[1]), b, b) })
		}
	})
}

// transpose8 turns 8 rows of 8 words in from into 8 columns in to. It uses 8 registers in tmp and destroys from.
func transpose8(from, to, tmp []reg.VecPhysical) {
	t, u := tmp, from
	for i := range 4 {
		VPUNPCKLQDQ(from[2*i+1], from[2*i], t[2*i])
		VPUNPCKHQDQ(from[2*i+1], from[2*i], t[2*i+1])
	}
	for odd := range 2 {
		a := u[4*odd : 4*odd+4]
		VSHUFI64X2(U8(0x88), t[2+odd], t[odd], a[0])
		VSHUFI64X2(U8(0xDD), t[2+odd], t[odd], a[1])
		VSHUFI64X2(U8(0x88), t[6+odd], t[4+odd], a[2])
		VSHUFI64X2(U8(0xDD), t[6+odd], t[4+odd], a[3])
		VSHUFI64X2(U8(0x88), a[2], a[0], to[odd])
		VSHUFI64X2(U8(0xDD), a[2], a[0], to[4+odd])
		VSHUFI64X2(U8(0x88), a[3], a[1], to[2+odd])
		VSHUFI64X2(U8(0xDD), a[3], a[1], to[6+odd])
	}
}

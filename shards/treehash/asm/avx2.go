package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

var ymm = []reg.VecPhysical{
	reg.Y0, reg.Y1, reg.Y2, reg.Y3, reg.Y4, reg.Y5, reg.Y6, reg.Y7,
	reg.Y8, reg.Y9, reg.Y10, reg.Y11, reg.Y12, reg.Y13, reg.Y14, reg.Y15,
}

// compress2 keeps words 1…15 of four hashes in Y1…Y15. Word 0, which is only ever added to, is on the stack, as is
// the message; Y0 is the temporary. The states are four of the eight lanes that lie together.
func compress2(words Mem) {
	rotate24 := GLOBL("rotate24", RODATA|NOPTR)
	shuffle(3)
	rotate16 := GLOBL("rotate16", RODATA|NOPTR)
	shuffle(2)

	c := begin("compressAVX2", "", "compressAVX2 adds blocks to 4 states.")
	local := AllocLocal((16+1)*32 + 32)
	frame := reg.RDX
	aligned(local, 32, frame)
	message := func(i int) Mem { return Mem{Base: frame, Disp: 32 * i} }
	word0 := Mem{Base: frame, Disp: 32 * 16}

	Label("block")
	c.count()
	for quarter := range 4 {
		from := ymm[:4]
		for i := range 4 {
			VMOVDQU(c.lane(i).Offset(32*quarter), from[i])
		}
		transpose4(from, ymm[4:8], ymm[8:12])
		for i := range 4 {
			VMOVDQA(ymm[4+i], message(4*quarter+i))
		}
	}
	VMOVDQU(c.value(0, 0), ymm[0])
	VMOVDQA(ymm[0], word0)
	for i := 1; i < 8; i++ {
		VMOVDQU(c.value(0, i), ymm[i])
	}
	for i := range 8 {
		VPBROADCASTQ(words.Offset(8*i), ymm[8+i])
	}
	xorBroadcast(c.counter, ymm[12])
	xorBroadcast(c.last, ymm[14])
	eachRound(func(w [4][4]int, order [4][2]int) {
		for half := range 2 {
			for k := range 4 {
				a, b, d := ymm[w[k][0]], ymm[w[k][1]], ymm[w[k][3]]
				if w[k][0] == 0 {
					VPADDQ(word0, b, a)
				} else {
					VPADDQ(b, a, a)
				}
				VPADDQ(message(order[k][half]), a, a)
				if w[k][0] == 0 {
					VMOVDQA(a, word0)
				}
				VPXOR(a, d, d)
			}
			for k := range 4 {
				b, c, d := ymm[w[k][1]], ymm[w[k][2]], ymm[w[k][3]]
				if half == 0 {
					VPSHUFD(U8(0xB1), d, d)
				} else {
					VPSHUFB(rotate16, d, d)
				}
				VPADDQ(d, c, c)
				VPXOR(c, b, b)
			}
			for k := range 4 {
				b := ymm[w[k][1]]
				if half == 0 {
					VPSHUFB(rotate24, b, b)
				} else {
					VPADDQ(b, b, ymm[0])
					VPSRLQ(U8(63), b, b)
					VPOR(ymm[0], b, b)
				}
			}
		}
	})
	VMOVDQA(word0, ymm[0])
	for i := range 8 {
		VPXOR(ymm[8+i], ymm[i], ymm[i])
		VPXOR(c.value(0, i), ymm[i], ymm[i])
		VMOVDQU(ymm[i], c.value(0, i))
	}
	ADDQ(U32(blockSize), c.offset)
	DECQ(c.blocks)
	JNZ(LabelRef("block"))
	VZEROUPPER()
	RET()
}

// shuffle is a table that rotates each word right by some bytes.
func shuffle(bytes int) {
	for i := range 4 {
		var word uint64
		for b := range 8 {
			word |= uint64(8*(i%2)+(b+bytes)%8) << (8 * b)
		}
		DATA(8*i, U64(word))
	}
}

// xorBroadcast xors value into all words of y.
func xorBroadcast(value reg.Register, y reg.VecPhysical) {
	VMOVQ(value, reg.X0)
	VPBROADCASTQ(reg.X0, reg.Y0)
	VPXOR(reg.Y0, y, y)
}

// transpose4 turns 4 rows of 4 words in from into 4 columns in to. It uses 4 registers in tmp.
func transpose4(from, to, tmp []reg.VecPhysical) {
	for i := range 2 {
		VPUNPCKLQDQ(from[2*i+1], from[2*i], tmp[2*i])
		VPUNPCKHQDQ(from[2*i+1], from[2*i], tmp[2*i+1])
	}
	for odd := range 2 {
		VPERM2I128(U8(0x20), tmp[2+odd], tmp[odd], to[odd])
		VPERM2I128(U8(0x31), tmp[2+odd], tmp[odd], to[2+odd])
	}
}

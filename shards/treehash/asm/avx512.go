package main

import (
	"fmt"

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

// frame is the stack memory of a kernel of one or two sets of eight lanes, for values that do not fit registers. The
// 16 words being mixed take 16 registers per set; two sets hide each other's latencies.
type frame struct {
	base reg.Register
	sets int
}

const frameWords = 16 + 1 // per set

func newFrame(sets int, base reg.Register) frame {
	local := AllocLocal(frameWords*sets*64 + 64)
	aligned(local, 64, base)
	return frame{base, sets}
}

func (f frame) word(i int) Mem { return Mem{Base: f.base, Disp: 64 * i} }

// message returns message word i of a set. Behind the words lies the part of the first word that is not data.
func (f frame) message(set, i int) Mem { return f.word(frameWords*set + i) }
func (f frame) behind(set int) Mem     { return f.word(frameWords*set + 16) }

// leaves512 absorbs blocks of 8 or 16 leaves. A message's blocks start one byte before its data. In the first block
// that byte is masked and taken from lead. Bytes beyond the message's end are masked, too.
func leaves512(words Mem, sets int) {
	name := fmt.Sprintf("leaves%dAVX512", 8*sets)
	c := begin(name, "lead *byte, ", fmt.Sprintf("%s adds blocks to %d states.", name, 8*sets))
	f := newFrame(sets, reg.RDX)
	lead, mask, rest := reg.R11, reg.R12, reg.R13
	Load(Param("lead"), lead)
	for set := range sets {
		VPMOVZXBQ(Mem{Base: lead, Disp: 8 * set}, zmm[0])
		VMOVDQA64(zmm[0], f.behind(set))
	}
	MOVQ(I64(-2), mask) // all but the first byte

	Label("block")
	c.masks(mask, rest)
	for set := range sets {
		for half, k := range []reg.Register{reg.K1, reg.K2} {
			from, to := zmm[:8], zmm[8:16]
			for i := range from {
				VMOVDQU8_Z(c.lane(8*set+i).Offset(64*half-1), k, from[i])
			}
			transpose8(from, to, zmm[16:])
			if half == 0 {
				VPORQ(f.behind(set), to[0], to[0])
				VPXORQ(from[0], from[0], from[0])
				VMOVDQA64(from[0], f.behind(set))
			}
			for i := range to {
				VMOVDQA64(to[i], f.message(set, 8*half+i))
			}
		}
	}
	c.start(words, sets, c.counter)
	f.mix(16)
	for set := range sets {
		v := zmm[16*set:]
		for i := range 8 {
			VPTERNLOGQ(U8(0x96), c.value(set, i), v[8+i], v[i]) // xor of three
			VMOVDQU64(v[i], c.value(set, i))
		}
	}
	ADDQ(U32(blockSize), c.offset)
	DECQ(c.blocks)
	JNZ(LabelRef("block"))
	VZEROUPPER()
	RET()
}

// masks sets K1 and K2 to the data bytes in the first and in the second half of the current block. It advances the
// counter, and sets mask to all ones for the next block.
func (c *counting) masks(mask, rest reg.Register) {
	MOVQ(c.total, rest)
	SUBQ(c.counter, rest) // bytes of the message from here on
	c.count()
	MOVQ(U32(blockSize), c.pointer) // BZHI uses only a byte of its index
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
}

// tails512 adds its last block to each of 16 leaves, if that block is at most half full: words from the eighth on are
// zero and never added. The block begins at offset of the data; with offset 0, it begins with the byte from lead.
func tails512(words Mem) {
	const sets, half = 2, 8
	TEXT("tails16AVX512", 0, "func(states *uint64, data *[]byte, lead *byte, offset, rest int, total uint64)")
	Pragma("noescape")
	Doc("tails16AVX512 adds its last block, of at most 64 bytes, to each of 16 states.")
	c := &counting{states: reg.RDI, lanes: reg.RSI, offset: reg.RAX, total: reg.R9, last: reg.R10, pointer: reg.RBX}
	lead, rest, first := reg.R11, reg.R12, reg.R13
	Load(Param("states"), reg.RDI)
	Load(Param("data"), reg.RSI)
	Load(Param("lead"), reg.R11)
	Load(Param("offset"), reg.RAX)
	Load(Param("rest"), reg.R12)
	Load(Param("total"), reg.R9)
	f := newFrame(sets, reg.RDX)
	MOVQ(I64(-1), c.last)
	BZHIQ(rest, c.last, rest) // the existing bytes
	XORQ(first, first)
	TESTQ(c.offset, c.offset)
	SETEQ(reg.R13B)
	XORQ(first, rest)
	NEGQ(first)
	KMOVQ(rest, reg.K1)
	KMOVQ(first, reg.K2)
	for set := range sets {
		from, to := zmm[:8], zmm[8:16]
		for i := range from {
			VMOVDQU8_Z(c.lane(8*set+i).Offset(-1), reg.K1, from[i])
		}
		transpose8(from, to, zmm[16:])
		VPMOVZXBQ_Z(Mem{Base: lead, Disp: 8 * set}, reg.K2, from[0])
		VPORQ(from[0], to[0], to[0])
		for i := range to {
			VMOVDQA64(to[i], f.message(set, i))
		}
	}
	c.start(words, sets, c.total)
	f.mix(half)
	for set := range sets {
		v := zmm[16*set:]
		for i := range 4 { // the words of the hash
			VPTERNLOGQ(U8(0x96), c.value(set, i), v[8+i], v[i])
			VMOVDQU64(v[i], c.value(set, i))
		}
	}
	VZEROUPPER()
	RET()
}

// start fills the 16 words of each set for a block that ends at byte counter.
func (c *counting) start(words Mem, sets int, counter reg.Register) {
	for set := range sets {
		v := zmm[16*set:]
		for i := range 8 {
			VMOVDQU64(c.value(set, i), v[i])
			VPBROADCASTQ(words.Offset(8*i), v[8+i])
		}
		VPBROADCASTQ(counter, v[12])
		VPXORQ_BCST(words.Offset(8*4), v[12], v[12])
		VPBROADCASTQ(c.last, v[14])
		VPXORQ_BCST(words.Offset(8*6), v[14], v[14])
	}
}

// parents512 hashes one block of 65 bytes in each of 16 lanes: the prefix, a node from left and one from right. The
// words from the tenth on are zero and never added.
func parents512() {
	const (
		sets   = 2
		length = 1 + 64
	)
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
	one, low := constant("one", 1), constant("low", 0xff)
	TEXT("parentsAVX512", 0, "func(dst, left, right *byte, step, jump, groups int)")
	Pragma("noescape")
	Doc("parentsAVX512 computes 16·groups nodes at dst from their children at left and right. Children are step bytes apart,",
		"with jump more after every eight.")
	dst, left, right, step, jump, groups := reg.RDI, reg.RSI, reg.RDX, reg.RAX, reg.RBX, reg.RCX
	Load(Param("dst"), dst)
	Load(Param("left"), left)
	Load(Param("right"), right)
	Load(Param("step"), step)
	Load(Param("jump"), jump)
	Load(Param("groups"), groups)
	f := newFrame(sets, reg.R8)
	Label("group")
	for set := range sets {
		for i := range 8 {
			VMOVDQU(Mem{Base: left}, ymm[i])
			VINSERTI64X4(U8(1), Mem{Base: right}, zmm[i], zmm[i])
			ADDQ(step, left)
			ADDQ(step, right)
		}
		ADDQ(jump, left)
		ADDQ(jump, right)
		m := zmm[8:17]
		transpose8(zmm[:8], m[:8], zmm[16:])
		prefix(m, zmm[0], one, low)
		for i := range m {
			VMOVDQA64(m[i], f.message(set, i))
		}
	}
	for i := range zmm {
		VPBROADCASTQ(start.Offset(8*(i%16)), zmm[i])
	}
	f.mix(9)
	for set := range sets {
		v := zmm[16*set:]
		for i := range 4 {
			VPXORQ(v[8+i], v[i], v[i])
			VPXORQ_BCST(start.Offset(8*i), v[i], v[i])
		}
		digests8(v[:4], v[4:8], func(lane int) Mem { return Mem{Base: dst, Disp: 32 * (8*set + lane)} })
	}
	ADDQ(U32(16*32), dst)
	DECQ(groups)
	JNZ(LabelRef("group"))
	VZEROUPPER()
	RET()
}

// prefix shifts the eight words of nodes in m by one byte, for the prefix byte, so that they become nine.
func prefix(m []reg.VecPhysical, mask reg.VecPhysical, one, low Mem) {
	VPBROADCASTQ(low, mask)
	for i := range 8 {
		VPROLQ(U8(8), m[i], m[i])
	}
	VPANDQ(mask, m[7], m[8])
	for i := 7; i > 0; i-- { // the low byte comes from the word before
		VPTERNLOGQ(U8(ternary(func(word, before, mask bool) bool { return mask && before || !mask && word })),
			mask, m[i-1], m[i])
	}
	VPANDNQ(m[0], mask, m[0])
	VPORQ_BCST(one, m[0], m[0])
}

func constant(name string, word uint64) Mem {
	m := GLOBL(name, RODATA|NOPTR)
	DATA(0, U64(word))
	return m
}

// ternary returns VPTERNLOGQ's table for f of a bit of the destination and of the two sources.
func ternary(f func(dst, a, b bool) bool) (table uint8) {
	for i := range 8 {
		if f(i&4 != 0, i&2 != 0, i&1 != 0) {
			table |= 1 << i
		}
	}
	return table
}

// digests512 copies the hashes out of states of eight leaves each.
func digests512() {
	TEXT("digestsAVX512", 0, "func(dst *byte, step int, states *uint64, octets int)")
	Pragma("noescape")
	Doc("digestsAVX512 writes the hashes of 8·octets states to dst, step bytes apart.")
	dst, step, states, octets := reg.RDI, reg.RAX, reg.RSI, reg.RCX
	Load(Param("dst"), dst)
	Load(Param("step"), step)
	Load(Param("states"), states)
	Load(Param("octets"), octets)
	odd := map[int]reg.Register{1: step, 3: reg.R8, 5: reg.R9, 7: reg.R10} // multiples of step
	LEAQ(Mem{Base: step, Index: step, Scale: 2}, reg.R8)
	LEAQ(Mem{Base: step, Index: step, Scale: 4}, reg.R9)
	LEAQ(Mem{Base: reg.R8, Index: step, Scale: 4}, reg.R10)
	Label("octet")
	for i := range 4 {
		VMOVDQU64(Mem{Base: states, Disp: 64 * i}, zmm[i])
	}
	digests8(zmm[:4], zmm[4:8], func(lane int) Mem {
		m := Mem{Base: dst}
		for scale := uint8(1); lane > 0 && scale <= 8; scale *= 2 {
			if index, ok := odd[lane/int(scale)]; ok && lane%int(scale) == 0 {
				m.Index, m.Scale = index, scale
			}
		}
		return m
	})
	ADDQ(U32(8*64), states)
	LEAQ(Mem{Base: dst, Index: step, Scale: 8}, dst)
	DECQ(octets)
	JNZ(LabelRef("octet"))
	VZEROUPPER()
	RET()
}

// digests8 writes eight hashes. words has their four words, with a lane for each hash. It uses 4 registers in tmp.
func digests8(words, tmp []reg.VecPhysical, at func(lane int) Mem) {
	for i := range 2 {
		VPUNPCKLQDQ(words[2*i+1], words[2*i], tmp[2*i])
		VPUNPCKHQDQ(words[2*i+1], words[2*i], tmp[2*i+1])
	}
	for odd := range 2 { // hashes 0, 2, 4 and 6, then the others
		VSHUFI64X2(U8(0x44), tmp[2+odd], tmp[odd], words[0]) // the halves of hashes 0 and 2
		VSHUFI64X2(U8(0xEE), tmp[2+odd], tmp[odd], words[1])
		for pair, w := range words[:2] {
			VSHUFI64X2(U8(0xD8), w, w, w)
			VMOVDQU64(w.AsY(), at(4*pair+odd))
			VEXTRACTI64X4(U8(1), w, at(4*pair+2+odd))
		}
	}
}

// mix does the twelve rounds. Message words from number words on are zero.
func (f frame) mix(words int) {
	eachRound(func(w [4][4]int, message [4][2]int) {
		each := func(do func(set, k int, a, b, c, d reg.VecPhysical)) {
			for set := range f.sets {
				v := zmm[16*set:]
				for k := range 4 {
					do(set, k, v[w[k][0]], v[w[k][1]], v[w[k][2]], v[w[k][3]])
				}
			}
		}
		for half, rotations := range [2][2]uint8{{32, 24}, {16, 63}} {
			each(func(set, k int, a, _, _, _ reg.VecPhysical) {
				if word := message[k][half]; word < words {
					VPADDQ(f.message(set, word), a, a)
				}
			})
			each(func(_, _ int, a, b, _, _ reg.VecPhysical) { VPADDQ(b, a, a) })
			each(func(_, _ int, a, _, _, d reg.VecPhysical) { VPXORQ(a, d, d) })
			each(func(_, _ int, _, _, _, d reg.VecPhysical) { VPRORQ(U8(rotations[0]), d, d) })
			each(func(_, _ int, _, _, c, d reg.VecPhysical) { VPADDQ(d, c, c) })
			each(func(_, _ int, _, b, c, _ reg.VecPhysical) { VPXORQ(c, b, b) })
			each(func(_, _ int, _, b, _, _ reg.VecPhysical) { VPRORQ(U8(rotations[1]), b, b) })
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

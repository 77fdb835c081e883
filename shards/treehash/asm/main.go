// Command asm writes the assembly of package treehash. It has its own module, to keep its dependencies out of the
// program's. Run it by go generate in the parent folder.
package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

var sigma = [10][16]int{
	{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15},
	{14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3},
	{11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4},
	{7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8},
	{9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13},
	{2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9},
	{12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11},
	{13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10},
	{6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5},
	{10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0},
}

var iv = [8]uint64{
	0x6a09e667f3bcc908, 0xbb67ae8584caa73b, 0x3c6ef372fe94f82b, 0xa54ff53a5f1d36f1,
	0x510e527fade682d1, 0x9b05688c2b3e6c1f, 0x1f83d9abfb41bd6b, 0x5be0cd19137e2179,
}

// columns and diagonals list the words of the four mixes in each half round, which are independent of each other.
var columns = [4][4]int{{0, 4, 8, 12}, {1, 5, 9, 13}, {2, 6, 10, 14}, {3, 7, 11, 15}}
var diagonals = [4][4]int{{0, 5, 10, 15}, {1, 6, 11, 12}, {2, 7, 8, 13}, {3, 4, 9, 14}}

const blockSize = 128

func main() {
	words := GLOBL("iv8", RODATA|NOPTR)
	for i, w := range iv {
		DATA(8*i, U64(w))
	}
	leaves512(words, 1)
	leaves512(words, 2)
	tails512(words)
	parents512()
	digests512()
	compress2(words)
	Generate()
}

// counting is the loop that both widths share: it tracks the pointer to the lanes' data, the offset of the block, and
// the number of bytes up to its end.
type counting struct {
	states, lanes                  reg.Register
	offset, blocks, counter, total reg.Register
	last, pointer                  reg.Register
}

func begin(name, arguments, doc string) *counting {
	TEXT(name, 0, "func(states *uint64, data *[]byte, "+arguments+"blocks int, before, total uint64)")
	Pragma("noescape")
	Doc(doc)
	c := &counting{
		states: reg.RDI, lanes: reg.RSI, offset: reg.RAX, blocks: reg.RCX, counter: reg.R8, total: reg.R9,
		last: reg.R10, pointer: reg.RBX,
	}
	Load(Param("states"), reg.RDI)
	Load(Param("data"), reg.RSI)
	Load(Param("blocks"), reg.RCX)
	Load(Param("before"), reg.R8)
	Load(Param("total"), reg.R9)
	XORQ(reg.RAX, reg.RAX)
	return c
}

// count advances the counter to the end of the current block, or of the message in the last block.
func (c *counting) count() {
	ADDQ(U32(blockSize), c.counter)
	CMPQ(c.counter, c.total)
	CMOVQCC(c.total, c.counter)
	SBBQ(c.last, c.last) // all ones if below
	NOTQ(c.last)
}

// value returns chaining value i of a set of lanes.
func (c *counting) value(set, i int) Mem { return Mem{Base: c.states, Disp: 64 * (8*set + i)} }

// lane sets pointer to the data of lane i.
func (c *counting) lane(i int) Mem {
	const sliceHeader = 24
	MOVQ(Mem{Base: c.lanes, Disp: sliceHeader * i}, c.pointer)
	return Mem{Base: c.pointer, Index: c.offset, Scale: 1}
}

func aligned(local Mem, size int, to reg.Register) {
	LEAQ(local.Offset(size-1), to)
	ANDQ(I32(-size), to)
}

// eachRound emits mixes for both halves of each round, one after the other. A processor switches from its decoders to
// its cache of decoded instructions only at a jump's target. Without these jumps, which have no other purpose, a
// block that begins in the decoders stays in them to its end and takes a third longer.
func eachRound(mixes func(words [4][4]int, message [4][2]int)) {
	for r := range 12 {
		label := fmt.Sprintf("round%d", r)
		JMP(LabelRef(label))
		INT(U8(3)) // keeps the assembler from dropping the jump
		Label(label)
		o := sigma[r%10]
		mixes(columns, [4][2]int{{o[0], o[1]}, {o[2], o[3]}, {o[4], o[5]}, {o[6], o[7]}})
		mixes(diagonals, [4][2]int{{o[8], o[9]}, {o[10], o[11]}, {o[12], o[13]}, {o[14], o[15]}})
	}
}

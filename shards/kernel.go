package shards

import (
	"walrus/shards/fft16"
	"walrus/shards/treehash"
)

// Kernel runs one inner loop alone, on data in a core's cache. Its speed limits the speed of whole tasks. It is not
// safe for concurrent use.
type Kernel struct {
	Run   func() // some milliseconds or less
	Units int    // of work in one Run
}

// HashBlock is the number of bytes in one compression of BLAKE2b.
const HashBlock = treehash.Window

// LeafKernel hashes the leaves of symbols of size bytes, at least 1. Its unit is a compression, which takes less time
// for longer symbols, up to some KiB.
func LeafKernel(size int) Kernel {
	const working = 64 << 10 // bytes
	count := max(16, working/size/16*16)
	l, symbols := treehash.NewLeaves(count), make([][]byte, count)
	for i := range symbols {
		symbols[i] = make([]byte, size)
	}
	return Kernel{func() {
		l.Reset()
		l.Absorb(symbols, 0, int64(size))
	}, count * int(leafBlocks(int64(size)))}
}

// longLeaf is the size of a symbol, in bytes, so long that its leaf costs only its blocks. The prefix fills up the
// last block.
const longLeaf = 32*HashBlock - 1

// NodeKernel hashes inner nodes. Its unit is an inner node, which is one compression too.
func NodeKernel() Kernel {
	const count = 1024
	nodes := make([]Hash, 3*count)
	dst, left, right := nodes[:count], nodes[count:2*count], nodes[2*count:]
	return Kernel{func() { treehash.Parents(dst, left, right) }, count}
}

// ExtendKernel extends slivers along axis of which only the first live symbols are not zero. Its unit is a byte of
// the width of one sliver's symbols.
func (p Params) ExtendKernel(axis Axis, live int) Kernel {
	c := p.code(axis)
	width := slotWidth(c.span(), fft16.GroupSize)
	v := fft16.New(make([]byte, c.span()*width), width)
	live = max(0, min(live, c.k))
	return Kernel{func() { c.encode(v, live) }, width}
}

// RecoverKernel recovers all source symbols of slivers along axis from the last ones of their extension. It has the
// unit of ExtendKernel.
func (p Params) RecoverKernel(axis Axis) Kernel {
	c := p.code(axis)
	positions := make([]int, c.k)
	for i := range positions {
		positions[i] = p.n - c.k + i
	}
	e, err := newEraser(c, positions)
	if err != nil {
		panic(err) // impossible: the positions are distinct and as many as needed
	}
	width := slotWidth(e.size, fft16.GroupSize)
	v := fft16.New(make([]byte, e.size*width), width)
	return Kernel{func() { e.decode(v) }, width}
}

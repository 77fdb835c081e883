package shards

// Work counts the least work of a task, in units of kernels. A machine at its limit does this and nothing else.
type Work struct {
	Parts  []Part
	Hashed int64 // hashed bytes of symbols, without those that leaves and trees add
}

// Part counts units of one kernel's work.
type Part struct {
	Name  string
	Units int64
	Hash  bool // a unit is a compression of BLAKE2b
	New   func() Kernel
}

// Plus returns the sum of both works.
func (w Work) Plus(other Work) Work {
	sum := Work{Hashed: w.Hashed + other.Hashed}
	at := make(map[string]int)
	for _, part := range append(append([]Part(nil), w.Parts...), other.Parts...) {
		if i, ok := at[part.Name]; ok {
			sum.Parts[i].Units += part.Units
		} else if part.Units > 0 {
			at[part.Name] = len(sum.Parts)
			sum.Parts = append(sum.Parts, part)
		}
	}
	return sum
}

// MetadataWork returns the work of Encoder.Metadata. Every symbol of the expanded matrix is computed once and hashed
// once, for both the tree of its row and the tree of its column. Rows and columns beyond the end of the blob are zero
// and cost nothing.
func (p Params) MetadataWork(length uint64) Work {
	z := p.SymbolSize(length)
	live := p.live(length)
	from, to := p.zeroColumns(length)
	rows, cols := int64(live+p.n-p.Rows()), int64(p.n-(to-from)) // the different ones
	leaves := rows * cols
	if z == 2 {
		leaves = min(leaves, 1<<16) // number of different symbols
	}
	nodes := rows*int64(treeNodes(from, to, p.n)) + cols*int64(treeNodes(live, p.Rows(), p.n))
	return Work{Parts: []Part{
		leafPart(leaves * leafBlocks(z)), nodePart(nodes),
		p.extendPart(Primary, p.Columns(), int64(live)*z), p.extendPart(Secondary, live, cols*z),
	}, Hashed: leaves * z}
}

// StripsWork returns the work of Encoder.Strips: extending the columns of the blob, and its rows.
func (p Params) StripsWork(length uint64) Work {
	z, live := p.SymbolSize(length), p.live(length)
	return Work{Parts: []Part{
		p.extendPart(Primary, p.Columns(), int64(live)*z), p.extendPart(Secondary, live, int64(p.Columns())*z),
	}}
}

// VerifyWork returns the work of the Verifiers of count slivers along axis.
func (p Params) VerifyWork(axis Axis, length uint64, count int) Work {
	z := p.SymbolSize(length)
	leaves := int64(count) * int64(p.n)
	return Work{Parts: []Part{
		leafPart(leaves * leafBlocks(z)), nodePart(int64(count) * int64(treeNodes(0, 0, p.n))),
		p.extendPart(axis, p.SourceSymbols(axis), int64(count)*z),
	}, Hashed: leaves * z}
}

// DecodeWork returns the work of a Decoder of the last primary slivers.
func (p Params) DecodeWork(length uint64) Work {
	return Work{Parts: []Part{p.recoverPart(Secondary, int64(p.Columns())*p.SymbolSize(length))}}
}

// RebuildWork returns the work of Metadata.Rebuild for one sliver along axis, from the last symbols of its expansion.
func (p Params) RebuildWork(axis Axis, length uint64) Work {
	recover := Work{Parts: []Part{p.recoverPart(axis, p.SymbolSize(length))}}
	return recover.Plus(p.VerifyWork(axis, length, 1))
}

// SymbolWork returns the work of Metadata.VerifySymbol for count symbols.
func (p Params) SymbolWork(length uint64, count int) Work {
	z, symbols := p.SymbolSize(length), int64(count)
	return Work{Parts: []Part{
		leafPart(symbols * leafBlocks(z)), nodePart(symbols * int64(p.ProofSize())),
	}, Hashed: symbols * z}
}

// live returns the number of source rows with a byte of the blob.
func (p Params) live(length uint64) int {
	row := uint64(p.Columns()) * uint64(p.SymbolSize(length))
	return int((length + row - 1) / row)
}

// zeroColumns returns the range [from, to) of source columns without a byte of the blob.
func (p Params) zeroColumns(length uint64) (from, to int) {
	z := uint64(p.SymbolSize(length))
	if symbols := (length + z - 1) / z; symbols < uint64(p.Columns()) {
		return int(symbols), p.Columns()
	}
	return 0, 0
}

// leafPart is measured with leaves so long that only their blocks count.
func leafPart(blocks int64) Part {
	return Part{"leaves", blocks, true, func() Kernel { return LeafKernel(longLeaf) }}
}

func nodePart(nodes int64) Part { return Part{"nodes", nodes, true, NodeKernel} }

func (p Params) extendPart(axis Axis, live int, width int64) Part {
	name := "extend " + axis.String()
	return Part{name, width, false, func() Kernel { return p.ExtendKernel(axis, live) }}
}

func (p Params) recoverPart(axis Axis, width int64) Part {
	return Part{"recover " + axis.String(), width, false, func() Kernel { return p.RecoverKernel(axis) }}
}

// leafBlocks returns the number of compressions for the leaf of a symbol of z bytes. The leaf is a byte longer.
func leafBlocks(z int64) int64 { return z/HashBlock + 1 }

// treeNodes returns the number of inner nodes over n leaves, without nodes that have only leaves of [from, to) below
// them; to is below n.
func treeNodes(from, to, n int) int {
	nodes := 0
	for n > 1 {
		// In the next level, the first from nodes have a leaf left of the range below them, and the nodes from to on
		// have one right of it.
		from, to, n = (from+1)/2, to/2, (n+1)/2
		nodes += n - max(0, to-from)
	}
	return nodes
}

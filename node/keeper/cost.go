package keeper

import (
	"walrus/p2p"
	"walrus/shards"
)

// way is a way to get slivers back from others.
type way uint8

const (
	// bySymbols asks for a symbol of each of enough crossing slivers, without proofs, and compares each rebuilt sliver
	// with its root. Only a mismatch asks for proofs.
	bySymbols way = iota
	// byProvenSymbols asks for the symbols with proofs. It is for after a lie: whoever lies is found by the first answer.
	byProvenSymbols
	// byRows asks for enough rows, the blob's own bytes or as many, and encodes the blob again: all slivers for the price
	// of one blob.
	byRows
	// byZeros asks nobody: the slivers are all zeros.
	byZeros
)

func (w way) String() string {
	return [...]string{"symbols", "symbols with proofs", "rows", "zeros"}[w]
}

// Traffic of a request for symbols beside what it asks for: headers, the framing of the streams, and two bytes for the
// index of each sliver and target. Measured on TCP, both directions together.
const (
	requestCost = 170
	indexCost   = 2
)

// lack describes what of one blob is missing here, and what is left.
type lack struct {
	params      shards.Params
	length      uint64
	primaries   int // missing slivers
	secondaries int
	rows        int // of our own slivers, those that are left: primaries that are no zeros
	columns     int // and secondaries
	zeros       int // source rows that are known to be all zeros
	others      int // members that can be asked
}

// symbol returns z.
func (l lack) symbol() int64 { return l.params.SymbolSize(l.length) }

// sources returns the crossing slivers of others that a sliver along axis takes. Our own cost nothing, nor do rows of
// zeros. The secondaries are rebuilt first, and then count as our own.
func (l lack) sources(axis shards.Axis) int {
	if axis == shards.Secondary {
		return max(0, l.params.Rows()-l.zeros-l.rows)
	}
	return max(0, l.params.Columns()-l.columns-l.secondaries)
}

// cost predicts the bytes that a repair receives and sends.
func (l lack) cost(w way) (bytes int64) {
	switch w {
	case bySymbols, byProvenSymbols:
		each := l.symbol()
		if w == byProvenSymbols {
			each += int64(l.params.ProofSize() * shards.HashSize)
		}
		bytes = l.requests(l.sources(shards.Secondary), l.secondaries, each)
		bytes += l.requests(l.sources(shards.Primary), l.primaries, each)
	case byRows:
		bytes = l.requests(l.sources(shards.Secondary), l.params.Columns(), l.symbol())
	}
	return bytes
}

// requests predicts the bytes of requests for symbols of each bytes, one for each target from each source.
func (l lack) requests(sources, targets int, each int64) int64 {
	if sources == 0 || targets == 0 {
		return 0
	}
	held := max(1, l.params.Shards()/max(1, l.others)) // slivers of one holder
	together := int(min(max(symbolsTogether/(each*int64(targets)), 1), p2p.MaxSlivers, int64(held)))
	count := (sources + together - 1) / together
	return int64(sources)*int64(targets)*each + int64(count)*(requestCost+indexCost*int64(targets)) +
		indexCost*int64(sources)
}

// symbolsTogether is the answer, in bytes, up to which package gather asks for several slivers together.
const symbolsTogether = 1 << 20

// cheapest chooses the way that costs least. Rows are encoded again in memory bytes; if one strip does not fit, they
// are no way.
func (l lack) cheapest(memory int64) way {
	if l.encoded()*min(l.symbol(), int64(l.params.StripWidth())) <= memory && l.cost(byRows) < l.cost(bySymbols) {
		return byRows
	}
	return bySymbols
}

// encoded returns the symbols of all slivers of a blob.
func (l lack) encoded() int64 {
	return int64(l.params.Shards()) * int64(l.params.Rows()+l.params.Columns())
}

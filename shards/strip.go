package shards

import "walrus/shards/fft16"

// Strip is one strip of all 2n slivers of a blob.
type Strip struct {
	index   int
	params  Params
	width   int // bytes of each symbol
	release func(*Strip)
	stripMemory
}

// stripMemory may be longer than a strip.
type stripMemory struct {
	primary   []byte // n rows of s symbols
	secondary []byte // n columns of p symbols
}

// Index of the strip, from 0.
func (s *Strip) Index() int { return s.index }

// Sliver is this strip's part of sliver index along axis, in strip order. It is shared and read-only, and must not
// be used after Release.
func (s *Strip) Sliver(axis Axis, index int) []byte {
	size := s.params.SourceSymbols(axis) * s.width
	all := s.primary
	if axis == Secondary {
		all = s.secondary
	}
	return all[index*size : (index+1)*size : (index+1)*size]
}

// rows are the first count rows.
func (s *Strip) rows(count int) []byte { return s.primary[:count*s.params.Columns()*s.width] }

// Release gives the memory back for a later strip. Call it once, when every user of the strip's slivers is done.
func (s *Strip) Release() { s.release(s) }

// extend computes, from the source symbols in the first rows of primary, everything else.
func (s *Strip) extend() {
	rows, cols, w := s.params.Rows(), s.params.Columns(), s.width
	extendVectors(s.params.code(Secondary), s.primary, cols*w, w, s.transpose)
	extendVectors(s.params.code(Primary), s.secondary, rows*w, w, nil)
}

// transpose copies the bytes [from, to) of each source row to the source columns.
func (s *Strip) transpose(from, to int) {
	rows, w := s.params.Rows(), s.width
	size := s.params.Columns() * w
	for from < to {
		j, at := from/w, from%w
		n := min(w-at, to-from)
		column := s.secondary[j*rows*w+at:]
		for i := range rows {
			copy(column[i*w:i*w+n], s.primary[i*size+from:])
		}
		from += n
	}
}

// extendVectors computes the last r of the k+r vectors in buf from the first k. A vector is size bytes, symbols of width
// bytes each; the code acts on all its elements alike. It calls seen, if not nil, for each part of the vectors when the first
// k of it are in cache.
func extendVectors(c code, buf []byte, size, width int, seen func(from, to int)) {
	cuts := newCuts(size, width, slotWidth(c.span(), fft16.GroupSize))
	parallel(cuts.count, func(ws *workspace, t int) {
		from, to, width := cuts.part(t)
		v := ws.vectors(c.span(), packedSize(to-from))
		for i := range c.k {
			pack(v.Slot(c.point(i)), buf[i*size+from:i*size+to], width)
		}
		if seen != nil {
			seen(from, to)
		}
		c.encode(v, c.k)
		for i := c.k; i < c.k+c.r; i++ {
			unpack(buf[i*size+from:i*size+to], v.Slot(c.point(i)), width)
		}
	})
}

// cuts divides a vector of symbols into parts that fit a slot: some whole symbols, or a part of one symbol.
type cuts struct {
	size, width int
	step        int // bytes of a part
	perSymbol   int // parts of a symbol, or 1
	count       int
}

// newCuts divides size bytes, symbols of width bytes, into parts of at most slot bytes, a multiple of fft16.GroupSize.
func newCuts(size, width, slot int) cuts {
	c := cuts{size: size, width: width, step: slot, perSymbol: 1}
	if width <= slot {
		c.step = slot / width * width
		c.count = (size + c.step - 1) / c.step
		return c
	}
	c.perSymbol = (width + slot - 1) / slot
	c.count = size / width * c.perSymbol
	return c
}

// part t is the bytes [from, to) of the vector, to be packed as symbols of width bytes.
func (c cuts) part(t int) (from, to, width int) {
	if c.width <= c.step {
		from = t * c.step
		return from, min(from+c.step, c.size), c.width
	}
	symbol := t / c.perSymbol * c.width
	from = symbol + t%c.perSymbol*c.step
	to = min(from+c.step, symbol+c.width)
	return from, to, to - from
}

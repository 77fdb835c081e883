package shards

import "walrus/shards/fft16"

// Strip is one strip of all 2n slivers of a blob.
type Strip struct {
	index    int
	params   Params
	width    int       // bytes of each symbol in the strip
	source   [2][]byte // by axis: the source slivers, one after the other
	recovery [2][]byte // by axis: the recovery slivers
	release  func()
}

// stripMemory is the memory of a strip; it may be longer.
type stripMemory struct {
	rows    []byte // the source rows, and their recovery symbols
	columns []byte // the recovery rows, and the source columns
}

// rowsSize returns the size of a strip's rows for width bytes of each symbol.
func (p Params) rowsSize(width int) int { return p.n * p.Rows() * width }

func (p Params) columnsSize(width int) int {
	return ((p.n-p.Rows())*p.Columns() + p.Rows()*p.Columns()) * width
}

// divide assigns the slivers their memory.
func (s *Strip) divide(rows, columns []byte) {
	p := s.params
	source := p.Rows() * p.Columns() * s.width
	more := (p.n - p.Rows()) * p.Columns() * s.width
	rows, columns = rows[:p.rowsSize(s.width)], columns[:p.columnsSize(s.width)]
	s.source = [2][]byte{Primary: rows[:source], Secondary: columns[more:]}
	s.recovery = [2][]byte{Primary: columns[:more], Secondary: rows[source:]}
}

// Index returns the index of the strip, from 0.
func (s *Strip) Index() int { return s.index }

// Sliver returns this strip's part of sliver index along axis, in strip order. It is shared and read-only, and must
// not be used after Release.
func (s *Strip) Sliver(axis Axis, index int) []byte {
	size := s.params.SourceSymbols(axis) * s.width
	all, own := s.source[axis], len(s.source[axis])/size
	if index >= own {
		all, index = s.recovery[axis], index-own
	}
	return all[index*size : (index+1)*size : (index+1)*size]
}

// Release returns the memory for a later strip. Call it once, after the last use of the strip's slivers.
func (s *Strip) Release() { s.release() }

// Number of symbols by which memory is prefetched while symbols are copied along rows, and along columns.
const (
	cellsAhead = 16
	rowsAhead  = 8
)

// leastUnpacked is the width of symbols, in bytes, from which each has its own groups.
const leastUnpacked = 16

// clearDead clears the source rows from live on and their symbols in the columns.
func (s *Strip) clearDead(live int) {
	rows, w := s.params.Rows(), s.width
	if live == rows {
		return
	}
	clear(s.source[Primary][live*s.params.Columns()*w:])
	for _, columns := range [][]byte{s.source[Secondary], s.recovery[Secondary]} {
		for at := 0; at < len(columns); at += rows * w {
			clear(columns[at+live*w : at+rows*w])
		}
	}
}

// cut returns how many bytes of a symbol, and how many symbols, share a slot.
func (s *Strip) cut(c code) (width, count int) {
	slot := slotWidth(2*c.m, groupSize) // the most that extend uses
	width = min(slot, s.width)
	return width, max(1, slot/packedSize(width))
}

// batches returns the number of batches for count items.
func batches(count, batch int) int { return (count + batch - 1) / batch }

// fillRows fills batch t of the source rows, and the symbols of the recovery columns in them.
func (s *Strip) fillRows(ws *workspace, t int, source plane, live int) {
	p, w, c := s.params, s.width, s.params.code(Primary)
	slot, batch := s.cut(c)
	end := min((t+1)*batch, live)
	for i := t * batch; i < end; i++ { // this also brings them into the cache
		row := fft16.Strided{Buf: s.source[Primary][i*p.Columns()*w:], Stride: w, Parts: 1, Width: w}
		fft16.Move(row, source.row(i, 0, w, 1), p.Columns(), cellsAhead, true)
	}
	for i := t * batch; i < end; {
		count := end - i
		if i < source.split { // rows from split on are in another place
			count = min(count, source.split-i)
		}
		for from := 0; from < w; from += slot {
			part := min(slot, w-from)
			v := ws.vectors(c.span(), count*packedSize(part))
			out := fft16.Strided{
				Buf: s.recovery[Secondary][i*w+from:], Stride: p.Rows() * w, Parts: count, Step: w, Width: part,
			}
			c.extend(v, operands(source.row(i, from, part, count), c.k), out, true)
		}
		i += count
	}
	fft16.Fence()
}

// fillColumns fills batch t of the source columns, and the symbols of the recovery rows in them.
func (s *Strip) fillColumns(ws *workspace, t int, source plane, live int) {
	p, w, c := s.params, s.width, s.params.code(Secondary)
	slot, batch := s.cut(c)
	size, j := p.Columns()*w, t*batch
	count := min(batch, p.Columns()-j)
	for from := 0; from < w; from += slot {
		part := min(slot, w-from)
		in := source.column(j, from, part, count, live)
		in.copyTo(s.columns(s.source[Secondary], j, from, part, count))
		rows := fft16.Strided{Buf: s.recovery[Primary][j*w+from:], Stride: size, Parts: count, Step: w, Width: part}
		v := ws.vectors(c.span(), count*packedSize(part))
		c.extend(v, in, rows, true)
	}
	fft16.Fence()
}

// columns returns count columns from number j on: of each symbol, part bytes from offset from.
func (s *Strip) columns(all []byte, j, from, part, count int) fft16.Strided {
	w, size := s.width, s.params.Rows()*s.width
	return fft16.Strided{Buf: all[j*size+from:], Stride: w, Parts: count, Step: size, Width: part}
}

// copyTo copies the live originals, past the caches.
func (o operand) copyTo(dst fft16.Strided) {
	fft16.Move(dst, o.first, o.split, rowsAhead, true)
	if o.live > o.split {
		dst.Buf = dst.Buf[o.split*dst.Stride:]
		fft16.Move(dst, o.rest, o.live-o.split, rowsAhead, true)
	}
}

// fillPacked fills a strip with short symbols. read means that the source rows are already filled.
func (s *Strip) fillPacked(source plane, live int, read bool) {
	rows, cols, w := s.params.Rows(), s.params.Columns(), s.width
	if !read {
		parallel(live, func(_ *workspace, i int) {
			row, cells := s.source[Primary][i*cols*w:(i+1)*cols*w], source.cell(i, 0)
			if source.cellStride == w {
				copy(row, cells)
				return
			}
			for j := range cols {
				copyShort(row[j*w:(j+1)*w], cells[j*source.cellStride:][:w])
			}
		})
	}
	extendVectors(s.params.code(Secondary), s.recovery[Primary], s.source[Primary], live, cols*w, w, s.transpose)
	extendVectors(s.params.code(Primary), s.recovery[Secondary], s.source[Secondary], cols, rows*w, w, nil)
}

// transpose copies the bytes [from, to) of each source row to the source columns.
func (s *Strip) transpose(from, to int) {
	rows, w := s.params.Rows(), s.width
	size := s.params.Columns() * w
	for from < to {
		j, at := from/w, from%w
		n := min(w-at, to-from)
		column := s.source[Secondary][j*rows*w+at:]
		for i := range rows {
			copy(column[i*w:i*w+n], s.source[Primary][i*size+from:])
		}
		from += n
	}
}

// extendVectors computes r vectors in dst from the first live ones in src; the rest of the k are zero. A vector has
// size bytes, in symbols of width bytes; the code acts on all its elements alike. If seen is not nil, it is called
// for each part of the vectors once that part of src is in cache.
func extendVectors(c code, dst, src []byte, live, size, width int, seen func(from, to int)) {
	cuts := newCuts(size, width, slotWidth(c.span(), fft16.GroupSize))
	parallel(cuts.count, func(ws *workspace, t int) {
		from, to, width := cuts.part(t)
		v := ws.vectors(c.span(), packedSize(to-from))
		for i := range live {
			pack(v.Slot(c.point(i)), src[i*size+from:i*size+to], width)
		}
		if seen != nil {
			seen(from, to)
		}
		c.encode(v, live)
		for i := range c.r {
			unpack(dst[i*size+from:i*size+to], v.Slot(c.point(c.k+i)), width)
		}
	})
}

// cuts divides a vector of symbols into parts that fit a slot: several whole symbols, or a part of one.
type cuts struct {
	size, width int
	step        int // bytes of a part
	perSymbol   int // parts of a symbol, or 1
	count       int
}

// newCuts divides size bytes, symbols of width bytes, into parts of at most slot bytes, a multiple of
// fft16.GroupSize.
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

// part returns the bytes [from, to) of part t of the vector, to be packed as symbols of width bytes.
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

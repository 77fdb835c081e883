package shards

import (
	"sync"

	"walrus/shards/fft16"
)

// window reads ahead: a piece of every symbol at a time that is as long as its memory allows, so that a large blob is
// read in few passes and long reads. What a load asks for lies together in memory. A blob that is in memory and no larger than
// that is used in place, unless only small parts of its symbols are wanted at a time.
type window struct {
	src   *source
	rows  int
	unit  int    // bytes of each symbol that a load asks for at most
	reach int    // bytes of each symbol to read at once, a multiple of unit, or all
	blob  []byte // if the blob is in memory
	whole int    // rows that lie in blob completely
	place bool   // those rows are used in place, and only the others are in buf
	buf   []byte // in parts of unit bytes of each symbol
	from  int64  // offset in each symbol of the bytes in buf
	width int    // bytes of each symbol in buf
}

const (
	// windowMemory bounds the bytes read ahead.
	windowMemory = 176 << 20
	// maxReach bounds what is read of one symbol at once, in bytes: longer reads gain nothing.
	maxReach = 16 << 10
	// gatherAhead is for how many symbols ahead memory is asked for while symbols are gathered from a blob in memory.
	gatherAhead = 4
)

// newWindow returns the reader of the first rows of src for loads of at most unit bytes of each symbol.
func newWindow(src *source, rows, unit int) *window {
	w := &window{src: src, rows: rows, unit: unit, reach: reach(src, rows, unit)}
	if b, ok := src.r.(Bytes); ok && int64(len(b)) >= src.length {
		w.blob = b[:src.length]
		w.whole = min(rows, int(src.length/w.rowSize()))
		// Parts of symbols are better gathered once than read again and again from among the others.
		w.place = src.length <= windowMemory && 2*int64(unit) > src.z
	}
	return w
}

// reach is how many bytes of each symbol in the first rows of src can be read at once: a multiple of unit, or all.
func reach(src *source, rows, unit int) int {
	reach := min(windowMemory/(rows*src.Columns()), maxReach) / unit * unit
	return int(min(int64(max(reach, unit)), src.z))
}

func (w *window) rowSize() int64 { return int64(w.src.Columns()) * w.src.z }

// load makes the bytes [at, at+width) of every symbol available to plane. They are in one unit. It calls seen, if not nil, for
// each row when its bytes are in a core's cache, if that is ever the case.
func (w *window) load(at int64, width int, seen func(ws *workspace, i int)) error {
	if w.width > 0 && (w.place || at >= w.from && at+int64(width) <= w.from+int64(w.width)) {
		if seen != nil {
			parallel(w.rows, seen)
		}
		return nil
	}
	w.from, w.width = at, int(min(int64(w.reach), w.src.z-at))
	size := int64(w.rows*w.src.Columns()) * int64(w.width)
	if w.place {
		size = int64(w.rows-w.whole) * w.rowSize()
	}
	w.buf = grow(&w.buf, int(size))
	var mu sync.Mutex
	var failed error
	parallel(w.rows, func(ws *workspace, i int) {
		if err := w.loadRow(ws, i); err != nil {
			mu.Lock()
			failed = err
			mu.Unlock()
			return
		}
		if seen != nil {
			seen(ws, i)
		}
	})
	if failed != nil {
		w.width = 0
	}
	return failed
}

func (w *window) loadRow(ws *workspace, i int) error {
	switch {
	case i < w.whole:
		if !w.place {
			w.gather(i)
		}
		return nil
	case w.place:
		at := int64(i) * w.rowSize()
		return w.src.read(w.buf[at-int64(w.whole)*w.rowSize():][:w.rowSize()], at)
	default:
		return w.src.row(ws, w.buf, w.rows, i, w.from, w.width, w.unit)
	}
}

// gather fills row i of buf from a blob in memory.
func (w *window) gather(i int) {
	cols, z := w.src.Columns(), int(w.src.z)
	row := w.blob[int64(i)*w.rowSize():][:w.rowSize()][w.from:]
	for offset := 0; offset < w.width; {
		p := w.part(offset)
		dst := fft16.Strided{Buf: w.buf[w.rows*cols*offset+i*p.rowStride:], Stride: p.cellStride, Parts: 1, Width: p.cellStride}
		if w.unit == groupSize && p.cellStride == groupSize { // all parts at once
			dst.Parts, dst.Step = (w.width-offset)/groupSize, w.rows*cols*groupSize
		}
		src := fft16.Strided{Buf: row[offset:], Stride: z, Parts: dst.Parts, Step: groupSize, Width: dst.Width}
		fft16.Move(dst, src, cols, gatherAhead, true)
		offset += dst.Parts * dst.Width
	}
	fft16.Fence()
}

// plane is the same bytes of every symbol of some rows, in memory.
type plane struct {
	first, rest           []byte // from those of the first symbol on, and from those of the first one in row split
	split                 int
	rowStride, cellStride int // from a row to the next, and from a symbol to the next, in bytes
}

// cell is the bytes of symbol (i, j) and those that lie after them.
func (p plane) cell(i, j int) []byte {
	if i < p.split {
		return p.first[i*p.rowStride+j*p.cellStride:]
	}
	return p.rest[(i-p.split)*p.rowStride+j*p.cellStride:]
}

// column is width bytes, from offset from, of the first live symbols of count columns from j on.
func (p plane) column(j, from, width, count, live int) operand {
	o := operand{split: min(p.split, live), live: live}
	at, s := j*p.cellStride+from, fft16.Strided{Stride: p.rowStride, Parts: count, Step: p.cellStride, Width: width}
	if o.split > 0 {
		o.first = s
		o.first.Buf = p.first[at:]
	}
	if o.split < live {
		o.rest = s
		o.rest.Buf = p.rest[at:]
	}
	return o
}

// row is width bytes, from offset from, of the symbols of count rows from i on, all before or all after split.
func (p plane) row(i, from, width, count int) fft16.Strided {
	return fft16.Strided{Buf: p.cell(i, 0)[from:], Stride: p.cellStride, Parts: count, Step: p.rowStride, Width: width}
}

// part is the plane of buf that begins at offset.
func (w *window) part(offset int) plane {
	count := w.rows * w.src.Columns()
	width := min(w.unit, w.width-offset)
	return plane{
		first: w.buf[count*offset : count*(offset+width)], split: w.rows,
		rowStride: w.src.Columns() * width, cellStride: width,
	}
}

// plane is the bytes from offset at of each symbol, those that were loaded.
func (w *window) plane(at int64) plane {
	if w.place {
		return w.inBlob(at)
	}
	return w.part(int(at-w.from) / w.unit * w.unit)
}

// near is a plane of row i: where a row is that was seen just now.
func (w *window) near(i int, at int64) plane {
	if i < w.whole {
		return w.inBlob(at)
	}
	return w.plane(at)
}

// inBlob is the plane of a blob in memory, and of the other rows if they are loaded completely.
func (w *window) inBlob(at int64) plane {
	p := plane{split: w.whole, rowStride: int(w.rowSize()), cellStride: int(w.src.z)}
	if w.whole > 0 {
		p.first = w.blob[at : int64(w.whole)*w.rowSize()]
	}
	if w.place && w.whole < w.rows {
		p.rest = w.buf[at : int64(w.rows-w.whole)*w.rowSize()]
	}
	return p
}

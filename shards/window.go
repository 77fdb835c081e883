package shards

import (
	"sync"

	"walrus/shards/fft16"
)

// window reads ahead. Each load has as long a piece of every symbol as memory allows, so that a large blob takes few
// passes with long reads. The bytes of one load lie together in memory. A blob in memory that is no larger is used in
// place, unless only small parts of its symbols are needed at a time.
type window struct {
	src   *source
	rows  int
	unit  int      // most bytes of each symbol in one load
	reach int      // bytes of each symbol read at once: a multiple of unit, or all
	blob  []byte   // the blob, if it is in memory
	whole int      // number of rows that lie in blob completely
	place bool     // use those rows in place, and read the others into tail
	tail  []byte   // all symbols of those rows
	parts [][]byte // unit bytes of each symbol, in the last part perhaps fewer, row by row
	from  int64    // offset in each symbol of the bytes in parts
	width int      // bytes of each symbol in parts
	// refill, if not nil, replaces parts by as many others before they are filled.
	refill func(parts int) [][]byte
}

const (
	// windowMemory bounds the bytes read ahead. The recovery symbols of their rows take up to half as much on top.
	windowMemory = 176 << 20
	// maxReach bounds the bytes of one symbol read at once: longer reads gain nothing.
	maxReach = 16 << 10
	// gatherAhead is the number of symbols by which memory is prefetched while a blob in memory is gathered.
	gatherAhead = 4
)

// newWindow returns the reader of the first rows of src, for loads of at most unit bytes of each symbol.
func newWindow(src *source, rows, unit int) *window {
	w := &window{src: src, rows: rows, unit: unit, reach: reach(src, rows, unit)}
	if b, ok := src.r.(Bytes); ok && int64(len(b)) >= src.length {
		w.blob = b[:src.length]
		w.whole = min(rows, int(src.length/w.rowSize()))
		// Gather parts of symbols once, rather than read them from among the others again and again.
		w.place = src.length <= windowMemory && 2*int64(unit) > src.z
	}
	return w
}

// reach returns how many bytes of each symbol in the first rows of src can be read at once: a multiple of unit, or
// all.
func reach(src *source, rows, unit int) int {
	reach := min(windowMemory/(rows*src.Columns()), maxReach) / unit * unit
	return int(min(int64(max(reach, unit)), src.z))
}

func (w *window) rowSize() int64 { return int64(w.src.Columns()) * w.src.z }

// load makes the bytes [at, at+width) of every symbol available to plane. They must be in one unit. If seen is not
// nil, load calls it for each row, where possible while its bytes are in a core's cache.
func (w *window) load(at int64, width int, seen func(ws *workspace, i int)) error {
	if w.has(at, width) {
		if seen != nil {
			parallel(w.rows, seen)
		}
		return nil
	}
	w.from, w.width = at, int(min(int64(w.reach), w.src.z-at))
	w.room()
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

// has reports whether the bytes [at, at+width) of every symbol are loaded.
func (w *window) has(at int64, width int) bool {
	return w.width > 0 && (w.place || at >= w.from && at+int64(width) <= w.from+int64(w.width))
}

// room allocates memory for the next load.
func (w *window) room() {
	if w.place {
		w.tail = grow(&w.tail, (w.rows-w.whole)*int(w.rowSize()))
		return
	}
	count := (w.width + w.unit - 1) / w.unit
	if w.refill != nil {
		w.parts = w.refill(count)
		return
	}
	for len(w.parts) < count {
		w.parts = append(w.parts, nil)
	}
	w.parts = w.parts[:count]
	for q := range w.parts {
		w.parts[q] = grow(&w.parts[q], w.rows*w.src.Columns()*w.partWidth(q))
	}
}

// partWidth returns the number of bytes of each symbol in part q.
func (w *window) partWidth(q int) int { return min(w.unit, w.width-q*w.unit) }

// run returns how many parts from q on, at most most, can be used together: parts of width unit that follow each other
// in memory at the distance step.
func (w *window) run(q, most int) (count, step int) {
	for count = 1; count < most && q+count < len(w.parts) && w.partWidth(q+count) == w.unit; count++ {
		last, next := w.parts[q+count-1], w.parts[q+count]
		size := len(last)
		if cap(last) == size || &last[:size+1][size] != &next[0] {
			break
		}
		step = size
	}
	return count, step
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
		return w.src.read(w.tail[at-int64(w.whole)*w.rowSize():][:w.rowSize()], at)
	default:
		return w.src.row(ws, w.parts, i, w.from, w.width, w.unit)
	}
}

// gather fills row i of parts from a blob in memory.
func (w *window) gather(i int) {
	cols := w.src.Columns()
	row := w.blob[int64(i)*w.rowSize():][:w.rowSize()][w.from:]
	for q := 0; q < len(w.parts); {
		width, count, step := w.partWidth(q), 1, 0
		if width == groupSize { // all parts at once
			count, step = w.run(q, len(w.parts))
		}
		dst := fft16.Strided{Buf: together(w.parts[q], count, i*cols*width), Stride: width, Parts: count,
			Step: step, Width: width}
		src := fft16.Strided{Buf: row[q*w.unit:], Stride: int(w.src.z), Parts: count, Step: width, Width: width}
		fft16.Move(dst, src, cols, gatherAhead, true)
		q += count
	}
	fft16.Fence()
}

// together returns the memory of count adjacent parts, from an offset in the first one on.
func together(first []byte, count, offset int) []byte { return first[offset : count*len(first)] }

// plane is the same bytes of every symbol of some rows, in memory.
type plane struct {
	first, rest           []byte // starting with the first symbol, and with the first symbol of row split
	split                 int
	rowStride, cellStride int // distance of rows, and of symbols, in bytes
}

// cell returns the memory from the bytes of symbol (i, j) on.
func (p plane) cell(i, j int) []byte {
	if i < p.split {
		return p.first[i*p.rowStride+j*p.cellStride:]
	}
	return p.rest[(i-p.split)*p.rowStride+j*p.cellStride:]
}

// column returns width bytes, from offset from, of the first live symbols of count columns from j on.
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

// row returns width bytes, from offset from, of the symbols of count rows from i on, all before or all after split.
func (p plane) row(i, from, width, count int) fft16.Strided {
	return fft16.Strided{Buf: p.cell(i, 0)[from:], Stride: p.cellStride, Parts: count, Step: p.rowStride, Width: width}
}

// part returns the plane of part q.
func (w *window) part(q int) plane {
	width := w.partWidth(q)
	return plane{first: w.parts[q][:w.rows*w.src.Columns()*width], split: w.rows, rowStride: w.src.Columns() * width,
		cellStride: width}
}

// plane returns the loaded bytes of each symbol, from offset at on.
func (w *window) plane(at int64) plane {
	if w.place {
		return w.inBlob(at)
	}
	return w.part(int(at-w.from) / w.unit)
}

// near returns a plane that has row i in the place where it was last seen, perhaps still in cache.
func (w *window) near(i int, at int64) plane {
	if i < w.whole {
		return w.inBlob(at)
	}
	return w.plane(at)
}

// inBlob returns the plane of a blob in memory, and of the other rows if they are loaded completely.
func (w *window) inBlob(at int64) plane {
	p := plane{split: w.whole, rowStride: int(w.rowSize()), cellStride: int(w.src.z)}
	if w.whole > 0 {
		p.first = w.blob[at : int64(w.whole)*w.rowSize()]
	}
	if w.place && w.whole < w.rows {
		p.rest = w.tail[at : int64(w.rows-w.whole)*w.rowSize()]
	}
	return p
}

package shards

// window reads ahead: a piece of every symbol at a time that is as long as its memory allows, so that a large blob is
// read in few passes and long reads.
type window struct {
	src   *source
	rows  int
	reach int    // bytes of each symbol to read at once, a multiple of the width of a load, or all
	buf   []byte // the rows of s symbols, width bytes each
	from  int64  // offset in each symbol of the bytes in buf
	width int
}

const (
	// windowMemory bounds the bytes read ahead.
	windowMemory = 176 << 20
	// maxReach bounds what is read of one symbol at once, in bytes: longer reads gain nothing.
	maxReach = 16 << 10
)

// newWindow returns the reader of the first rows of src for loads of unit bytes of each symbol.
func newWindow(src *source, rows, unit int) *window {
	reach := min(windowMemory/(rows*src.Columns()), maxReach) / unit * unit
	return &window{src: src, rows: rows, reach: int(min(int64(max(reach, unit)), src.z))}
}

// load makes the bytes [at, at+width) of every symbol available to cells.
func (w *window) load(at int64, width int) error {
	if at >= w.from && at+int64(width) <= w.from+int64(w.width) {
		return nil
	}
	w.from, w.width = at, int(min(int64(w.reach), w.src.z-at))
	cells := w.rows * w.src.Columns()
	if err := w.src.window(grow(&w.buf, cells*w.width), w.rows, at, w.width); err != nil {
		w.width = 0
		return err
	}
	return nil
}

// cell is the window's bytes of symbol (i, j) from offset at in the symbol.
func (w *window) cell(i, j int, at int64) []byte {
	return w.buf[(i*w.src.Columns()+j)*w.width+int(at-w.from) : (i*w.src.Columns()+j+1)*w.width]
}

// copyTo fills dst, the rows of s symbols, with the bytes [at, at+width) of every symbol.
func (w *window) copyTo(dst []byte, at int64, width int) error {
	if w.reach <= width {
		return w.src.window(dst, w.rows, at, width)
	}
	if err := w.load(at, width); err != nil {
		return err
	}
	cols := w.src.Columns()
	parallel(w.rows, func(_ *workspace, i int) {
		for j := range cols {
			copy(dst[(i*cols+j)*width:(i*cols+j+1)*width], w.cell(i, j, at))
		}
	})
	return nil
}

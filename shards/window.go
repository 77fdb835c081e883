package shards

// window reads ahead: a piece of every symbol at a time that is as long as its memory allows, so that a large blob is
// read in few passes and long reads. What a load asks for lies together in memory.
type window struct {
	src   *source
	rows  int
	unit  int    // bytes of each symbol that a load asks for, except the last
	reach int    // bytes of each symbol to read at once, a multiple of unit, or all
	buf   []byte // in parts of unit bytes of each symbol
	from  int64  // offset in each symbol of the bytes in buf
	width int    // bytes of each symbol in buf
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
	return &window{src: src, rows: rows, unit: unit, reach: int(min(int64(max(reach, unit)), src.z))}
}

// load makes the bytes [at, at+width) of every symbol available to part and cell. at is a multiple of unit, and width is
// unit or what is left of the symbols.
func (w *window) load(at int64, width int) error {
	if at >= w.from && at+int64(width) <= w.from+int64(w.width) {
		return nil
	}
	w.from, w.width = at, int(min(int64(w.reach), w.src.z-at))
	w.buf = grow(&w.buf, w.rows*w.src.Columns()*w.width)
	if err := w.src.window(w.buf, w.rows, at, w.width, w.unit); err != nil {
		w.width = 0
		return err
	}
	return nil
}

// part is the part that begins at offset at in each symbol, and how many bytes of each symbol are in it.
func (w *window) part(at int64) (cells []byte, width int) {
	offset, count := int(at-w.from), w.rows*w.src.Columns()
	width = min(w.unit, w.width-offset)
	return w.buf[count*offset : count*(offset+width)], width
}

// cell is, in the part that begins at offset at in each symbol, the bytes of symbol (i, j) and of all that follow in its row.
func (w *window) cell(i, j int, at int64) []byte {
	cells, width := w.part(at)
	cols := w.src.Columns()
	return cells[(i*cols+j)*width : (i+1)*cols*width]
}

// copyTo fills dst, the rows of s symbols, with the bytes [at, at+width) of every symbol.
func (w *window) copyTo(dst []byte, at int64, width int) error {
	if w.reach <= width {
		return w.src.window(dst, w.rows, at, width, width)
	}
	if err := w.load(at, width); err != nil {
		return err
	}
	cells, _ := w.part(at)
	size := w.src.Columns() * width
	parallel(w.rows, func(_ *workspace, i int) { copy(dst[i*size:(i+1)*size], cells[i*size:]) })
	return nil
}

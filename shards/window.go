package shards

// window reads ahead: a piece of every symbol at a time that is as long as its memory allows, so that a large blob is
// read in few passes.
type window struct {
	src   *source
	reach int    // bytes of each symbol to read at once, a multiple of the width of a load
	buf   []byte // p rows of s symbols, width bytes each
	from  int64  // offset in each symbol of the bytes in buf
	width int
}

// windowMemory bounds the bytes read ahead.
const windowMemory = 96 << 20

// newWindow returns the reader of src for loads of unit bytes of each symbol.
func newWindow(src *source, unit int) *window {
	reach := windowMemory / (src.Rows() * src.Columns()) / unit * unit
	return &window{src: src, reach: int(min(int64(max(reach, unit)), src.z))}
}

// load fills dst, p rows of s symbols, with the bytes [at, at+width) of every symbol.
func (w *window) load(dst []byte, at int64, width int) error {
	if w.reach <= width {
		return w.src.window(dst, at, width)
	}
	cells := w.src.Rows() * w.src.Columns()
	if at < w.from || at+int64(width) > w.from+int64(w.width) {
		w.from, w.width = at, int(min(int64(w.reach), w.src.z-at))
		if err := w.src.window(grow(&w.buf, cells*w.width), at, w.width); err != nil {
			w.width = 0
			return err
		}
	}
	offset, cols := int(at-w.from), w.src.Columns()
	parallel(w.src.Rows(), func(_ *workspace, i int) {
		for c := i * cols; c < (i+1)*cols; c++ {
			copy(dst[c*width:(c+1)*width], w.buf[c*w.width+offset:])
		}
	})
	return nil
}

package pin

import (
	"fmt"
	"io"
	"sync"

	"walrus/shards"
)

// lineWindow is the number of bytes of a sliver that are read ahead, at least one strip.
const lineWindow = 1 << 20

// line reads any sliver of a blob in strip order, from the copy. It implements io.ReaderAt, and works best from the
// front to the end.
type line struct {
	layout shards.Layout // constant, as the next two
	// symbol reads bytes of symbol k, from off on. off is the start of a strip, and len(p) whole strips or up to the
	// end.
	symbol func(k int, p []byte, off int64) error
	plain  func(p []byte, off int64) error // the whole sliver, if its bytes lie in strip order; else nil
	// enter is called before a window is filled, and leave afterwards. Constant after the first ReadAt; nil: nothing.
	enter func() (leave func(), err error)

	mu     sync.Mutex
	window []byte // guarded by mu
	part   []byte // one symbol's bytes of the window; guarded by mu
	from   int64  // where the window begins in the sliver; guarded by mu
}

// line returns the reader of a sliver. index is below n.
func (c *copyFile) line(axis shards.Axis, index int) *line {
	p := c.meta.Params()
	l := &line{layout: c.meta.Layout(axis)}
	z, row := l.layout.SymbolSize, rowSize(p, c.meta.Length)
	switch {
	case axis == shards.Primary && index < p.Rows():
		l.symbol = func(k int, b []byte, off int64) error { return c.row(b, int64(index)*row+int64(k)*z+off) }
		if l.layout.Strips() == 1 {
			l.plain = func(b []byte, off int64) error { return c.row(b, int64(index)*row+off) }
		}
	case axis == shards.Secondary && index < p.Columns():
		l.symbol = func(k int, b []byte, off int64) error { return c.row(b, int64(k)*row+int64(index)*z+off) }
	default: // the crossing line k, expanded, has symbol k
		l.symbol = func(k int, b []byte, off int64) error {
			done := 0
			err := c.meta.ReadSymbols(axis.Other(), k, c.line(axis.Other(), k), []int{index}, off, int64(len(b)), func(parts [][]byte) error {
				done += copy(b[done:], parts[0])
				return nil
			})
			if err == nil && done != len(b) {
				err = fmt.Errorf("symbol %d of %s sliver %d has %d of %d bytes", k, axis, index, done, len(b))
			}
			return err
		}
	}
	return l
}

// computed reports whether a sliver has to be encoded from all of the blob.
func computed(p shards.Params, axis shards.Axis, index int) bool {
	return index >= p.SourceSymbols(axis.Other())
}

// ReadAt implements io.ReaderAt.
func (l *line) ReadAt(p []byte, off int64) (int, error) {
	size := l.layout.Size()
	if off < 0 || off >= size {
		return 0, io.EOF
	}
	n := int(min(int64(len(p)), size-off))
	if l.plain != nil {
		if err := l.plain(p[:n], off); err != nil {
			return 0, err
		}
	} else if err := l.read(p[:n], off); err != nil {
		return 0, err
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (l *line) read(p []byte, off int64) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(p) > 0 {
		if off < l.from || off >= l.from+int64(len(l.window)) {
			if err := l.fill(off); err != nil {
				return err
			}
		}
		n := copy(p, l.window[off-l.from:])
		p, off = p[n:], off+int64(n)
	}
	return nil
}

// fill reads the window that begins with the strip of off. l.mu is held.
func (l *line) fill(off int64) error {
	if l.enter != nil {
		leave, err := l.enter()
		if err != nil {
			return err
		}
		defer leave()
	}
	_, strip := l.layout.Strip(0)
	first := int(off / int64(strip))
	last := min(first+max(lineWindow/strip, 1), l.layout.Strips()) - 1
	from, _ := l.layout.Strip(first)
	to, size := l.layout.Strip(last)
	to += int64(size)
	w := int64(l.layout.Width)
	begin, end := int64(first)*w, min(int64(last+1)*w, l.layout.SymbolSize)
	if int64(cap(l.window)) < to-from {
		l.window = make([]byte, to-from)
	}
	if int64(cap(l.part)) < end-begin {
		l.part = make([]byte, end-begin)
	}
	window, part := l.window[:to-from], l.part[:end-begin]
	l.window = l.window[:0] // nothing is there while it is filled
	for k := range l.layout.Symbols {
		if err := l.symbol(k, part, begin); err != nil {
			return err
		}
		for t := first; t <= last; t++ {
			at, _ := l.layout.Strip(t)
			width := l.layout.StripWidth(t)
			copy(window[int(at-from)+k*width:][:width], part[int64(t-first)*w:])
		}
	}
	l.window, l.from = window, from
	return nil
}

package client

import (
	"fmt"
	"io"
	"os"

	"walrus/shards"
)

// rowStore holds the verified primary slivers of a read, in memory or in slots of one temporary file. Only what has been
// verified is ever put in.
type rowStore struct {
	layout shards.Layout
	memory int64       // bytes above which a single row goes to the file
	dir    string      // for the file
	spill  bool        // all new rows go to the file
	file   *os.File    // nil until needed
	end    int64       // of the file
	rows   map[int]row // verified, by primary index
	free   [][]byte    // memory of rows that were dropped
	whole  []byte      // where rows of the file are put together
}

// row is a place for one sliver.
type row interface {
	// put writes strip t, which is in strip order.
	put(t int, strip []byte) error
	// get reads strip t into strip, in strip order.
	get(t int, strip []byte) error
	// writeTo writes the bytes from off to end, in the plain order of the symbols, to w.
	writeTo(w io.Writer, off, end int64) error
}

func (r *rowStore) close() {
	if r.file != nil {
		_ = r.file.Close()
		_ = os.Remove(r.file.Name())
	}
}

// create returns a new place for a sliver, which is nobody else's: a fetch that was given up may still write to its own.
func (r *rowStore) create() (row, error) {
	if !r.spill && r.layout.Size() <= r.memory {
		if n := len(r.free); n > 0 {
			b := r.free[n-1]
			r.free = r.free[:n-1]
			return memoryRow{r.layout, b}, nil
		}
		return memoryRow{r.layout, make([]byte, r.layout.Size())}, nil
	}
	if r.file == nil {
		f, err := os.CreateTemp(r.dir, "walrus-read-*")
		if err != nil {
			return nil, fmt.Errorf("make room for rows: %w", err)
		}
		r.file = f
	}
	off := r.end
	r.end += r.layout.Size()
	return &fileRow{store: r, layout: r.layout, f: r.file, off: off}, nil
}

// drop takes a row out that is not needed any more; its memory is used again.
func (r *rowStore) drop(i int) {
	if m, ok := r.rows[i].(memoryRow); ok {
		r.free = append(r.free, m.plain)
	}
	delete(r.rows, i)
}

// memoryRow keeps a row in the plain order of its symbols.
type memoryRow struct {
	layout shards.Layout
	plain  []byte
}

func (m memoryRow) put(t int, strip []byte) error {
	m.layout.Scatter(m.plain, t, strip)
	return nil
}

func (m memoryRow) get(t int, strip []byte) error {
	m.layout.Gather(strip, t, m.plain)
	return nil
}

func (m memoryRow) writeTo(w io.Writer, off, end int64) error {
	_, err := w.Write(m.plain[off:end])
	return err
}

// fileRow keeps a row in strip order, as it comes in, in a slot of a file.
type fileRow struct {
	store  *rowStore // only for writeTo, which the store's owner calls
	layout shards.Layout
	f      *os.File
	off    int64
}

func (s *fileRow) put(t int, strip []byte) error {
	off, _ := s.layout.Strip(t)
	_, err := s.f.WriteAt(strip, s.off+off)
	return err
}

func (s *fileRow) get(t int, strip []byte) error {
	off, _ := s.layout.Strip(t)
	_, err := s.f.ReadAt(strip, s.off+off)
	return err
}

func (s *fileRow) writeTo(w io.Writer, off, end int64) error {
	if s.layout.Size() > s.store.memory {
		return s.writeSymbols(w, off, end)
	}
	if s.store.whole == nil {
		s.store.whole = make([]byte, s.layout.Size())
	}
	m := memoryRow{s.layout, s.store.whole}
	_, width := s.layout.Strip(0)
	strip := make([]byte, width)
	for t := range s.layout.Strips() {
		_, n := s.layout.Strip(t)
		if err := s.get(t, strip[:n]); err != nil {
			return err
		}
		if err := m.put(t, strip[:n]); err != nil {
			return err
		}
	}
	return m.writeTo(w, off, end)
}

// writeSymbols is writeTo for rows too large for memory: symbol by symbol, each gathered from all strips.
func (s *fileRow) writeSymbols(w io.Writer, off, end int64) error {
	buf := make([]byte, s.layout.Width)
	for off < end {
		k, in := off/s.layout.SymbolSize, off%s.layout.SymbolSize
		t := int(in / int64(s.layout.Width)) // all strips but the last are as wide
		strip, _ := s.layout.Strip(t)
		width := int64(s.layout.StripWidth(t))
		skip := in - int64(t)*int64(s.layout.Width)
		n := min(width-skip, end-off)
		if _, err := s.f.ReadAt(buf[:n], s.off+strip+k*width+skip); err != nil {
			return err
		}
		if _, err := w.Write(buf[:n]); err != nil {
			return err
		}
		off += n
	}
	return nil
}

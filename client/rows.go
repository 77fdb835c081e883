package client

import (
	"fmt"
	"io"
	"os"

	"walrus/shards"
)

// rowStore holds the verified primary slivers of a read, in strip order: in memory, or in slots of one temporary file.
// Only what has been verified is ever put in.
type rowStore struct {
	layout shards.Layout
	memory int64       // bytes above which a single row goes to the file
	dir    string      // for the file
	spill  bool        // all new rows go to the file
	file   *os.File    // nil until needed
	end    int64       // of the file
	rows   map[int]row // verified, by primary index
}

// row is a place for one sliver, in strip order.
type row interface {
	io.ReaderAt
	io.WriterAt
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
		return memoryRow(make([]byte, r.layout.Size())), nil
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
	return fileRow{r.file, off, r.layout.Size()}, nil
}

// writeTo writes the first size bytes of row i, in the plain order of its symbols, to w.
func (r *rowStore) writeTo(w io.Writer, i int, size int64) error {
	row := r.rows[i]
	if r.layout.Size() > r.memory {
		return r.writeSymbols(w, row, size)
	}
	strips, ok := row.(memoryRow)
	if !ok {
		strips = make([]byte, r.layout.Size())
		if _, err := row.ReadAt(strips, 0); err != nil {
			return err
		}
	}
	plain := []byte(strips)
	if r.layout.Strips() > 1 {
		plain = make([]byte, len(strips))
		for t := range r.layout.Strips() {
			off, size := r.layout.Strip(t)
			r.layout.Scatter(plain, t, strips[off:off+int64(size)])
		}
	}
	_, err := w.Write(plain[:size])
	return err
}

// writeSymbols is writeTo for rows too large for memory: symbol by symbol, each gathered from all strips.
func (r *rowStore) writeSymbols(w io.Writer, row row, size int64) error {
	buf := make([]byte, r.layout.Width)
	for k := range r.layout.Symbols {
		for t := range r.layout.Strips() {
			off, _ := r.layout.Strip(t)
			width := r.layout.StripWidth(t)
			n := int(min(int64(width), size))
			if n == 0 {
				return nil
			}
			if _, err := row.ReadAt(buf[:n], off+int64(k)*int64(width)); err != nil {
				return err
			}
			if _, err := w.Write(buf[:n]); err != nil {
				return err
			}
			size -= int64(n)
		}
	}
	return nil
}

type memoryRow []byte

func (m memoryRow) ReadAt(p []byte, off int64) (int, error)  { return copy(p, m[off:]), nil }
func (m memoryRow) WriteAt(p []byte, off int64) (int, error) { return copy(m[off:], p), nil }

type fileRow struct {
	f    *os.File
	off  int64
	size int64
}

func (s fileRow) ReadAt(p []byte, off int64) (int, error) {
	return io.NewSectionReader(s.f, s.off, s.size).ReadAt(p, off)
}

func (s fileRow) WriteAt(p []byte, off int64) (int, error) {
	return io.NewOffsetWriter(s.f, s.off).WriteAt(p, off)
}

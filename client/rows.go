package client

import (
	"fmt"
	"io"
	"os"

	"walrus/shards"
)

const (
	// keepAll is the blob size up to which a read holds all its rows in memory (64 MiB): nothing is ever fetched twice.
	keepAll = 64 << 20
	// rowMemory is the size up to which a single row is put together in memory (64 MiB); a greater one waits on disk.
	rowMemory = 64 << 20
)

// rowStore holds verified primary slivers, in strip order, while a read needs them: in memory, or in slots of one
// temporary file when they are large or all of them must be kept for decoding.
type rowStore struct {
	layout shards.Layout
	dir    string         // for the temporary file
	spill  bool           // new rows go to the file
	file   *os.File       // nil until needed
	end    int64          // of the file
	slots  map[int]int64  // primary index → offset in file
	memory map[int][]byte // primary index → sliver
}

func newRowStore(layout shards.Layout, dir string) *rowStore {
	return &rowStore{layout: layout, dir: dir, spill: layout.Size() > rowMemory, slots: map[int]int64{}, memory: map[int][]byte{}}
}

func (r *rowStore) close() {
	if r.file != nil {
		_ = r.file.Close()
		_ = os.Remove(r.file.Name())
	}
}

// row is a place for one sliver, in strip order.
type row interface {
	io.ReaderAt
	io.WriterAt
}

// create returns an empty place for primary sliver i; drop or keep it after it is filled.
func (r *rowStore) create(i int) (row, error) {
	if !r.spill {
		b := make([]byte, r.layout.Size())
		r.memory[i] = b
		return memoryRow(b), nil
	}
	if r.file == nil {
		f, err := os.CreateTemp(r.dir, "walrus-read-*")
		if err != nil {
			return nil, fmt.Errorf("make room for rows: %w", err)
		}
		r.file = f
	}
	// always a new slot: a fetch that was given up may still write to the old one
	off := r.end
	r.end += r.layout.Size()
	r.slots[i] = off
	return fileRow{r.file, off, r.layout.Size()}, nil
}

// get is the row of primary sliver i, which must have been created.
func (r *rowStore) get(i int) row {
	if b, ok := r.memory[i]; ok {
		return memoryRow(b)
	}
	return fileRow{r.file, r.slots[i], r.layout.Size()}
}

// drop forgets a row in memory; the slots of a file are kept until close.
func (r *rowStore) drop(i int) { delete(r.memory, i) }

// writeTo writes bytes [from, to) of row i, in the plain order of its symbols, to w.
func (r *rowStore) writeTo(w io.Writer, i int, from, to int64) error {
	row := r.get(i)
	if r.layout.Size() > rowMemory {
		return r.writeSymbols(w, row, from, to)
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
	_, err := w.Write(plain[from:to])
	return err
}

// writeSymbols is writeTo for rows too large for memory: symbol by symbol, each gathered from all strips.
func (r *rowStore) writeSymbols(w io.Writer, row row, from, to int64) error {
	z := r.layout.SymbolSize
	buf := make([]byte, r.layout.Width)
	for at := from; at < to; {
		k, in := at/z, at%z // symbol and offset in it
		t := int(in / int64(r.layout.Width))
		width := r.layout.StripWidth(t)
		skip := int(in % int64(r.layout.Width))
		n := int(min(int64(width-skip), to-at))
		off, _ := r.layout.Strip(t)
		if _, err := row.ReadAt(buf[:n], off+k*int64(width)+int64(skip)); err != nil {
			return err
		}
		if _, err := w.Write(buf[:n]); err != nil {
			return err
		}
		at += int64(n)
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

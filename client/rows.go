package client

import (
	"errors"
	"fmt"
	"io"
	"sync"

	"walrus/shards"
)

// row stores one sliver. Once it is filled and verified, several goroutines may read it at a time.
type row interface {
	// put writes strip t, which is in strip order.
	put(t int, strip []byte) error
	// get reads strip t into strip, in strip order.
	get(t int, strip []byte) error
	// writeTo writes the bytes from off to end to w, in the plain order of the symbols, and returns their number.
	writeTo(w io.Writer, off, end int64) (int64, error)
	// release frees the row; nobody may use it afterwards.
	release()
}

// rowStore holds the verified primary slivers of a read, in memory or in slots of a temporary file.
type rowStore struct {
	place rowPlace     // constant, as the next
	keep  bool         // all rows fit in memory: they stay after they are written out
	spill bool         // all new rows go to the file
	rows  map[int]held // verified, by primary index
}

// held is a row in the store, with the call it is shared through.
type held struct {
	row
	call *rowCall // nil: the row is not shared
}

func (h held) drop() {
	if h.call != nil {
		h.call.leave()
	} else {
		h.release()
	}
}

// copyShared replaces a row that is shared or in the cache by a copy, in the file if spill is set.
func (r *rowStore) copyShared(i int) error {
	h := r.rows[i]
	if _, there := h.row.(*fileRow); there || h.call == nil {
		return nil
	}
	row, err := r.place.copy(h.row, r.spill)
	if err != nil {
		if errors.Is(err, errRotten) {
			return err
		}
		return &localError{err}
	}
	r.drop(i)
	r.rows[i] = held{row: row}
	return nil
}

// drop removes a row that is no longer needed.
func (r *rowStore) drop(i int) {
	h := r.rows[i]
	delete(r.rows, i)
	h.drop()
}

func (r *rowStore) close() {
	for i := range r.rows {
		r.drop(i)
	}
}

// create returns a place for a sliver that only this read uses.
func (r *rowStore) create() (row, error) { return r.place.create(r.spill) }

// rowPlace makes rows of one blob, in memory or in a file. It is safe for concurrent use.
type rowPlace struct {
	layout  shards.Layout
	memory  int64 // a larger row goes to the file
	file    *spillFile
	buffers *buffers
}

// create returns a new row, in the file if spill is set or the row is too large for memory.
func (p rowPlace) create(spill bool) (row, error) {
	if !spill && p.layout.Size() <= p.memory {
		return memoryRow{p.layout, p.buffers.get(p.layout.Size()), p.buffers}, nil
	}
	off, f, err := p.file.slot(p.layout.Size())
	if err != nil {
		return nil, fmt.Errorf("make room for rows: %w", err)
	}
	return &fileRow{place: p, f: f, off: off}, nil
}

// copy copies from into a new row.
func (p rowPlace) copy(from row, spill bool) (row, error) {
	if c, ok := from.(*cachedRow); ok && p.layout.Size() <= p.memory {
		plain := memoryRow{p.layout, p.buffers.get(p.layout.Size()), p.buffers}
		_, err := c.writeTo(&fill{p: plain.plain}, 0, p.layout.Size())
		if err == nil && !spill {
			return plain, nil
		}
		defer plain.release()
		if err != nil {
			return nil, err
		}
		from = plain
	}
	to, err := p.create(spill)
	if err != nil {
		return nil, err
	}
	_, size := p.layout.Strip(0)
	strip := make([]byte, size)
	for t := range p.layout.Strips() {
		_, n := p.layout.Strip(t)
		err := from.get(t, strip[:n])
		if err == nil {
			err = to.put(t, strip[:n])
		}
		if err != nil {
			to.release()
			return nil, err
		}
	}
	return to, nil
}

// buffers reuses memory for rows.
type buffers struct{ pool sync.Pool }

func (b *buffers) get(size int64) []byte {
	if p, ok := b.pool.Get().(*[]byte); ok && int64(cap(*p)) >= size {
		return (*p)[:size]
	}
	return make([]byte, size)
}

func (b *buffers) put(p []byte) { b.pool.Put(&p) }

// spillFile is a temporary file that exists as long as it holds rows.
type spillFile struct {
	dir string // constant

	mu   sync.Mutex // guards the rest
	f    *tempFile  // nil as long as there are no rows
	end  int64
	rows int
}

// slot returns a place in the file that was never used before.
func (s *spillFile) slot(size int64) (off int64, f *tempFile, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.f == nil {
		if s.f, err = newTempFile(s.dir, "walrus-read-*"); err != nil {
			return 0, nil, err
		}
		s.end = 0
	}
	off = s.end
	s.end += size
	s.rows++
	return off, s.f, nil
}

func (s *spillFile) release() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.rows--; s.rows == 0 {
		_ = s.f.Close()
		s.f = nil
	}
}

// memoryRow keeps a row in the plain order of its symbols.
type memoryRow struct {
	layout  shards.Layout
	plain   []byte
	buffers *buffers
}

func (m memoryRow) put(t int, strip []byte) error {
	m.layout.Scatter(m.plain, t, strip)
	return nil
}

func (m memoryRow) get(t int, strip []byte) error {
	m.layout.Gather(strip, t, m.plain)
	return nil
}

func (m memoryRow) writeTo(w io.Writer, off, end int64) (int64, error) {
	n, err := w.Write(m.plain[off:end])
	return int64(n), err
}

func (m memoryRow) release() { m.buffers.put(m.plain) }

// fileRow keeps a row in strip order, as it comes in, in a slot of a file.
type fileRow struct {
	place rowPlace
	f     *tempFile
	off   int64
}

func (s *fileRow) put(t int, strip []byte) error {
	off, _ := s.place.layout.Strip(t)
	_, err := s.f.WriteAt(strip, s.off+off)
	return err
}

func (s *fileRow) get(t int, strip []byte) error {
	off, _ := s.place.layout.Strip(t)
	_, err := s.f.ReadAt(strip, s.off+off)
	return err
}

func (s *fileRow) release() { s.place.file.release() }

func (s *fileRow) writeTo(w io.Writer, off, end int64) (int64, error) {
	if s.place.layout.Size() > s.place.memory {
		return s.writeSymbols(w, off, end)
	}
	whole, err := s.place.copy(s, false)
	if err != nil {
		return 0, err
	}
	defer whole.release()
	return whole.writeTo(w, off, end)
}

// writeSymbols is writeTo for rows too large for memory: it gathers each symbol from all strips.
func (s *fileRow) writeSymbols(w io.Writer, off, end int64) (done int64, err error) {
	l := s.place.layout
	buf := make([]byte, l.Width)
	for off < end {
		symbol, in := off/l.SymbolSize, off%l.SymbolSize
		t := int(in / int64(l.Width)) // all strips have this width, except the last
		strip, _ := l.Strip(t)
		width, skip := int64(l.StripWidth(t)), in%int64(l.Width)
		n := min(width-skip, end-off)
		if _, err := s.f.ReadAt(buf[:n], s.off+strip+symbol*width+skip); err != nil {
			return done, err
		}
		k, err := w.Write(buf[:n])
		if done += int64(k); err != nil {
			return done, err
		}
		off += n
	}
	return done, nil
}

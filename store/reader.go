package store

import (
	"errors"
	"fmt"
	"io"
	"sync"
)

// SliverReader reads one sliver and checks every byte before it returns it. It needs no closing. It is safe for
// concurrent use; concurrent reads take turns, an extent each.
type SliverReader struct {
	s   *Store
	ref Ref
	// moves: a compaction reads, so what it reads need not be visible; constant.
	moves bool

	mu   sync.Mutex
	b    *segment // guarded by mu, as are all fields below
	rec  sliver
	off  int64
	buf  []byte // the extent read last, without checksum
	have int64  // index of that extent; −1 if none
}

// OpenSliver opens a committed sliver. Errors: ErrNotFound, ErrCorrupt.
func (s *Store) OpenSliver(ref Ref) (*SliverReader, error) {
	if err := ref.check(); err != nil {
		return nil, err
	}
	if err := s.life.open(); err != nil {
		return nil, err
	}
	b, rec, err := s.places.find(ref)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", ref, err)
	}
	return &SliverReader{s: s, ref: ref, b: b, rec: rec, have: -1}, nil
}

// HasSliver reports whether a sliver is committed, without reading its data. A damaged record is ErrCorrupt.
func (s *Store) HasSliver(ref Ref) (bool, error) {
	if err := ref.check(); err != nil {
		return false, err
	}
	if err := s.life.open(); err != nil {
		return false, err
	}
	_, _, err := s.places.find(ref)
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// DeleteSliver removes a sliver, damaged or not. A sliver that does not exist is no error. Its space comes back when
// the compactor comes to its segment.
func (s *Store) DeleteSliver(ref Ref) error {
	if err := ref.check(); err != nil {
		return err
	}
	if err := s.life.open(); err != nil {
		return err
	}
	lock := s.catalog.locks.of(ref.Blob)
	lock.Lock()
	defer lock.Unlock()
	list, err := s.places.lookup(ref.Blob)
	for _, b := range list {
		err = errors.Join(err, ignoreDropped(s, s.delete(b, ref)))
	}
	if err != nil {
		return fmt.Errorf("delete %s: %w", ref, s.life.closedError(err))
	}
	return nil
}

// delete removes a sliver from one place. The caller holds the blob's lock.
func (s *Store) delete(b spot, ref Ref) error {
	n, damaged, err := b.remove(ref)
	if err != nil || n == (counts{}) && !damaged {
		return err
	}
	if damaged {
		held, err := b.heldShards()
		if err != nil {
			return err
		}
		return s.places.resettle(ref.Blob, b.segment, held, false)
	}
	return s.places.add(ref.Blob, b.segment, b.life, n.negative())
}

// Size of the sliver in bytes.
func (r *SliverReader) Size() int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.rec.size
}

// extent reads and checks extent i into r.buf. Deleting the sliver meanwhile gives ErrNotFound.
func (r *SliverReader) extent(i uint32) error {
	if r.have == int64(i) {
		return nil
	}
	r.have = -1
	switch v, err := r.b.find(r.ref); {
	case err != nil:
		return r.explain(i, err)
	case v.write != r.rec.write:
		return r.explain(i, ErrNotFound)
	}
	if err := r.visible(); err != nil {
		return err
	}
	key := extentKey(r.ref, r.rec.write, i)
	err := r.b.get(key, func(v []byte) error {
		if want := r.rec.extentLen(i) + crcSize; len(v) != want {
			return fmt.Errorf("%w: value of %d bytes: want %d", ErrCorrupt, len(v), want)
		}
		if cap(r.buf) < len(v) {
			r.buf = make([]byte, 0, len(v))
		}
		// Check the copy: the original is a memory map, whose file may change.
		r.buf = append(r.buf[:0], v...)
		_, err := unseal(key, r.buf)
		return err
	})
	if err == nil {
		r.buf = r.buf[:len(r.buf)-crcSize]
		r.have = int64(i)
		return nil
	}
	return r.explain(i, err)
}

// visible returns ErrNotFound if the sliver's blob was dropped.
func (r *SliverReader) visible() error {
	if r.moves {
		return nil
	}
	is, err := r.s.places.holds(r.ref.Blob, r.b, r.rec.life())
	if err == nil && !is {
		err = fmt.Errorf("%s was deleted: %w", r.ref, ErrNotFound)
	}
	return r.s.life.closedError(err)
}

// explain finds the reason why extent i cannot be read.
func (r *SliverReader) explain(i uint32, err error) error {
	if !errors.Is(err, errGone) {
		switch v, ferr := r.b.find(r.ref); {
		case errors.Is(ferr, ErrNotFound), ferr == nil && v.write != r.rec.write:
			return fmt.Errorf("%s was deleted: %w", r.ref, ErrNotFound)
		case errors.Is(err, ErrNotFound):
			err = fmt.Errorf("%w: missing", ErrCorrupt)
		}
		return r.s.incidents.blame("sliver", r.ref, int(i), err, r.b.path)
	}
	if err := r.s.life.open(); err != nil {
		return err
	}
	// The segment was dropped; the sliver of an extended blob has moved to another.
	b, rec, ferr := r.s.places.find(r.ref)
	if ferr != nil {
		return ferr
	}
	if rec.size != r.rec.size || b == r.b {
		return fmt.Errorf("%s was deleted: %w", r.ref, ErrNotFound)
	}
	r.b, r.rec = b, rec
	return r.extent(i)
}

// at returns the checked bytes from off to the end of an extent; io.EOF at the end. The caller holds mu.
func (r *SliverReader) at(off int64) ([]byte, error) {
	if off < 0 {
		return nil, fmt.Errorf("read %s: offset %d", r.ref, off)
	}
	if off >= r.rec.size {
		return nil, io.EOF
	}
	if err := r.extent(uint32(off / int64(r.rec.extent))); err != nil {
		return nil, err
	}
	return r.buf[off%int64(r.rec.extent):], nil
}

// ReadAt implements io.ReaderAt. Errors besides io.EOF: ErrCorrupt, ErrNotFound if the sliver was deleted.
func (r *SliverReader) ReadAt(p []byte, off int64) (n int, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.readAt(p, off)
}

func (r *SliverReader) readAt(p []byte, off int64) (n int, err error) {
	for n < len(p) {
		b, err := r.at(off + int64(n))
		if err != nil {
			return n, err
		}
		n += copy(p[n:], b)
	}
	return n, nil
}

// Read implements io.Reader.
func (r *SliverReader) Read(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(p) == 0 {
		return 0, nil
	}
	b, err := r.at(r.off)
	if err != nil {
		return 0, err
	}
	n := copy(p, b)
	r.off += int64(n)
	return n, nil
}

// WriteTo implements io.WriterTo: it writes the bytes that Read has not returned yet.
func (r *SliverReader) WriteTo(w io.Writer) (n int64, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.buf == nil {
		lent := buffers.Get().(*[]byte)
		r.buf = *lent
		defer func() {
			*lent = (*lent)[:0]
			buffers.Put(lent)
			r.buf, r.have = nil, -1
		}()
	}
	for {
		b, err := r.at(r.off)
		if errors.Is(err, io.EOF) {
			return n, nil
		}
		if err != nil {
			return n, err
		}
		k, err := w.Write(b)
		n += int64(k)
		r.off += int64(k)
		if err != nil {
			return n, err
		}
	}
}

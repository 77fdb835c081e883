package store

import (
	"errors"
	"fmt"
	"sync"
)

// SliverWriter takes the bytes of one sliver and holds at most one extent of them in memory. It is not safe for
// concurrent use, but several writers of the same sliver do not disturb each other.
type SliverWriter struct {
	s       *Store
	b       *segment
	ref     Ref
	rec     sliver
	started uint64   // segment.started when the writer was made
	buf     *[]byte  // the extent being filled; nil when done
	at      int64    // bytes taken
	next    uint32   // extent
	err     error    // the first failure, returned by all later calls
	kept    bool     // Commit made what it wrote visible
	from    *segment // not nil: the sliver moves from there
	// fromWrite is the write that moves.
	fromWrite uint64
}

// buffers hold an extent and its checksum.
var buffers = sync.Pool{New: func() any {
	b := make([]byte, 0, extentSize+crcSize)
	return &b
}}

// Create begins a sliver of size bytes. PutBlob must have made the blob known, else the error is ErrNotFound. Of
// several writers of one sliver the first to commit wins. End each with Commit or Abort.
func (s *Store) Create(ref Ref, size int64) (*SliverWriter, error) {
	if err := ref.check(); err != nil {
		return nil, err
	}
	if size < 0 || size > maxSliver {
		return nil, fmt.Errorf("create %s: %d bytes: the limit is %d", ref, size, int64(maxSliver))
	}
	if err := s.makeRoom(); err != nil {
		return nil, fmt.Errorf("create %s: %w", ref, err)
	}
	end, of, err := s.catalog.blob(ref.Blob)
	if err != nil {
		return nil, fmt.Errorf("create %s: read the blob's record: %w", ref, s.life.closedError(err))
	}
	w, err := s.create(ref, size, end, of)
	if err != nil {
		return nil, fmt.Errorf("create %s: %w", ref, err)
	}
	return w, nil
}

// create begins a sliver of a life of a blob that ends in epoch end.
func (s *Store) create(ref Ref, size int64, end uint32, of life) (*SliverWriter, error) {
	rec := sliver{size: size, extent: extentSize, write: of.newWrite()}
	b, err := s.segments.writable(end, rec.weight())
	if err != nil {
		return nil, err
	}
	return &SliverWriter{s: s, b: b, ref: ref, started: b.started(), buf: buffers.Get().(*[]byte), rec: rec}, nil
}

// errDone is returned by a writer after Commit or Abort.
var errDone = errors.New("sliver was committed or aborted")

// Write takes the next bytes, any number of them. It fails with ErrFull, for more bytes than announced, or if the disk
// fails. After an error all later calls fail.
func (w *SliverWriter) Write(p []byte) (n int, err error) {
	if w.buf == nil && w.err == nil {
		w.err = errDone
	}
	if w.err != nil {
		return 0, fmt.Errorf("write %s: %w", w.ref, w.err)
	}
	if int64(len(p)) > w.rec.size-w.at {
		w.fail(fmt.Errorf("more than the announced %d bytes", w.rec.size))
		return 0, fmt.Errorf("write %s: %w", w.ref, w.err)
	}
	for n < len(p) {
		k := min(len(p)-n, w.rec.extentLen(w.next)-len(*w.buf))
		*w.buf = append(*w.buf, p[n:n+k]...)
		n += k
		w.at += int64(k)
		if len(*w.buf) == w.rec.extentLen(w.next) {
			if err := w.flush(); err != nil {
				return n, fmt.Errorf("write %s: %w", w.ref, err)
			}
		}
	}
	return n, nil
}

// flush writes the full extent.
func (w *SliverWriter) flush() error {
	room := w.s.makeRoom
	if w.from != nil {
		room = w.s.space.forMove
	}
	err := room()
	if err == nil {
		key := extentKey(w.ref, w.rec.write, w.next)
		err = w.b.write(entry{key: key, value: seal(key, *w.buf)})
	}
	if err != nil {
		w.fail(w.s.life.closedError(err))
		return w.err
	}
	w.next++
	*w.buf = (*w.buf)[:0]
	return nil
}

// fail ends the writer with err.
func (w *SliverWriter) fail(err error) {
	w.release()
	w.err = err
}

// Commit makes the whole sliver visible at once; Sync makes it durable. It is an error if fewer bytes were written than
// announced. If another writer has committed the sliver already, Commit does nothing. ErrUnsynced means that a sync
// failed meanwhile and the sliver must be written again.
func (w *SliverWriter) Commit() error {
	if w.buf == nil && w.err == nil {
		w.err = errDone
	}
	if w.err != nil {
		return fmt.Errorf("commit %s: %w", w.ref, w.err)
	}
	if w.at != w.rec.size {
		err := fmt.Errorf("got %d of %d bytes", w.at, w.rec.size)
		w.fail(err)
		return fmt.Errorf("commit %s: %w", w.ref, err)
	}
	if err := w.s.life.open(); err != nil {
		w.fail(err)
		return err
	}
	pending, err := w.s.commit(w)
	if err != nil {
		w.fail(w.s.life.closedError(err))
		return fmt.Errorf("commit %s: %w", w.ref, w.err)
	}
	w.release()
	if pending > maxPending {
		return w.s.Sync()
	}
	return nil
}

// commit makes the sliver of w visible, unless it is there already or, if it moves, no longer needed. It returns how
// many slivers wait for a sync.
func (s *Store) commit(w *SliverWriter) (waiting int, err error) {
	lock := s.catalog.locks.of(w.ref.Blob)
	lock.Lock()
	defer lock.Unlock()
	_, of, err := s.catalog.blob(w.ref.Blob)
	if w.from != nil {
		needed, _, nerr := s.compactor.needed(w.from, w.ref.Blob, sliverKey(w.ref), false)
		if nerr != nil || !needed {
			return 0, nerr
		}
		of, err = s.places.lifeOf(w.ref.Blob)
	}
	if err != nil {
		return 0, fmt.Errorf("read the blob's record: %w", err)
	}
	if of != w.rec.life() {
		return 0, fmt.Errorf("the blob was dropped meanwhile, and put again: %w", ErrNotFound)
	}
	list, err := s.places.of(w.ref.Blob)
	if err != nil {
		return 0, err
	}
	to := spot{w.b, place{life: of}}
	for _, o := range s.segments.at(list) {
		if o.segment == w.b {
			to = o
		}
		if o.segment == w.b || o.segment == w.from {
			continue
		}
		switch _, err := o.find(w.ref); {
		case err == nil:
			return 0, nil
		case errors.Is(err, ErrCorrupt): // w replaces it
			err = s.delete(o, w.ref)
			fallthrough
		default:
			if err := unknown(ignoreDropped(s, err)); err != nil {
				return 0, err
			}
		}
	}
	if err := s.places.add(w.ref.Blob, w.b, of, counts{}); err != nil {
		return 0, err
	}
	waiting, err = to.commit(w.ref, w.rec, w.started)
	if err == nil {
		v, ferr := to.find(w.ref)
		w.kept = ferr == nil && v.write == w.rec.write
	}
	return waiting, err
}

// Wasted returns the bytes on the disk that belong to no sliver, once the writer has ended: after Abort, and after a
// Commit that came second. They take space until their segment is compacted.
func (w *SliverWriter) Wasted() int64 {
	if w.kept {
		return 0
	}
	return min(int64(w.next)*int64(w.rec.extent), w.rec.size)
}

// Abort ends the writer. What it wrote is dead. After Commit, or a second time, it does nothing.
func (w *SliverWriter) Abort() {
	if w.buf != nil {
		w.fail(errDone)
	}
}

// release gives back what the writer holds.
func (w *SliverWriter) release() {
	if w.buf == nil {
		return
	}
	*w.buf = (*w.buf)[:0]
	buffers.Put(w.buf)
	w.buf = nil
	w.b.end(w.rec.weight())
}

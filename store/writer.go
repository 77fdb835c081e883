package store

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
)

// SliverWriter takes the bytes of one sliver and holds at most one extent of them in memory. It is not safe for
// concurrent use, but several writers of the same sliver do not disturb each other.
type SliverWriter struct {
	s       *Store
	b       *segment
	ref     Ref
	rec     sliver
	started uint64  // segment.start when the writer was made
	buf     *[]byte // the extent being filled; nil when done
	at      int64   // bytes taken
	next    uint32  // extent
	err     error   // the first failure, returned by all later calls
	moves   bool    // the sliver is in the store already: Config.Limit does not apply
}

// buffers hold a extent and its checksum.
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
	if err := s.space.forData(); err != nil {
		return nil, fmt.Errorf("create %s: %w", ref, err)
	}
	end, err := s.catalog.endEpoch(ref.Blob)
	if err != nil {
		return nil, fmt.Errorf("create %s: read the blob's record: %w", ref, s.life.closedError(err))
	}
	b, err := s.segments.at(end)
	if err != nil {
		return nil, fmt.Errorf("create %s: %w", ref, err)
	}
	return s.create(b, ref, size), nil
}

func (s *Store) create(b *segment, ref Ref, size int64) *SliverWriter {
	write := rand.Uint64()
	return &SliverWriter{s: s, b: b, ref: ref, started: b.start(write), buf: buffers.Get().(*[]byte),
		rec: sliver{size: size, extent: extentSize, write: write}}
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
	room := w.s.space.forData
	if w.moves {
		room = func() error { return w.s.space.atLeast(w.s.cfg.MinFree) }
	}
	err := room()
	if err == nil {
		key := extentKey(w.ref, w.rec.write, w.next)
		err = w.b.write(entry{key: key, value: seal(key, *w.buf)})
	}
	if err != nil {
		w.fail(w.s.life.closedError(gone(err)))
		return w.err
	}
	w.next++
	*w.buf = (*w.buf)[:0]
	return nil
}

// gone returns the error of a writer whose segment was dropped.
func gone(err error) error {
	if errors.Is(err, errGone) {
		return fmt.Errorf("the blob's epoch has ended: %w", errors.Join(ErrNotFound, err))
	}
	return err
}

// fail ends the writer with err.
func (w *SliverWriter) fail(err error) {
	w.discard()
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
	first, pending, err := w.b.commit(w.ref, w.rec, w.started)
	if err != nil {
		w.fail(w.s.life.closedError(gone(err)))
		return fmt.Errorf("commit %s: %w", w.ref, w.err)
	}
	if !first {
		w.discard()
		return nil
	}
	w.release()
	if pending > maxPending {
		return w.s.Sync()
	}
	return nil
}

// Flushed returns the bytes that were written to the disk. After Abort they take space until the segment is dropped.
func (w *SliverWriter) Flushed() int64 { return min(int64(w.next)*int64(w.rec.extent), w.rec.size) }

// Abort ends the writer and deletes its extents. After Commit, or a second time, it does nothing.
func (w *SliverWriter) Abort() {
	if w.buf != nil {
		w.fail(errDone)
	}
}

// discard tries to delete the written extents. Extents that stay are deleted by the next Open after a crash, or with
// the segment.
func (w *SliverWriter) discard() {
	if w.buf == nil {
		return
	}
	w.release()
	defer w.b.end(w.rec.write)
	if err := w.b.removeExtents(w.ref, w.rec.write, w.next); err != nil && !errors.Is(err, errGone) {
		w.s.log.Warn("could not remove the extents of an aborted sliver", "sliver", w.ref.String(), "err", err)
	}
}

func (w *SliverWriter) release() {
	*w.buf = (*w.buf)[:0]
	buffers.Put(w.buf)
	w.buf = nil
}

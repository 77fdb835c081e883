package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"walrus/certs"
	"walrus/shards"
)

// ErrRange is returned for a range that does not lie within the blob. The error is then a *RangeError.
var ErrRange = errors.New("outside the blob")

// RangeError names the range that was asked for and the size of the blob.
type RangeError struct {
	Off, N int64
	Range  string // the range as the user wrote it; empty if Off and N say it
	Size   uint64
}

// Error returns the whole sentence for people.
func (e *RangeError) Error() string {
	if e.Range != "" {
		return fmt.Sprintf("range %s is %v, which has %d bytes", e.Range, ErrRange, e.Size)
	}
	return fmt.Sprintf("%d bytes from byte %d on are %v, which has %d bytes", e.N, e.Off, ErrRange, e.Size)
}

// Unwrap returns ErrRange.
func (e *RangeError) Unwrap() error { return ErrRange }

// Blob reads any range of one blob. Client.Open has verified its metadata and found it on the ledger, unless the ledger
// did not answer. Blob needs no closing and is safe for concurrent use. It does not follow the network: open the blob
// again to learn whether it is still stored, or to read in a later epoch.
type Blob struct {
	c         *Client          // constant, as all others
	com       *certs.Committee // of the epoch in which it was opened
	meta      *shards.Metadata
	id        shards.BlobID
	bad       []BadNode     // nodes that lied about the metadata
	dialHedge time.Duration // how long a row waits for a connection
	checks    []int         // columns with which reads of the whole blob compare its rows
	pins      *pinned       // who pins it, if the committee does not have it; else nil
	why       error         // why the committee does not have it; nil if it has
}

// Metadata returns the verified metadata. It is shared and read-only.
func (b *Blob) Metadata() *shards.Metadata { return b.meta }

// Pinned returns nil for a blob that the committee has. For one that is read from peers that pin it, it says why the
// committee does not have it.
func (b *Blob) Pinned() error { return b.why }

// ID returns the blob ID.
func (b *Blob) ID() shards.BlobID { return b.id }

// Size returns the size of the blob in bytes.
func (b *Blob) Size() uint64 { return b.meta.Length }

// CopyRange writes n bytes of the blob, from byte off on, to w. It fetches only the source rows that hold them, and
// starts to write when the first row is there. Errors: ErrRange, and as from Read.
func (b *Blob) CopyRange(ctx context.Context, w io.Writer, off, n int64, opt ReadOptions) (*ReadResult, error) {
	if err := checkRange(b.id, off, n, b.meta.Length); err != nil {
		return &ReadResult{Size: b.meta.Length}, err
	}
	if opt.Strict {
		res, err := b.copyStrict(ctx, w, off, n, opt.Progress)
		return res, b.orGone(ctx, err)
	}
	r := b.newRangeRead(w, off, n, opt.Progress)
	err := r.run(ctx)
	return r.res, b.orGone(ctx, err)
}

// orGone returns ErrNotFound instead of err if too few nodes delivered because the blob's storage has ended since it
// was opened.
func (b *Blob) orGone(ctx context.Context, err error) error {
	err = b.c.orInvalid(ctx, b.id, err)
	var notEnough *NotEnoughError
	if !errors.As(err, &notEnough) {
		return err
	}
	b.c.opened.forget(b.id)
	if says := b.c.stored(ctx, b.id); errors.Is(says, ErrNotFound) {
		return fmt.Errorf("read %s: %w", b.id, says)
	}
	return err
}

// checkRange returns a *RangeError for a range that is not within size. size is at most shards.MaxLength.
func checkRange(id shards.BlobID, off, n int64, size uint64) error {
	if off < 0 || n < 0 || off > int64(size) || n > int64(size)-off {
		return fmt.Errorf("read %s: %w", id, &RangeError{Off: off, N: n, Size: size})
	}
	return nil
}

// copyStrict reads the whole blob into a temporary file, encodes it again, and only then writes the range out.
func (b *Blob) copyStrict(ctx context.Context, w io.Writer, off, n int64, progress Progress) (*ReadResult, error) {
	f, err := newTempFile(b.c.cfg.TempDir, "walrus-strict-*")
	if err != nil {
		return &ReadResult{Size: b.meta.Length}, fmt.Errorf("read %s: make a temporary file to check it in: %w", b.id, err)
	}
	defer func() { _ = f.Close() }() // the file was only read
	r := b.newRangeRead(f, 0, int64(b.meta.Length), progress)
	if err := r.run(ctx); err != nil {
		return r.res, err
	}
	enc, err := shards.NewEncoder(b.com.Params(), f, b.meta.Length)
	if err != nil {
		return r.res, err
	}
	again, err := enc.Metadata(ctx, nil)
	if err != nil {
		return r.res, fmt.Errorf("read %s: encode it again: %w", b.id, err)
	}
	if again.ID() != b.id {
		return r.res, fmt.Errorf("read %s: %w", b.id, ErrInvalidBlob)
	}
	_, err = io.Copy(w, io.NewSectionReader(f, off, n))
	return r.res, err
}

// ReaderAt returns an io.ReaderAt of the blob that works until ctx ends. Each ReadAt is one CopyRange, so read in large
// pieces. It does not name nodes that failed.
func (b *Blob) ReaderAt(ctx context.Context) io.ReaderAt {
	return readerAt{b.id, b.Size(), func(w io.Writer, off, n int64) error {
		_, err := b.CopyRange(ctx, w, off, n, ReadOptions{})
		return err
	}}
}

// readerAt turns a CopyRange into an io.ReaderAt.
type readerAt struct {
	id   shards.BlobID
	size uint64
	copy func(w io.Writer, off, n int64) error
}

// ReadAt implements io.ReaderAt.
func (r readerAt) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, checkRange(r.id, off, int64(len(p)), r.size)
	}
	if off >= int64(r.size) {
		return 0, io.EOF
	}
	n := min(int64(len(p)), int64(r.size)-off)
	w := fill{p: p}
	if err := r.copy(&w, off, n); err != nil {
		return w.n, err
	}
	if n < int64(len(p)) {
		return w.n, io.EOF
	}
	return w.n, nil
}

// fill is an io.Writer into p, which must have room for everything.
type fill struct {
	p []byte
	n int
}

func (f *fill) Write(b []byte) (int, error) {
	n := copy(f.p[f.n:], b)
	f.n += n
	return n, nil
}

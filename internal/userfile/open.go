package userfile

import (
	"context"
	"errors"
	"io"
	"os"
	"time"
)

// OpenInput is os.Open that ends when ctx does: opening a pipe waits for a writer.
func OpenInput(ctx context.Context, path string) (*os.File, error) {
	return openUntil(ctx, func() (*os.File, error) { return os.Open(path) })
}

// openUntil abandons an open that still waits when ctx ends: the system cannot cancel it without also waking others who
// wait at the same pipe. A file opened later is closed again.
func openUntil(ctx context.Context, open func() (*os.File, error)) (*os.File, error) {
	type result struct {
		f   *os.File
		err error
	}
	done := make(chan result, 1)
	go func() {
		f, err := open()
		done <- result{f, err}
	}()
	select {
	case r := <-done:
		return r.f, r.err
	case <-ctx.Done():
		go func() {
			if r := <-done; r.err == nil {
				_ = r.f.Close() // nothing was read or written
			}
		}()
		return nil, ctx.Err()
	}
}

// CopyUntil is io.Copy that ends when ctx does, even while a read of r waits. That read is abandoned; w gets nothing
// from it.
func CopyUntil(ctx context.Context, w io.Writer, r io.Reader) (n int64, err error) {
	type chunk struct {
		bytes []byte
		err   error
	}
	chunks, free := make(chan chunk), make(chan []byte, 1)
	free <- make([]byte, copyBuffer)
	go func() {
		for {
			select {
			case b := <-free:
				n, err := r.Read(b[:copyBuffer])
				select {
				case chunks <- chunk{b[:n], err}:
				case <-ctx.Done():
					return
				}
				if err != nil {
					return
				}
			case <-ctx.Done():
				return
			}
		}
	}()
	for {
		select {
		case <-ctx.Done():
			return n, ctx.Err()
		case c := <-chunks:
			m, err := w.Write(c.bytes)
			n += int64(m)
			switch {
			case err != nil:
				return n, err
			case errors.Is(c.err, io.EOF):
				return n, nil
			case c.err != nil:
				return n, c.err
			}
			free <- c.bytes
		}
	}
}

const copyBuffer = 256 << 10 // bytes

// lastWords bounds how long a write may continue after the context ended: long enough for a live reader.
const lastWords = time.Second

// Until returns a writer to w whose writes end soon after ctx does, even if nobody reads the data. Such a write is
// abandoned, and all later ones fail. Use it from one goroutine at a time.
func Until(ctx context.Context, w io.Writer) io.Writer { return &untilWriter{ctx: ctx, w: w} }

type untilWriter struct {
	ctx  context.Context
	w    io.Writer
	left bool
}

func (u *untilWriter) Write(p []byte) (int, error) {
	if u.left {
		return 0, u.ctx.Err()
	}
	type result struct {
		n   int
		err error
	}
	own := append([]byte(nil), p...) // p belongs to the caller again when Write returns
	done := make(chan result, 1)
	go func() {
		n, err := u.w.Write(own)
		done <- result{n, err}
	}()
	select {
	case r := <-done:
		return r.n, r.err
	case <-u.ctx.Done():
	}
	select {
	case r := <-done:
		return r.n, r.err
	case <-time.After(lastWords):
		u.left = true
		return 0, u.ctx.Err()
	}
}

package p2p

import (
	"bytes"
	"io"
	"sync"
)

// payload reads the raw bytes after a header, on either side: as many as the header announces, or an error.
type payload struct {
	r    io.Reader
	left int64
	err  error // of the stream, before the end; returned by every later Read
}

func (p *payload) Read(b []byte) (int, error) {
	if p.err != nil {
		return 0, p.err
	}
	if p.left == 0 {
		return 0, io.EOF
	}
	n, err := p.r.Read(b[:min(int64(len(b)), p.left)])
	p.left -= int64(n)
	if p.left == 0 {
		return n, nil
	}
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	p.err = err
	return n, err
}

// all reads the rest, whose size the caller has checked. Even so, memory grows only as bytes arrive.
func (p *payload) all() ([]byte, error) {
	var b bytes.Buffer
	b.Grow(int(min(p.left, smallPayload)) + bytes.MinRead)
	_, err := b.ReadFrom(p)
	return b.Bytes(), err
}

// writeBuffers holds buffers of writeSize for streaming.
var writeBuffers = sync.Pool{New: func() any {
	b := make([]byte, writeSize)
	return &b
}}

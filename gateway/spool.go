package gateway

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"walrus/client"
)

// errStalledBody means that no more bytes of a body came.
var errStalledBody = errors.New("the client stopped sending the body: send it faster, or in parts")

// errBrokenBody means that a body cannot be read to its end.
var errBrokenBody = malformed("the body ended before its announced length, or its chunks are malformed")

// spool is a request body on disk: storing reads it twice, and it may be far larger than memory. The file has no name,
// so it is gone when the process ends in any way.
type spool struct {
	*os.File
	size uint64
}

// newSpool reads the body of r, up to limit bytes. The body may be slow but must not stall. A body with a greater
// announced length is refused before it is read.
func (g *Gateway) newSpool(w http.ResponseWriter, r *http.Request, limit int64) (s *spool, err error) {
	if r.ContentLength > limit {
		return nil, bodyTooLarge(limit)
	}
	f, err := tempFile(g.cfg.Store.TempDir)
	if err != nil {
		return nil, fmt.Errorf("receive a body: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, f.Close())
		}
	}()
	n, err := io.Copy(f, g.body(w, r, limit))
	if err != nil {
		return nil, err
	}
	return &spool{f, uint64(n)}, nil
}

// tempFile makes a file that is removed when it is closed.
func tempFile(dir string) (*os.File, error) {
	f, err := client.CreateTemp(dir, "walrus-upload-*")
	if err != nil {
		return nil, err
	}
	if err := os.Remove(f.Name()); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// body returns the body of r, limited to limit bytes and cut off when it stalls.
func (g *aggregator) body(w http.ResponseWriter, r *http.Request, limit int64) io.Reader {
	return &bodyReader{
		r: http.MaxBytesReader(w, r.Body, limit), control: http.NewResponseController(w), stall: g.cfg.Time.Stall,
	}
}

// bodyReader sets a deadline for each read of a body.
type bodyReader struct {
	r       io.Reader
	control *http.ResponseController
	stall   time.Duration
}

func (b *bodyReader) Read(p []byte) (int, error) {
	// Test recorders have no deadlines, and their bodies cannot stall.
	_ = b.control.SetReadDeadline(time.Now().Add(b.stall))
	n, err := b.r.Read(p)
	var tooLarge *http.MaxBytesError
	switch {
	case err == nil, errors.As(err, &tooLarge):
	case errors.Is(err, io.EOF):
		_ = b.control.SetReadDeadline(time.Time{}) // the connection may wait longer for its next request
	case errors.Is(err, os.ErrDeadlineExceeded):
		err = errStalledBody
	default:
		err = errBrokenBody
	}
	return n, err
}

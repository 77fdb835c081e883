package p2p

import (
	"errors"
	"io"
	"net"
	"os"
	"time"
)

// pacedReader cuts off a peer that sends too slowly: quantum bytes must arrive in every window of time spent in Read.
// Time between Reads does not count, since the peer cannot help it.
type pacedReader struct {
	r        io.Reader
	deadline func(time.Time) error
	quantum  int64
	window   time.Duration

	left time.Duration // of the window
	got  int64         // in the window
}

func newPacedReader(r io.Reader, deadline func(time.Time) error, quantum int64, window time.Duration) *pacedReader {
	return &pacedReader{r: r, deadline: deadline, quantum: quantum, window: window, left: window}
}

func (p *pacedReader) Read(b []byte) (int, error) {
	start := time.Now()
	if err := p.deadline(start.Add(p.left)); err != nil {
		return 0, err
	}
	n, err := p.r.Read(b)
	p.got += int64(n)
	p.left -= time.Since(start)
	if p.got >= p.quantum {
		p.got, p.left = 0, p.window
	}
	return n, err
}

// pacedWriter cuts off a peer that takes data too slowly: it must take each writeSize bytes within the window.
type pacedWriter struct {
	w        io.Writer
	deadline func(time.Time) error
	window   time.Duration
	// patient writers accept any progress within a window. Uploading clients need this: their own line may be the slow
	// one, and carries many streams.
	patient bool
}

func newPacedWriter(w io.Writer, deadline func(time.Time) error, window time.Duration) *pacedWriter {
	return &pacedWriter{w: w, deadline: deadline, window: window}
}

func (p *pacedWriter) Write(b []byte) (int, error) {
	done := 0
	for done < len(b) {
		if err := p.deadline(time.Now().Add(p.window)); err != nil {
			return done, err
		}
		n, err := p.w.Write(b[done:min(len(b), done+writeSize)])
		done += n
		if err != nil && (!p.patient || n == 0 || !isTimeout(err)) {
			return done, err
		}
	}
	return done, nil
}

// isTimeout reports whether a stream's deadline passed, for any transport. Otherwise the stream broke.
func isTimeout(err error) bool {
	var timeout net.Error
	return errors.Is(err, os.ErrDeadlineExceeded) || errors.As(err, &timeout) && timeout.Timeout()
}

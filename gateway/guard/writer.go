package guard

import (
	"bufio"
	"io"
	"net"
	"net/http"
)

// writer wraps a response writer and keeps its abilities: streaming, hijacking, deadlines.
type writer struct{ http.ResponseWriter }

// Unwrap supports http.ResponseController.
func (w writer) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// Flush implements http.Flusher.
func (w writer) Flush() { _ = w.FlushError() } // an http.Flusher cannot report an error; the next write will

// FlushError sends buffered data.
func (w writer) FlushError() error { return http.NewResponseController(w.ResponseWriter).Flush() }

// Hijack implements http.Hijacker.
func (w writer) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return http.NewResponseController(w.ResponseWriter).Hijack()
}

// recorder remembers the answer's status and size.
type recorder struct {
	writer
	status   int    // 0 until the header is written
	bytes    int64  // of the body
	onHeader func() // called once, right before the header goes out
}

// WriteHeader remembers the final status; a status below 200 is only informational.
func (w *recorder) WriteHeader(code int) {
	if w.status == 0 && (code >= 200 || code == http.StatusSwitchingProtocols) {
		w.status = code
		if w.onHeader != nil {
			w.onHeader()
		}
	}
	w.ResponseWriter.WriteHeader(code)
}

func (w *recorder) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	n, err := w.ResponseWriter.Write(p)
	w.bytes += int64(n)
	return n, err
}

func (w *recorder) Flush() { _ = w.FlushError() }

func (w *recorder) FlushError() error {
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	return w.writer.FlushError()
}

// counter counts the bytes of a request's body.
type counter struct {
	io.ReadCloser
	n int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	c.n += int64(n)
	return n, err
}

// hasBody reports whether r has a body to read.
func hasBody(r *http.Request) bool { return r.Body != nil && r.Body != http.NoBody }

package guard

import (
	"bufio"
	"io"
	"net"
	"net/http"
)

// writer wraps a response writer and keeps all that one can do: stream, hijack, set deadlines.
type writer struct{ http.ResponseWriter }

// Unwrap is for http.ResponseController.
func (w writer) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// Flush is for those that ask for an http.Flusher.
func (w writer) Flush() { _ = w.FlushError() } // an http.Flusher cannot say that it failed; the next write will

// FlushError sends what is buffered.
func (w writer) FlushError() error { return http.NewResponseController(w.ResponseWriter).Flush() }

// Hijack is for those that ask for an http.Hijacker.
func (w writer) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return http.NewResponseController(w.ResponseWriter).Hijack()
}

// recorder remembers what was answered.
type recorder struct {
	writer
	status   int    // 0 until the header is written
	bytes    int64  // of the body
	onHeader func() // runs once, right before the header goes out
}

// WriteHeader remembers the final status; those below 200 are only news.
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

// hasBody reports whether reading r's body can give anything.
func hasBody(r *http.Request) bool { return r.Body != nil && r.Body != http.NoBody }

package guard

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"time"
)

// minProgress is the number of bytes that must move in each stall time for a client to count as slow, not stalled. A
// byte now and then is not enough to keep a place.
const minProgress = 16 << 10

// writePiece bounds the bytes written under one deadline.
const writePiece = 2 * minProgress

// unread bounds an answer's wait for a body that the handler does not read. To reuse the connection, the server reads
// such a body before it answers. Without the bound, a refusal would wait for a body that may never come.
const unread = time.Second

// pace cuts off clients that stall while they send or receive. Only time spent waiting for the client counts, not the
// handler's work, so a transfer that makes progress has no time limit.
func (g *Guard) pace(next http.Handler) http.Handler {
	stall := g.cfg.Times.Stall
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		control := http.NewResponseController(w)
		// The previous request on this connection may have left a deadline. Test writers without deadlines return an
		// error.
		_ = control.SetWriteDeadline(time.Time{})
		var body *pacedBody
		if hasBody(r) {
			body = &pacedBody{ReadCloser: r.Body, control: control, stall: stall, left: stall}
			body.end, _ = r.Context().Deadline() // a context's deadline interrupts no read by itself
			r.Body = body
		}
		out := &pacedWriter{writer: writer{w}, control: control, stall: stall, body: body}
		next.ServeHTTP(out, r)
		if out.taken {
			return
		}
		// The server's own sending, and reading of the rest of the body, get a deadline too.
		_ = control.SetWriteDeadline(time.Now().Add(stall + unread))
		body.leave()
	})
}

type pacedBody struct {
	io.ReadCloser
	control *http.ResponseController
	stall   time.Duration
	end     time.Time     // deadline of the whole request; zero: none
	left    time.Duration // time left until got must reach minProgress
	got     int
	done    bool // no more data will come
}

func (b *pacedBody) Read(p []byte) (int, error) {
	start := time.Now()
	limit := start.Add(b.left)
	if !b.end.IsZero() && b.end.Before(limit) {
		limit = b.end
	}
	_ = b.control.SetReadDeadline(limit)
	n, err := b.ReadCloser.Read(p)
	_ = b.control.SetReadDeadline(time.Time{}) // the server watches for the client leaving
	b.left -= time.Since(start)
	if b.got += n; b.got >= minProgress {
		b.got, b.left = 0, b.stall
	}
	b.done = b.done || err != nil
	return n, err
}

// leave bounds the server's wait for the rest of a body that the handler does not read. If the handler does read on,
// Read sets its own deadlines.
func (b *pacedBody) leave() {
	if b != nil && !b.done {
		_ = b.control.SetReadDeadline(time.Now().Add(min(unread, b.stall)))
	}
}

type pacedWriter struct {
	writer
	body    *pacedBody // body of the request; nil without
	begun   bool
	control *http.ResponseController
	stall   time.Duration
	taken   bool // the handler has taken over the connection
}

func (w *pacedWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, buf, err := w.writer.Hijack()
	w.taken = err == nil
	return conn, buf, err
}

// WriteHeader sends the status.
func (w *pacedWriter) WriteHeader(code int) {
	if code >= 200 {
		w.begin()
	}
	w.ResponseWriter.WriteHeader(code)
}

func (w *pacedWriter) begin() {
	if !w.begun {
		w.begun = true
		w.body.leave()
	}
}

// Write writes in pieces: with one deadline for everything, a client could take nothing for all that time.
func (w *pacedWriter) Write(p []byte) (n int, err error) {
	w.begin()
	for {
		piece := p[n:min(len(p), n+writePiece)]
		w.allow(len(piece))
		k, err := w.ResponseWriter.Write(piece)
		_ = w.control.SetWriteDeadline(time.Time{})
		if n += k; err != nil || n == len(p) {
			return n, err
		}
	}
}

func (w *pacedWriter) Flush() { _ = w.FlushError() }

func (w *pacedWriter) FlushError() error {
	w.begin()
	w.allow(minProgress)
	err := w.writer.FlushError()
	_ = w.control.SetWriteDeadline(time.Time{})
	return err
}

// allow sets a deadline for n bytes at the slowest allowed speed.
func (w *pacedWriter) allow(n int) {
	_ = w.control.SetWriteDeadline(time.Now().Add(w.stall * time.Duration(1+n/minProgress)))
}

package guard

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"time"
)

// minProgress is what must move in each stall time, in bytes, for a client to count as slow and not as standing still:
// one byte now and then does not hold a place here.
const minProgress = 16 << 10

// writePiece is how much is written under one deadline.
const writePiece = 2 * minProgress

// unread is how long an answer waits for the rest of a body that nobody reads: the server takes in what has come, to go on
// with the connection, before the answer goes out. Without it a refusal would wait for a body that may never come.
const unread = time.Second

// pace cuts clients that stand still while they send or receive. Only the time spent waiting for the client counts, not
// that in which the handler works; so no time bounds a transfer that goes on.
func (g *Guard) pace(next http.Handler) http.Handler {
	stall := g.cfg.Times.Stall
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		control := http.NewResponseController(w)
		// The last request on this connection may have left a deadline. A writer that knows none, as in tests, needs none.
		_ = control.SetWriteDeadline(time.Time{})
		var body *pacedBody
		if hasBody(r) {
			body = &pacedBody{ReadCloser: r.Body, control: control, stall: stall, left: stall}
			body.end, _ = r.Context().Deadline() // which by itself interrupts no read
			r.Body = body
		}
		out := &pacedWriter{writer: writer{w}, control: control, stall: stall, body: body}
		next.ServeHTTP(out, r)
		if out.taken {
			return
		}
		// What the server still has to send, and to read of the body, is under a deadline too.
		_ = control.SetWriteDeadline(time.Now().Add(stall + unread))
		body.leave()
	})
}

type pacedBody struct {
	io.ReadCloser
	control *http.ResponseController
	stall   time.Duration
	end     time.Time     // of the whole request; zero: none
	left    time.Duration // until got must have come to minProgress
	got     int
	done    bool // nothing more is to come
}

func (b *pacedBody) Read(p []byte) (int, error) {
	start := time.Now()
	limit := start.Add(b.left)
	if !b.end.IsZero() && b.end.Before(limit) {
		limit = b.end
	}
	_ = b.control.SetReadDeadline(limit)
	n, err := b.ReadCloser.Read(p)
	_ = b.control.SetReadDeadline(time.Time{}) // the handler may take its time, and the server watches for the client leaving
	b.left -= time.Since(start)
	if b.got += n; b.got >= minProgress {
		b.got, b.left = 0, b.stall
	}
	b.done = b.done || err != nil
	return n, err
}

// leave says that the handler may not read on. If it does, Read sets deadlines of its own.
func (b *pacedBody) leave() {
	if b != nil && !b.done {
		_ = b.control.SetReadDeadline(time.Now().Add(min(unread, b.stall)))
	}
}

type pacedWriter struct {
	writer
	body    *pacedBody // of the request; nil without
	begun   bool
	control *http.ResponseController
	stall   time.Duration
	taken   bool // the connection is the handler's now
}

func (w *pacedWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, buf, err := w.writer.Hijack()
	w.taken = err == nil
	return conn, buf, err
}

// WriteHeader begins the answer.
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

// Write goes piece by piece: the time for the whole would be one in which a client may take nothing.
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

// allow gives n bytes the time that the slowest client takes for them.
func (w *pacedWriter) allow(n int) {
	_ = w.control.SetWriteDeadline(time.Now().Add(w.stall * time.Duration(1+n/minProgress)))
}

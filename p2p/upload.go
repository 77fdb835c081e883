package p2p

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"sync"
	"time"

	"walrus/p2p/internal/wire"
)

// uploadBuffers collect small writes into writes of writeSize.
var uploadBuffers = sync.Pool{New: func() any { return bufio.NewWriterSize(nil, writeSize) }}

// upload sends a request with a large payload on a new stream. The peer may refuse before it has the whole payload, so
// upload waits for the answer while body writes.
func (h *Host) upload(ctx context.Context, to target, req *wire.Request, size int64,
	body func(io.Writer) error) (*answer, error) {
	if size < 0 {
		return nil, fmt.Errorf("%w: payload of %d bytes", ErrBadRequest, size)
	}
	req.Payload = uint64(size)
	msg, err := encodeRequest(req)
	if err != nil {
		return nil, err
	}
	st, err := h.open(ctx, to)
	if err != nil {
		return nil, err
	}
	a := h.begin(ctx, st)
	most := req.Bounds().Response
	if req.GetStorePairs().GetOffer() {
		if err := a.offer(msg); err != nil {
			return nil, err
		}
		msg = nil // sent
	}
	answered := make(chan error, 1)
	go func() {
		err := wire.ReadHeader(st.r, a.Response)
		if err != nil || a.GetCode() != 0 || a.GetPayload() > most {
			st.Reset() // wakes a blocked write: the peer refuses the rest, or its answer is nonsense
		}
		answered <- err
	}()

	out := &uploadWriter{w: newPacedWriter(st, st.SetWriteDeadline, h.cfg.Limits.ProgressTime), left: size}
	out.w.patient = true
	own := out.send(msg, body)
	switch {
	case own != nil && out.err == nil: // the caller's failure, not the stream's
		a.drop()
		<-answered // the stream is cut: the answer does not matter
		if cause := a.ended(); cause != nil {
			return nil, cause
		}
		return nil, own
	case out.err != nil: // setting a deadline fails only on a dead stream, which needs none
		_ = st.SetReadDeadline(time.Now().Add(refuseTime)) // the reason may be on its way
	default:
		_ = st.SetReadDeadline(time.Now().Add(h.cfg.Limits.ResponseTimeout))
	}
	err = <-answered
	switch {
	case err != nil && out.err != nil:
		return nil, a.fail(out.err) // the write failed first
	case err != nil:
		return nil, a.fail(noEOF(err))
	case a.GetCode() != 0:
		a.drop() // not fit for the pool: the payload is incomplete
		return nil, decodeError(a.GetCode(), a.GetError())
	case out.err != nil && a.GetPayload() <= most:
		return nil, a.broken("accepted a payload that it did not take: %v", out.err)
	}
	return a.accept(nil, most)
}

// offer sends a request without its payload, and waits until the peer accepts that.
func (a *answer) offer(msg []byte) error {
	l := &a.host.cfg.Limits
	if _, err := newPacedWriter(a.st, a.st.SetWriteDeadline, l.ProgressTime).Write(msg); err != nil {
		return a.fail(err)
	}
	if err := a.st.SetReadDeadline(time.Now().Add(l.ResponseTimeout)); err != nil {
		return a.fail(err)
	}
	if err := wire.ReadHeader(a.st.r, a.Response); err != nil {
		return a.fail(noEOF(err))
	}
	if a.GetCode() == 0 && a.GetAccepted() == nil {
		return a.broken("neither accepted nor refused what was offered")
	}
	if a.GetCode() != 0 || a.GetPayload() > 0 {
		_, err := a.accept(nil, 0)
		return err
	}
	a.Response = new(wire.Response)
	return a.st.SetReadDeadline(time.Time{})
}

func noEOF(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// uploadWriter counts and paces the payload of an upload.
type uploadWriter struct {
	w    *pacedWriter
	left int64
	err  error // of the stream; returned by every later Write
}

func (u *uploadWriter) send(header []byte, body func(io.Writer) error) error {
	if _, err := u.w.Write(header); err != nil {
		u.err = err
		return err
	}
	b := uploadBuffers.Get().(*bufio.Writer)
	defer uploadBuffers.Put(b)
	b.Reset(u)
	defer b.Reset(nil)
	if err := body(b); err != nil {
		return err
	}
	if err := b.Flush(); err != nil {
		return err
	}
	if u.left > 0 {
		return fmt.Errorf("upload: body ended %d bytes early", u.left)
	}
	return nil
}

func (u *uploadWriter) Write(b []byte) (int, error) {
	if u.err != nil {
		return 0, u.err
	}
	if int64(len(b)) > u.left {
		return 0, fmt.Errorf("upload: body is longer than announced")
	}
	n, err := u.w.Write(b)
	u.left -= int64(n)
	u.err = err
	return n, err
}

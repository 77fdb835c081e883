package p2p

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/libp2p/go-libp2p/core/network"

	"walrus/p2p/internal/wire"
)

// answer is the response to a request. Its payload is read from it; then it must be closed.
type answer struct {
	*wire.Response
	host    *Host
	st      *stream
	payload payload
	ended   func() error // why the caller's context ended, or nil
	forget  func() bool  // stops watching that context
	done    bool         // closed
}

// tries is how often a request is sent: on a pooled stream that the peer has closed, then on a new one over a connection
// that is just ending, then on a new connection.
const tries = 3

// ask sends a request with a small payload (or none) and waits for the response, whose payload may be at most most
// bytes. Such requests may be repeated: one whose stream turns out to be dead, before any byte came back, is sent again.
func (h *Host) ask(ctx context.Context, to target, req *wire.Request, small []byte) (a *answer, err error) {
	req.Payload = uint64(len(small))
	msg, err := encodeRequest(req)
	if err != nil {
		return nil, err
	}
	msg = append(msg, small...)
	st := h.pool.get(to)
	for range tries {
		if st == nil {
			if st, err = h.open(ctx, to); err != nil {
				return nil, err
			}
		}
		a, err = h.attempt(ctx, st, msg, req.Bounds().Response)
		if err == nil || !errors.Is(err, errStale) || errors.Is(err, ErrBusy) || ctx.Err() != nil {
			break
		}
		if connectionBroke(err) {
			_ = st.Conn().Close() // broken already; else libp2p may open the next stream on it, too
		}
		st = nil
	}
	return a, err
}

// connectionBroke tells an error of a whole connection from one of a stream.
func connectionBroke(err error) bool {
	var socket *net.OpError
	var connection *network.ConnError
	return errors.As(err, &socket) || errors.As(err, &connection)
}

// errStale is wrapped when a stream broke before any byte of the response.
var errStale = errors.New("stream broke before the response")

func (h *Host) attempt(ctx context.Context, st *stream, msg []byte, most uint64) (*answer, error) {
	a := h.begin(ctx, st)
	if _, err := newPacedWriter(st, st.SetWriteDeadline, h.cfg.Limits.ProgressTime).Write(msg); err != nil {
		return nil, a.fail(staleUnlessTimeout(err))
	}
	if err := st.SetReadDeadline(time.Now().Add(h.cfg.Limits.ResponseTimeout)); err != nil {
		return nil, a.fail(err)
	}
	if _, err := st.r.Peek(1); err != nil {
		return nil, a.fail(staleUnlessTimeout(err))
	}
	err := wire.ReadHeader(st.r, a.Response)
	return a.accept(err, most)
}

func staleUnlessTimeout(err error) error {
	if isTimeout(err) {
		return err
	}
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("%w: %w", errStale, err)
}

// encodeRequest also refuses what a peer would: better an error here than a round trip.
func encodeRequest(req *wire.Request) ([]byte, error) {
	if err := req.Validate(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBadRequest, err)
	}
	return wire.AppendHeader(nil, req)
}

// open opens a stream, dialing the peer if need be.
func (h *Host) open(ctx context.Context, to target) (*stream, error) {
	opening, cancel := context.WithTimeout(ctx, h.cfg.Limits.OpenTimeout)
	defer cancel()
	id := protocolID(h.cfg.Network, to.protocol)
	connected := h.host.Network().Connectedness(to.peer) == network.Connected
	st, err := h.host.NewStream(opening, to.peer, id)
	if err != nil && connected && opening.Err() == nil { // on a connection that was about to end: dial a new one
		st, err = h.host.NewStream(opening, to.peer, id)
	}
	if err != nil {
		return nil, callError(context.Cause(ctx), err)
	}
	st = countedStream{st, &h.traffic}
	return &stream{Stream: st, r: bufio.NewReaderSize(st, readBuffer), to: to}, nil
}

// begin ties a stream to a context for one request.
func (h *Host) begin(ctx context.Context, st *stream) *answer {
	return &answer{
		Response: new(wire.Response),
		host:     h, st: st,
		ended:  func() error { return context.Cause(ctx) },
		forget: context.AfterFunc(ctx, func() { st.Reset() }),
	}
}

// accept takes the header that was read with err: it is the answer, or the error to return.
func (a *answer) accept(err error, most uint64) (*answer, error) {
	if err != nil {
		return nil, a.fail(err)
	}
	if a.GetCode() != 0 {
		err := decodeError(a.GetCode(), a.GetError())
		a.Close() // the stream is still good
		return nil, err
	}
	if a.GetPayload() > most {
		return nil, a.fail(fmt.Errorf("%w: payload of %d bytes: want at most %d", ErrProtocol, a.GetPayload(), most))
	}
	l := &a.host.cfg.Limits
	a.payload = payload{
		r:    newPacedReader(a.st.r, a.st.SetReadDeadline, l.ProgressBytes, l.ProgressTime),
		left: int64(a.GetPayload()),
	}
	return a, nil
}

// fail gives up the stream and returns err as callers should see it.
func (a *answer) fail(err error) error {
	err = callError(a.ended(), err)
	a.drop()
	return err
}

// drop gives up the stream.
func (a *answer) drop() {
	a.done = true
	a.forget()
	a.st.Reset()
}

// broken is fail for an answer that contradicts itself or the request.
func (a *answer) broken(format string, args ...any) error {
	return a.fail(fmt.Errorf("%w: "+format, append([]any{ErrProtocol}, args...)...))
}

// Read reads the payload. It ends with io.EOF only after all of it; an earlier end wraps io.ErrUnexpectedEOF.
func (a *answer) Read(b []byte) (int, error) {
	if a.done {
		return 0, errors.New("read of a closed answer")
	}
	n, err := a.payload.Read(b)
	if a.payload.err == nil { // err is nil or the proper end
		return n, err
	}
	cause := a.ended()
	if cause == nil && !isTimeout(err) && !errors.Is(err, io.ErrUnexpectedEOF) {
		err = fmt.Errorf("%w: %w", io.ErrUnexpectedEOF, err)
	}
	return n, callError(cause, err)
}

// Close gives the stream back when the payload has been read to its end, and cuts it otherwise. It never waits.
func (a *answer) Close() error {
	if a.done {
		return nil
	}
	a.done = true
	if a.forget() && a.payload.left == 0 {
		a.host.pool.put(a.st)
	} else {
		a.st.Reset()
	}
	return nil
}

// callError turns what a stream returned into what callers branch on. cause is why the caller's context ended, if it did.
func callError(cause, err error) error {
	var broken *network.StreamError
	switch {
	case cause != nil:
		return cause
	case errors.Is(err, ErrProtocol):
		return err
	case errors.Is(err, wire.ErrMalformed):
		return fmt.Errorf("%w: %w", ErrProtocol, err)
	case isTimeout(err):
		return fmt.Errorf("%w: peer sent or took too little for too long: %w", ErrUnavailable, err)
	case errors.As(err, &broken) && broken.Remote &&
		(broken.ErrorCode == network.StreamResourceLimitExceeded || broken.ErrorCode == network.StreamRateLimited):
		return fmt.Errorf("%w: too many streams: %w", ErrBusy, err)
	}
	return fmt.Errorf("%w: %w", ErrUnavailable, flat{err})
}

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
	"github.com/libp2p/go-libp2p/core/peer"

	"walrus/p2p/internal/wire"
	"walrus/probe"
)

// answer holds the response to a request. The caller reads its payload, then closes it.
type answer struct {
	*wire.Response
	host    *Host
	st      *stream
	payload payload
	ended   func() error // the cause of the end of the caller's context, or nil
	forget  func() bool  // stops watching that context
	done    bool         // closed
}

// tries bounds how often a request is sent. The first may hit a pooled stream that the peer has closed, the second a
// new stream on a connection that is just ending; the third has a new connection.
const tries = 3

// ask sends a request with a small payload, or none, and waits for the response. It sends the request again when the
// stream turns out to be dead before any byte of the response. Every request sent this way may be repeated.
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
			_ = st.Conn().Close() // otherwise libp2p may open the next stream on it, too
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

// errStale marks a stream that broke before any byte of the response.
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

// encodeRequest also refuses what any peer would refuse, which saves a round trip.
func encodeRequest(req *wire.Request) ([]byte, error) {
	if err := req.Validate(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBadRequest, err)
	}
	return wire.AppendHeader(nil, req)
}

// punchPatience bounds the wait for a direct connection while there is only a relayed one. A hole punch takes well
// under a second over TCP, and 5 s over QUIC.
const punchPatience = 10 * time.Second

// open opens a stream, and dials the peer if there is no connection. Only the node protocol goes over relays; all else
// waits for a direct connection.
func (h *Host) open(ctx context.Context, to target) (*stream, error) {
	opening, cancel := context.WithTimeout(ctx, h.cfg.Limits.OpenTimeout)
	defer cancel()
	patience := min(punchPatience, h.cfg.Limits.OpenTimeout)
	if to.protocol == nodeProtocol {
		opening = network.WithAllowLimitedConn(opening, "small requests")
	} else if h.host.Network().Connectedness(to.peer) != network.Connected {
		if err := h.host.Connect(opening, peer.AddrInfo{ID: to.peer}); err != nil {
			return nil, callError(context.Cause(ctx), err)
		}
		if h.host.Network().Connectedness(to.peer) == network.Limited {
			opening, cancel = context.WithTimeout(opening, patience)
			defer cancel()
		}
	}
	id := protocolID(h.cfg.Network, to.protocol)
	connected := h.host.Network().Connectedness(to.peer) == network.Connected
	st, err := h.host.NewStream(opening, to.peer, id)
	if err != nil && connected && opening.Err() == nil { // the connection was about to end: dial a new one
		st, err = h.host.NewStream(opening, to.peer, id)
	}
	if err != nil && ctx.Err() == nil && h.host.Network().Connectedness(to.peer) == network.Limited {
		return nil, fmt.Errorf("%w: only a relayed connection to the peer, and no direct one within %v: relays carry small requests only", ErrUnavailable, patience)
	}
	if err != nil {
		return nil, callError(context.Cause(ctx), err)
	}
	st = h.counted(st)
	return &stream{Stream: st, r: bufio.NewReaderSize(st, readBuffer), to: to}, nil
}

// begin ties a stream to ctx for one request: it is cut when ctx ends.
func (h *Host) begin(ctx context.Context, st *stream) *answer {
	return &answer{
		Response: new(wire.Response),
		host:     h, st: st,
		ended:  func() error { return context.Cause(ctx) },
		forget: context.AfterFunc(ctx, func() { st.Reset() }),
	}
}

// accept checks the header that was read with err. It returns the answer, or the error for the caller. A payload above
// most bytes breaks the protocol.
func (a *answer) accept(err error, most uint64) (*answer, error) {
	if err != nil {
		return nil, a.fail(err)
	}
	if a.GetCode() != 0 {
		err := decodeError(a.GetCode(), a.GetError())
		if len(a.GetSignature()) > 0 {
			err = &signedRefusal{err, a.GetCode(), int(a.GetLacks()), [probe.SignatureSize]byte(a.GetSignature())}
		}
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

// fail cuts the stream and returns err in the form that callers branch on.
func (a *answer) fail(err error) error {
	err = callError(a.ended(), err)
	a.drop()
	return err
}

// drop cuts the stream.
func (a *answer) drop() {
	a.done = true
	a.forget()
	a.st.Reset()
}

// broken fails an answer that contradicts itself or the request.
func (a *answer) broken(format string, args ...any) error {
	return a.fail(fmt.Errorf("%w: "+format, append([]any{ErrProtocol}, args...)...))
}

// Read reads the payload. It returns io.EOF only after the whole payload; an earlier end wraps io.ErrUnexpectedEOF.
func (a *answer) Read(b []byte) (int, error) {
	if a.done {
		return 0, errors.New("read of a closed answer")
	}
	n, err := a.payload.Read(b)
	if a.payload.err == nil { // err is nil, or io.EOF after the whole payload
		return n, err
	}
	cause := a.ended()
	if cause == nil && !isTimeout(err) && !errors.Is(err, io.ErrUnexpectedEOF) {
		err = fmt.Errorf("%w: %w", io.ErrUnexpectedEOF, err)
	}
	return n, callError(cause, err)
}

// Close returns the stream to the pool after the whole payload, and cuts it otherwise. It never waits.
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

// callError turns an error of a stream into one that callers branch on. If the caller's context has ended, it returns
// cause.
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

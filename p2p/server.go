package p2p

import (
	"bufio"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"runtime/debug"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"walrus/internal/pause"
	"walrus/p2p/internal/wire"
	"walrus/shards"
)

// duplex lists the methods of a libp2p stream that the server needs.
type duplex interface {
	io.ReadWriter
	SetReadDeadline(time.Time) error
	SetWriteDeadline(time.Time) error
	// Close sends everything written, and refuses further writes.
	Close() error
	// Reset cuts the stream at once.
	Reset() error
}

// operations runs a request of one protocol. It sends the reply and returns nil, or returns the error to reply with.
type operations func(ctx context.Context, x *request) error

// server answers streams. All fields are constant.
type server struct {
	backend Backend            // nil on a server of pins or rounds
	content ContentBackend     // nil on a server of rounds
	rounds  RoundBackend       // nil on others
	notary  Notary             // nil: answers are not signed
	key     ed25519.PrivateKey // of this host
	limits  *Limits
	gate    *gate
	pacer   *pacer  // of strangers' requests
	self    peer.ID // of this host: its gateway has limits of its own
	log     *slog.Logger
}

// request holds one request while it is served.
type request struct {
	*wire.Request
	backend  Backend // nil for pins and rounds
	content  ContentBackend
	rounds   RoundBackend
	notary   Notary             // nil: answers are not signed
	key      ed25519.PrivateKey // of this host
	from     peer.ID
	id       shards.BlobID // zero where the operation has none
	body     payload
	w        *pacedWriter
	replied  bool        // part of the reply may have been sent
	patience *time.Timer // ends the request; nil for uploads
	ending   *ending     // of the payload; nil for all but uploads
	offered  bool        // the peer sends no payload before it is accepted
}

// serve answers the requests of one stream, one after the other, until the stream or ctx ends or the peer misbehaves.
func (s *server) serve(ctx context.Context, st duplex, from peer.ID, run operations) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { st.Reset() })
	defer stop()
	r := bufio.NewReaderSize(st, readBuffer)
	w := newPacedWriter(st, st.SetWriteDeadline, s.limits.ProgressTime)
	wait := s.limits.HeaderTimeout // for the first request, then longer
	for ctx.Err() == nil {
		header := new(wire.Request)
		err := s.readHeader(st, r, header, wait)
		if errors.Is(err, wire.ErrMalformed) {
			_ = refuse(w, fmt.Errorf("%w: %w", ErrBadRequest, err)) // the stream ends either way
		}
		if errors.Is(err, wire.ErrMalformed) || err == io.EOF || isTimeout(err) {
			_ = st.Close() // not Reset: the peer may still be reading the last reply
			return
		}
		if err != nil {
			st.Reset()
			return
		}
		x := &request{
			Request: header, backend: s.backend, content: s.content, rounds: s.rounds, notary: s.notary, key: s.key, from: from, w: w,
		}
		copy(x.id[:], header.GetBlobId())
		deadline := st.SetReadDeadline
		if header.GetStorePairs() != nil {
			x.ending, x.offered = &ending{st: st}, header.GetStorePairs().GetOffer() && header.GetPayload() > 0
			deadline = x.ending.deadline
		}
		x.body = payload{
			r:    newPacedReader(r, deadline, s.limits.ProgressBytes, uploadPatience*s.limits.ProgressTime),
			left: int64(header.GetPayload()),
		}
		if err := s.attend(ctx, st, r, x, run); err != nil {
			st.Reset()
			return
		}
		if x.body.left > 0 {
			_ = st.Close() // sends the reply; the rest of the request is not worth reading
			return
		}
		wait = s.limits.IdleTimeout * 3 / 2 // the client closes idle streams first, so it seldom uses a closed one
	}
	st.Reset()
}

// readHeader waits for a request, then reads its header.
func (s *server) readHeader(st duplex, r *bufio.Reader, header *wire.Request, wait time.Duration) error {
	if err := st.SetReadDeadline(time.Now().Add(wait)); err != nil {
		return err
	}
	if _, err := r.Peek(1); err != nil {
		return err
	}
	if err := st.SetReadDeadline(time.Now().Add(s.limits.HeaderTimeout)); err != nil {
		return err
	}
	return wire.ReadHeader(r, header)
}

// attend answers a request, but gives it up when its peer leaves.
func (s *server) attend(ctx context.Context, st duplex, r *bufio.Reader, x *request, run operations) error {
	if x.body.left > 0 {
		return s.answer(ctx, x, run) // the reader of the payload notices
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := watch(st, r, cancel)
	defer stop()
	return s.answer(ctx, x, run)
}

// answer runs a request and replies to it. After an error the stream is useless.
func (s *server) answer(ctx context.Context, x *request, run operations) error {
	err := s.admit(ctx, x, run)
	if x.offered { // and not accepted
		x.body.left = 0
	}
	if x.body.err != nil && !x.ended() {
		return x.body.err
	}
	if err != nil && x.replied {
		return err
	}
	if err != nil {
		if x.body.left <= smallPayload { // the peer waits, and is not sending
			s.linger(ctx, x.from)
		}
		if err := refuse(x.w, err); err != nil {
			return err
		}
	}
	if x.body.left > 0 && x.body.left <= smallPayload && !x.ended() {
		_, err := io.Copy(io.Discard, &x.body)
		return err
	}
	return nil
}

// admit runs a request if the gate has room for it.
func (s *server) admit(ctx context.Context, x *request, run operations) (err error) {
	cost := x.cost()
	if !s.gate.enter(x.from, cost) {
		return fmt.Errorf("%w: too many requests at once", ErrBusy)
	}
	defer s.gate.leave(x.from, cost)
	defer func() {
		if v := recover(); v != nil {
			s.log.Error("panic while serving a request", "peer", x.from, "operation", x.name(), "panic", v, "stack", string(debug.Stack()))
			err = ErrInternal
		}
	}()
	if !x.streamed() {
		var cancel context.CancelFunc
		ctx, cancel = context.WithCancel(ctx)
		defer cancel()
		x.patience = time.AfterFunc(s.limits.ResponseTimeout, cancel)
		defer x.patience.Stop()
	}
	if o := s.gate.origin(x.from); o.class == stranger && x.from != s.self {
		if err := s.pacer.enter(ctx, x.from, o, workOf(x.bytes())); err != nil {
			return err
		}
	}
	err = run(ctx, x)
	if err == nil || x.replied || x.body.err != nil && !x.ended() {
		return err
	}
	if cause := ctx.Err(); cause != nil && errors.Is(err, cause) {
		return fmt.Errorf("%w: request took too long, or the node is stopping", ErrUnavailable)
	}
	if code, _ := encodeError(err); code == codeInternal {
		s.log.Warn("request failed", "peer", x.from, "operation", x.name(), "blob", x.id, "error", err)
	}
	return err
}

// linger delays the refusal of a stranger's request while the CPU is short.
func (s *server) linger(ctx context.Context, from peer.ID) {
	if s.pacer.pressed() && s.gate.origin(from).class == stranger && from != s.self {
		pause.For(ctx, refusePause)
	}
}

// begin notes that the reply begins. From then on the operation may last as long as its bytes move.
func (x *request) begin() {
	x.replied = true
	x.patience.Stop()
}

// streamed reports whether the operation may last as long as its bytes move. All others have a time limit.
func (x *request) streamed() bool {
	return x.GetStorePairs() != nil || x.GetReadSliver() != nil || x.GetGetLineProof() != nil
}

// cost returns the bytes in flight that a request counts for.
func (x *request) cost() int64 {
	switch x.GetOp().(type) {
	case *wire.Request_PutMetadata, *wire.Request_PutCertificate, *wire.Request_PutProof, *wire.Request_PutFault:
		return int64(x.GetPayload())
	case *wire.Request_StorePairs, *wire.Request_GetSymbols, *wire.Request_GetLineProof:
		// streamed, whatever the peer claims about their size
		return writeSize
	case *wire.Request_ReadSliver:
		return int64(min(x.Bounds().Response, writeSize))
	case *wire.Request_ListCertificates, *wire.Request_GetLeaves:
		return int64(x.Bounds().Response)
	}
	return answerCost
}

// bytes returns the bytes that a request takes to receive and to answer, as far as they are known beforehand.
func (x *request) bytes() uint64 {
	switch x.GetOp().(type) {
	case *wire.Request_GetSymbols, *wire.Request_ReadSliver:
		return x.GetPayload() + x.Bounds().Response
	}
	return x.GetPayload()
}

// name returns the operation's name, for logs.
func (x *request) name() string {
	op := x.ProtoReflect().WhichOneof(x.ProtoReflect().Descriptor().Oneofs().ByName("op"))
	if op == nil {
		return "none"
	}
	return string(op.Name())
}

// reply sends a response with its payload.
func (x *request) reply(resp *wire.Response, payload []byte) error {
	resp.Payload = uint64(len(payload))
	if err := resp.Validate(); err != nil {
		return fmt.Errorf("reply of the backend: %w", err)
	}
	b, err := wire.AppendHeader(nil, resp)
	if err != nil {
		return err
	}
	x.replied = true
	if len(payload) <= smallPayload {
		b, payload = append(b, payload...), nil
	}
	if _, err := x.w.Write(b); err != nil {
		return err
	}
	_, err = x.w.Write(payload)
	return err
}

// refuse sends an error as the response.
func refuse(w io.Writer, err error) error {
	code, text := encodeError(err)
	response := &wire.Response{Code: code, Error: text}
	if signed := (*signedRefusal)(nil); errors.As(err, &signed) {
		response.Signature, response.Lacks = signed.signature[:], uint32(signed.lacks)
	}
	b, err := wire.AppendHeader(nil, response)
	if err != nil {
		return err
	}
	_, err = w.Write(b)
	return err
}

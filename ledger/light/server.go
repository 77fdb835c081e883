package light

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"walrus/certs"
	"walrus/ledger"
)

// Server answers light clients. Fields are constant unless noted otherwise.
type Server struct {
	host    host.Host
	network string
	id      certs.NetworkID
	source  Source
	log     *slog.Logger
	gate    *gate
	cancel  context.CancelFunc // ends the handlers

	mu     sync.Mutex
	closed bool           // guarded by mu
	work   sync.WaitGroup // running handlers; grows only under mu while closed is false
}

// Serve answers requests of a network's light clients from source, until ctx ends or Close is called. Clients can ask
// when it returns.
func Serve(ctx context.Context, h host.Host, genesis *ledger.Genesis, source Source, limits Limits,
	log *slog.Logger) (*Server, error) {
	if err := limits.Validate(); err != nil {
		return nil, fmt.Errorf("serve ledger: %w", err)
	}
	s := &Server{host: h, network: genesis.Network, id: genesis.NetworkID(), source: source, log: log,
		gate: newGate(limits)}
	ctx, s.cancel = context.WithCancel(ctx)
	for name, e := range endpoints {
		h.SetStreamHandler(protocolID(s.network, name), func(st network.Stream) {
			if !s.begin() {
				_ = st.Reset()
				return
			}
			defer s.work.Done()
			s.serve(ctx, st, st.Conn().RemotePeer(), name, e)
		})
	}
	return s, nil
}

func (s *Server) begin() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.work.Add(1)
	return true
}

// Close refuses new requests, cuts those in progress and waits for their handlers.
func (s *Server) Close() {
	for name := range endpoints {
		s.host.RemoveStreamHandler(protocolID(s.network, name))
	}
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.cancel()
	s.work.Wait()
}

// stream is the part of a libp2p stream that the server needs.
type stream interface {
	io.ReadWriter
	SetReadDeadline(time.Time) error
	SetWriteDeadline(time.Time) error
	// Close sends pending bytes and ends writing.
	Close() error
	// Reset cuts the stream at once.
	Reset() error
}

// serve answers the request of one stream.
func (s *Server) serve(ctx context.Context, st stream, from peer.ID, name string, e *endpoint) {
	ctx, cancel := context.WithTimeout(ctx, requestTime+e.wait+answerTime)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { _ = st.Reset() })
	defer stop()
	code, reply := s.reply(ctx, st, from, name, e)
	if code == codeSilent {
		_ = st.Reset()
		return
	}
	b, err := encodeAnswer(code, reply)
	if err != nil {
		s.log.Error("encode answer", "peer", from, "protocol", name, "error", err)
		b, _ = encodeAnswer(codeInternal, new(refusal)) // a refusal always fits
	}
	if err := st.SetWriteDeadline(time.Now().Add(answerTime)); err != nil {
		_ = st.Reset()
		return
	}
	if _, err := st.Write(b); err != nil {
		_ = st.Reset()
		return
	}
	_ = st.Close()
}

// codeSilent means that no answer is sent, because no request arrived.
const codeSilent = 255

// reply reads a request and returns the answer to it.
func (s *Server) reply(ctx context.Context, st stream, from peer.ID, name string, e *endpoint) (byte, message) {
	m := e.request()
	err := s.receive(st, m)
	if err != nil && !errors.Is(err, errForm) && !errors.Is(err, errNetwork) {
		return codeSilent, nil
	}
	if errors.Is(err, errForm) {
		err = fmt.Errorf("%w: %w", ErrRequest, err)
	}
	if err != nil {
		return refuse(err)
	}
	cost := int64(e.limit)
	if w, ok := m.(interface{ cost() int64 }); ok {
		cost = w.cost()
	}
	weight := 1.0
	if w, ok := m.(interface{ weight() float64 }); ok {
		weight = w.weight()
	}
	if !s.gate.enter(from, cost, weight, time.Now()) {
		return refuse(fmt.Errorf("%w: too many requests", ErrBusy))
	}
	defer s.gate.leave(from, cost)
	if e.wait > 0 {
		var gone func()
		ctx, gone = s.watch(ctx, st)
		defer gone()
	}
	answer, err := s.ask(ctx, m, from, name)
	if err == nil {
		return 0, answer
	}
	code, no := refuse(err)
	if code == codeInternal && ctx.Err() == nil {
		s.log.Warn("request failed", "peer", from, "protocol", name, "error", err)
	}
	return code, no
}

// receive reads a request into m.
func (s *Server) receive(st stream, m message) error {
	if err := st.SetReadDeadline(time.Now().Add(requestTime)); err != nil {
		return err
	}
	id, body, err := readRequestFrame(st)
	if err != nil {
		return err
	}
	if id != s.id {
		return fmt.Errorf("%w: this node's is 0x%x", errNetwork, s.id[:4])
	}
	return decode(body, m)
}

// watch returns a context that also ends when the client goes away. That shows as the end of the stream, from which
// nothing more is to be read. Call the returned function to end the watch.
func (s *Server) watch(ctx context.Context, st stream) (context.Context, func()) {
	ctx, cancel := context.WithCancel(ctx)
	if err := st.SetReadDeadline(time.Time{}); err != nil {
		return ctx, cancel
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = st.Read(make([]byte, 1))
		cancel()
	}()
	return ctx, func() {
		_ = st.SetReadDeadline(time.Unix(1, 0)) // wakes the reader
		<-done
		cancel()
	}
}

// ask gets the answer from the source. A panic becomes an error.
func (s *Server) ask(ctx context.Context, m request, from peer.ID, name string) (answer message, err error) {
	defer func() {
		if v := recover(); v != nil {
			s.log.Error("panic while serving a request", "peer", from, "protocol", name, "panic", v,
				"stack", string(debug.Stack()))
			err = errInternal
		}
	}()
	return m.answer(ctx, s.source)
}

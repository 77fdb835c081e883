package p2p

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/p2p/protocol/identify"
	"github.com/multiformats/go-multiaddr"
	"github.com/multiformats/go-multistream"
)

// selfHost lets a libp2p host, which cannot dial itself, open streams to its own peer ID. So a gateway beside a storage
// node asks that node like any other. These streams stay in memory; in all else they are like other streams:
// negotiated, answered by the handlers of their protocol, bounded by the resource manager and by the limits of a peer.
type selfHost struct {
	host.Host
	admit    func(peer.ID) error         // returns why the peer must not be dialled; constant
	turn     func(peer.ID) time.Duration // until the peer may be dialled; nil: no limit; constant
	handlers sync.WaitGroup

	mu     sync.Mutex
	closed bool                 // guarded by mu
	open   map[*selfStream]bool // both ends of each; guarded by mu
}

func newSelfHost(h host.Host, d *door) *selfHost {
	return &selfHost{Host: h, admit: d.admit, turn: d.turn(), open: map[*selfStream]bool{}}
}

// IDService returns the host's identify service, or nil. Users of a host look for this method.
func (h *selfHost) IDService() identify.IDService {
	if s, ok := h.Host.(interface{ IDService() identify.IDService }); ok {
		return s.IDService()
	}
	return nil
}

// Connect dials a peer. To itself the host is always connected.
func (h *selfHost) Connect(ctx context.Context, info peer.AddrInfo) error {
	if info.ID == h.ID() {
		return nil
	}
	if err := h.awaitTurn(ctx, info.ID); err != nil {
		return err
	}
	return h.Host.Connect(ctx, info)
}

// NewStream opens a stream to a peer, or in memory to this host.
func (h *selfHost) NewStream(ctx context.Context, p peer.ID, protocols ...protocol.ID) (network.Stream, error) {
	if p != h.ID() {
		if err := h.awaitTurn(ctx, p); err != nil {
			return nil, err
		}
		return h.Host.NewStream(ctx, p, protocols...)
	}
	st, err := h.loop()
	if err != nil {
		return nil, err
	}
	cut := context.AfterFunc(ctx, func() { _ = st.Reset() })
	chosen, err := multistream.SelectOneOf(protocols, st)
	if err == nil {
		err = tooMany(st.SetProtocol(chosen))
	}
	if !cut() && err == nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		_ = st.Reset()
		return nil, err
	}
	return st, nil
}

// loop opens a stream in memory and lets a handler answer its other end. It returns the asking end.
func (h *selfHost) loop() (*selfStream, error) {
	rm := h.Network().ResourceManager()
	asking, err := rm.OpenStream(h.ID(), network.DirOutbound)
	if err != nil {
		return nil, tooMany(err)
	}
	answering, err := rm.OpenStream(h.ID(), network.DirInbound)
	if err != nil {
		asking.Done()
		return nil, tooMany(err)
	}
	there, back := newFlow(), newFlow()
	now := time.Now()
	client := &selfStream{host: h, in: back, out: there, scope: asking, stat: network.Stats{Direction: network.DirOutbound, Opened: now}}
	server := &selfStream{host: h, in: there, out: back, scope: answering, stat: network.Stats{Direction: network.DirInbound, Opened: now}}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		asking.Done()
		answering.Done()
		return nil, errClosed
	}
	h.open[client], h.open[server] = true, true
	h.handlers.Go(server.handle)
	return client, nil
}

// tooMany turns an error of the resource manager into the one that a peer gets when its stream is refused.
func tooMany(err error) error {
	if err == nil {
		return nil
	}
	return &network.StreamError{ErrorCode: network.StreamResourceLimitExceeded, Remote: true, TransportError: err}
}

// negotiationTime bounds the choice of a protocol, as it does in libp2p.
const negotiationTime = 10 * time.Second

// handle negotiates the protocol of a stream and runs its handler.
func (s *selfStream) handle() {
	_ = s.SetDeadline(time.Now().Add(negotiationTime)) // does not fail
	id, handler, err := s.host.Mux().Negotiate(s)
	if err != nil {
		_ = s.ResetWithError(network.StreamProtocolNegotiationFailed)
		return
	}
	_ = s.SetDeadline(time.Time{})
	if err := s.SetProtocol(id); err != nil {
		_ = s.ResetWithError(network.StreamResourceLimitExceeded)
		return
	}
	_ = handler(id, s) // the handlers of libp2p return nil
}

// Close cuts the streams in memory, closes the host and waits for the handlers of these streams.
func (h *selfHost) Close() error {
	h.mu.Lock()
	h.closed = true
	open := h.open
	h.open = nil
	h.mu.Unlock()
	for st := range open {
		_ = st.ResetWithError(network.StreamShutdown)
	}
	err := h.Host.Close()
	h.handlers.Wait()
	return err
}

// selfStream implements network.Stream in memory: one end of a pair.
type selfStream struct {
	host    *selfHost // constant, as the next four
	in, out *flow
	scope   network.StreamManagementScope
	stat    network.Stats

	ended    sync.Once
	mu       sync.Mutex
	protocol protocol.ID // guarded by mu
}

func (s *selfStream) Read(b []byte) (int, error)  { return s.in.Read(b) }
func (s *selfStream) Write(b []byte) (int, error) { return s.out.Write(b) }

// CloseWrite ends the stream for the reader at the other end, once that has read everything.
func (s *selfStream) CloseWrite() error {
	s.out.closeWrite()
	return nil
}

// CloseRead makes Read fail.
func (s *selfStream) CloseRead() error {
	s.in.closeRead()
	return nil
}

// Close closes both directions.
func (s *selfStream) Close() error {
	s.in.closeRead()
	s.out.closeWrite()
	s.end()
	return nil
}

// Reset cuts both directions at once.
func (s *selfStream) Reset() error { return s.ResetWithError(network.StreamNoError) }

// ResetWithError is Reset with a code for the other end.
func (s *selfStream) ResetWithError(code network.StreamErrorCode) error {
	here, there := &network.StreamError{ErrorCode: code}, &network.StreamError{ErrorCode: code, Remote: true}
	s.in.cut(here, there)
	s.out.cut(there, here)
	s.end()
	return nil
}

// end gives back what the resource manager counts.
func (s *selfStream) end() {
	s.ended.Do(func() {
		s.scope.Done()
		s.host.mu.Lock()
		defer s.host.mu.Unlock()
		delete(s.host.open, s)
	})
}

// SetDeadline sets both deadlines. It does not fail, like the next two.
func (s *selfStream) SetDeadline(t time.Time) error {
	s.in.reading.set(t)
	s.out.writing.set(t)
	return nil
}

// SetReadDeadline lets Read fail from t on; never, if t is zero.
func (s *selfStream) SetReadDeadline(t time.Time) error {
	s.in.reading.set(t)
	return nil
}

// SetWriteDeadline lets Write fail from t on; never, if t is zero.
func (s *selfStream) SetWriteDeadline(t time.Time) error {
	s.out.writing.set(t)
	return nil
}

// SetProtocol names the protocol, and fails if it has too many streams.
func (s *selfStream) SetProtocol(id protocol.ID) error {
	if err := s.scope.SetProtocol(id); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.protocol = id
	return nil
}

// Protocol returns the protocol, once it is chosen.
func (s *selfStream) Protocol() protocol.ID {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.protocol
}

// ID returns the same name for all streams in memory.
func (s *selfStream) ID() string { return "self" }

// Stat returns the direction and the age of the stream.
func (s *selfStream) Stat() network.Stats { return s.stat }

// Scope returns the stream's account at the resource manager.
func (s *selfStream) Scope() network.StreamScope { return s.scope }

// Conn returns the connection that the stream would have.
func (s *selfStream) Conn() network.Conn { return selfConn{s.host} }

// selfConn implements network.Conn for streams in memory: both ends are this host, and it is never closed.
type selfConn struct{ host *selfHost }

func (c selfConn) LocalPeer() peer.ID             { return c.host.ID() }
func (c selfConn) RemotePeer() peer.ID            { return c.host.ID() }
func (c selfConn) RemotePublicKey() crypto.PubKey { return c.host.Peerstore().PubKey(c.host.ID()) }
func (c selfConn) ConnState() network.ConnectionState {
	return network.ConnectionState{Transport: "memory"}
}
func (c selfConn) LocalMultiaddr() multiaddr.Multiaddr  { return selfAddr }
func (c selfConn) RemoteMultiaddr() multiaddr.Multiaddr { return selfAddr }
func (c selfConn) Stat() network.ConnStats              { return network.ConnStats{} }
func (c selfConn) Scope() network.ConnScope             { return &network.NullScope{} }
func (c selfConn) ID() string                           { return "self" }
func (c selfConn) GetStreams() []network.Stream         { return nil }
func (c selfConn) IsClosed() bool                       { return false }
func (c selfConn) As(any) bool                          { return false }
func (c selfConn) Close() error                         { return nil }

func (c selfConn) CloseWithError(network.ConnErrorCode) error { return nil }

func (c selfConn) NewStream(context.Context) (network.Stream, error) {
	return nil, errors.New("streams to this host are opened by NewStream of the host")
}

var selfAddr = multiaddr.StringCast("/memory/1")

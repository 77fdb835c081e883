package engine

import (
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cometbft/cometbft/crypto/ed25519"
	"github.com/cometbft/cometbft/libs/cmap"
	"github.com/cometbft/cometbft/libs/service"
	"github.com/cometbft/cometbft/p2p"
	"github.com/cometbft/cometbft/p2p/conn"
	"github.com/cosmos/gogoproto/proto"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"walrus/ledger"
)

// member is a node of the committee with its votes in consensus.
type member struct {
	id     peer.ID
	name   string
	shares int64            // its votes
	key    ledger.PublicKey // verifies its votes; zero for a follower, which has none
}

func (m *member) votes() bool { return m.key != ledger.PublicKey{} }

// address returns CometBFT's name for the consensus key.
func (m *member) address() string { return string(ed25519.PubKey(m.key[:]).Address()) }

// cometID returns CometBFT's name for a peer: the address of its key.
func cometID(id peer.ID) (p2p.ID, error) {
	key, err := id.ExtractPublicKey()
	if err != nil {
		return "", fmt.Errorf("peer %s: %w", id, err)
	}
	raw, err := key.Raw()
	if err != nil || len(raw) != ed25519.PubKeySize {
		return "", fmt.Errorf("peer %s: not an Ed25519 key", id)
	}
	return p2p.ID(hex.EncodeToString(ed25519.PubKey(raw).Address())), nil
}

// remote is a connected peer: a p2p.Peer for CometBFT's reactors.
type remote struct {
	service.BaseService // Stop cuts the stream; the peer's link then cleans up the rest

	sw       *sw // constant after newRemote, as are all but values, reason and failed
	key      p2p.ID
	outbound bool
	conn     *streamConn
	mux      *conn.MConnection
	info     p2p.DefaultNodeInfo
	values   *cmap.CMap // has its own lock

	mu     sync.Mutex
	reason any // why the peer was dropped; guarded by mu
	failed atomic.Bool
	sent   atomic.Int64 // when Send last returned, in nanoseconds since 1970
}

var _ p2p.Peer = (*remote)(nil)

func newRemote(s *sw, key p2p.ID, st network.Stream, outbound bool) *remote {
	r := &remote{sw: s, key: key, outbound: outbound, conn: newStreamConn(st), values: cmap.NewCMap()}
	r.info = p2p.DefaultNodeInfo{DefaultNodeID: key, ListenAddr: r.conn.remote.String()}
	r.BaseService = *service.NewBaseService(s.Logger, "Peer", r)
	r.mux = conn.NewMConnectionWithConfig(r.conn, s.channels, r.receive, r.drop, conn.MConnConfig{
		SendRate: maxRate, RecvRate: maxRate, MaxPacketMsgPayloadSize: maxPacket,
		FlushThrottle: s.flush, PingInterval: pingInterval, PongTimeout: pongTimeout,
	})
	r.mux.SetLogger(s.Logger)
	return r
}

// drop closes the connection and records the reason.
func (r *remote) drop(reason any) {
	r.mu.Lock()
	if r.reason == nil {
		r.reason = reason
	}
	r.mu.Unlock()
	_ = r.Stop() // fails if already stopped
}

// why returns the reason why the peer was dropped; nil if we closed the connection.
func (r *remote) why() any {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.reason
}

// badMessage reports a message that only a faulty or hostile peer sends.
type badMessage struct {
	channel byte
	err     error
}

func (b *badMessage) Error() string {
	return fmt.Sprintf("bad message on channel %#x: %v", b.channel, b.err)
}

// receive passes a message to the reactor of its channel. A message that cannot be decoded, or makes a reactor panic,
// costs the peer its connection: it is faulty or hostile.
func (r *remote) receive(channel byte, b []byte) {
	defer func() {
		if p := recover(); p != nil {
			r.drop(&badMessage{channel, fmt.Errorf("%v", p)})
		}
	}()
	if !r.IsRunning() { // read before the peer was stopped
		return
	}
	msg, err := r.decode(channel, b)
	if err != nil {
		r.drop(&badMessage{channel, err})
		return
	}
	r.sw.voices.hear(msg)
	if r.sw.hear != nil {
		r.sw.hear(msg)
	}
	r.sw.receivers[channel].Receive(p2p.Envelope{ChannelID: channel, Src: r, Message: msg})
}

func (r *remote) decode(channel byte, b []byte) (proto.Message, error) {
	to := r.sw.receivers[channel]
	if to == nil {
		return nil, errors.New("no such channel")
	}
	if f, ok := to.(p2p.MsgBytesFilter); ok {
		if err := f.FilterMsgBytes(channel, r, b); err != nil {
			return nil, err
		}
	}
	msg := proto.Clone(r.sw.messages[channel])
	if err := proto.Unmarshal(b, msg); err != nil {
		return nil, err
	}
	if w, ok := msg.(p2p.Unwrapper); ok {
		return w.Unwrap()
	}
	return msg, nil
}

// encode returns a message in its wire format.
func encode(msg proto.Message) ([]byte, error) {
	if w, ok := msg.(p2p.Wrapper); ok {
		msg = w.Wrap()
	}
	return proto.Marshal(msg)
}

// Send implements p2p.Peer: it waits for room in the channel's queue, until the connection ends.
func (r *remote) Send(e p2p.Envelope) bool {
	b, err := encode(e.Message)
	ok := err == nil && r.send(e.ChannelID, b)
	r.sent.Store(time.Now().UnixNano())
	r.sw.pulse.message(e.ChannelID)
	return ok
}

func (r *remote) send(channel byte, b []byte) bool {
	if r.mux.TrySend(channel, b) {
		return true
	}
	retry := time.NewTicker(time.Millisecond)
	defer retry.Stop()
	end := time.NewTimer(sendTimeout)
	defer end.Stop()
	for r.IsRunning() {
		select {
		case <-retry.C:
			if r.mux.TrySend(channel, b) {
				return true
			}
		case <-end.C:
			return false
		case <-r.Quit():
			return false
		}
	}
	return false
}

// TrySend implements p2p.Peer.
func (r *remote) TrySend(e p2p.Envelope) bool {
	defer r.sw.pulse.message(e.ChannelID)
	b, err := encode(e.Message)
	return err == nil && r.mux.TrySend(e.ChannelID, b)
}

// OnStart implements service.Service.
func (r *remote) OnStart() error { return r.mux.Start() }

// OnStop implements service.Service.
func (r *remote) OnStop() { _ = r.mux.Stop() } // fails if already stopped

// FlushStop implements p2p.Peer.
func (r *remote) FlushStop() { r.mux.FlushStop() }

// String implements service.Service.
func (r *remote) String() string { return string(r.key) }

// ID implements p2p.Peer, as do all methods below.
func (r *remote) ID() p2p.ID { return r.key }

func (r *remote) RemoteIP() net.IP              { return r.conn.remote.IP }
func (r *remote) RemoteAddr() net.Addr          { return r.conn.remote }
func (r *remote) IsOutbound() bool              { return r.outbound }
func (r *remote) IsPersistent() bool            { return true }
func (r *remote) CloseConn() error              { return r.conn.Close() }
func (r *remote) NodeInfo() p2p.NodeInfo        { return r.info }
func (r *remote) Status() conn.ConnectionStatus { return r.mux.Status() }
func (r *remote) Set(key string, v any)         { r.values.Set(key, v) }
func (r *remote) Get(key string) any            { return r.values.Get(key) }
func (r *remote) SetRemovalFailed()             { r.failed.Store(true) }
func (r *remote) GetRemovalFailed() bool        { return r.failed.Load() }
func (r *remote) SocketAddr() *p2p.NetAddress {
	return &p2p.NetAddress{ID: r.key, IP: r.conn.remote.IP, Port: uint16(r.conn.remote.Port)}
}

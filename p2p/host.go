package p2p

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/multiformats/go-multiaddr"
)

// The stream protocols, by name and version.
const (
	sliverProtocol = "sliver/1.2.0" // operations on blobs; since 1.2 uploads need tokens
	nodeProtocol   = "node/1.0.0"   // status of nodes, and certificates; alone allowed over relays
	pinProtocol    = "pin/1.0.0"    // the operations that read blobs, at peers that pin them
	// monitorProtocol has the operations about rounds of probes, at storage nodes and monitors.
	monitorProtocol = "monitor/1.0.0"
)

func protocolID(network, name string) protocol.ID {
	return protocol.ID("/walrus/" + network + "/" + name)
}

// Host asks peers, itself included, and after Serve answers them. It owns the libp2p host of this process. Its methods
// may be called concurrently.
type Host struct {
	Content           // of nodes; constant
	host    host.Host // constant, like cfg
	cfg     Config
	door    *door
	pacer   *pacer
	pool    *pool
	conduct conduct        // of peers in gossip; has its own lock
	watch   *lookout       // how others reach this host; has its own lock
	relays  *relaySource   // has its own lock
	server  sync.WaitGroup // handlers at work

	traffic traffic

	mu     sync.Mutex
	closed bool   // guarded by mu
	stop   func() // ends handlers and gossip; guarded by mu
	joined bool   // gossip runs; guarded by mu
	serves bool   // guarded by mu
	pins   bool   // serves pins; guarded by mu
	rounds bool   // serves rounds; guarded by mu
}

// errClosed refuses to start work on a closed host.
var errClosed = errors.New("host is closed")

// New opens the host. When it returns, the host listens on every address of cfg.Listen, without sharing a port with
// another process; otherwise New fails. None of our protocols run before Serve or Join.
func New(cfg Config) (*Host, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("p2p config: %w", err)
	}
	if cfg.Limits == (Limits{}) {
		cfg.Limits = DefaultLimits()
	}
	if cfg.UserAgent == "" {
		cfg.UserAgent = "walrus"
	}
	d := newDoor(cfg.Limits, cfg.Public)
	d.private.set(cfg.Allow)
	relays, guests, proven := newRelaySource(), newRelayGuests(), &provenAddrs{own: interfaceAddrs}
	h, err := openHost(&cfg, d, relays, guests, proven)
	if err != nil {
		return nil, err
	}
	h.Network().Notify(&network.NotifyBundle{ConnectedF: func(_ network.Network, c network.Conn) { d.late(c) }, DisconnectedF: func(n network.Network, c network.Conn) {
		d.Disconnected(c)
		if n.Connectedness(c.RemotePeer()) == network.NotConnected {
			guests.left(c.RemotePeer())
		}
	}})
	out := &Host{host: newSelfHost(h, d), cfg: cfg, door: d, pacer: newPacer(), pool: newPool(cfg.Limits.IdleTimeout), relays: relays, stop: func() {}}
	out.Content = Content{out, sliverProtocol}
	if out.watch, err = newLookout(h, &cfg, relays, proven); err != nil {
		return nil, errors.Join(fmt.Errorf("watch reachability: %w", err), h.Close())
	}
	return out, nil
}

// ID returns the host's peer ID.
func (h *Host) ID() peer.ID { return h.host.ID() }

// Addrs returns the addresses at which other peers should reach this one, without its ID.
func (h *Host) Addrs() []multiaddr.Multiaddr { return h.host.Addrs() }

// FullAddrs returns Addrs, each with /p2p/ID: the form for bootstrap lists.
func (h *Host) FullAddrs() []multiaddr.Multiaddr {
	id := multiaddr.StringCast("/p2p/" + h.ID().String())
	var full []multiaddr.Multiaddr
	for _, a := range h.Addrs() {
		full = append(full, a.Encapsulate(id))
	}
	return full
}

// Libp2p returns the underlying host, for the DHT and other protocols that share it.
func (h *Host) Libp2p() host.Host { return h.host }

// Connect dials a peer unless there is a connection to it already. Errors wrap ErrUnavailable; a *NotAllowedError is
// among them.
func (h *Host) Connect(ctx context.Context, info peer.AddrInfo) error {
	ctx, cancel := context.WithTimeout(ctx, h.cfg.Limits.OpenTimeout)
	defer cancel()
	if err := h.host.Connect(ctx, info); err != nil {
		return fmt.Errorf("connect to %s: %w: %w", info.ID, ErrUnavailable, flat{err})
	}
	return nil
}

// Protect exempts a peer from the trimming of connections and from the limits for strangers, for the reason tag. The
// host itself is never exempt, because a gateway that uses it asks on behalf of strangers.
func (h *Host) Protect(id peer.ID, tag string) {
	if id == h.ID() {
		return
	}
	h.host.ConnManager().Protect(id, tag)
	h.door.members.add(id, tag)
	h.door.reclassify(id)
}

// Unprotect removes the reason tag.
func (h *Host) Unprotect(id peer.ID, tag string) {
	h.host.ConnManager().Unprotect(id, tag)
	h.door.members.remove(id, tag)
	h.door.reclassify(id)
}

// SetProtected makes ids the peers that are protected for the reason tag, such as the committee of a new epoch. Peers
// that lose their last tag stay connected as strangers, in a private network too: they hand over what they hold.
func (h *Host) SetProtected(tag string, ids []peer.ID) {
	keep := make(map[peer.ID]bool, len(ids))
	for _, id := range ids {
		keep[id] = true
		h.Protect(id, tag)
	}
	for _, id := range h.door.members.tagged(tag) {
		if !keep[id] {
			h.Unprotect(id, tag)
		}
	}
}

// Recognize admits a peer as a payer of an account until a time, apart from strangers: it has presented a valid upload
// token. Protected peers stay what they are.
func (h *Host) Recognize(id peer.ID, account Account, until time.Time) {
	h.door.payers.add(id, account, until)
}

// while returns a context for work of this host. It ends with ctx or with Close, whichever comes first. h.mu is held.
func (h *Host) while(ctx context.Context) context.Context {
	ctx, cancel := context.WithCancel(ctx)
	before := h.stop
	h.stop = func() {
		before()
		cancel()
	}
	return ctx
}

// Serve lets b answer requests until ctx ends or the host is closed. It returns at once, and may be called once. If b
// is a Notary, too, answers to questions with a nonce are signed.
func (h *Host) Serve(ctx context.Context, b Backend) error {
	ctx, s, err := h.newServer(ctx, &h.serves, b)
	if err != nil {
		return err
	}
	s.backend, s.key = b, h.cfg.Key
	s.notary, _ = b.(Notary)
	h.handle(sliverProtocol, false, func(st network.Stream) {
		s.serve(ctx, h.counted(st), st.Conn().RemotePeer(), blobOperation)
	})
	h.handle(nodeProtocol, true, func(st network.Stream) {
		run := nodeOperation
		if st.Conn().Stat().Limited {
			run = relayedOperation
		}
		s.serve(ctx, h.counted(st), st.Conn().RemotePeer(), run)
	})
	who := newWhoami(h)
	h.handle(whoamiProtocol, false, func(st network.Stream) { who.serve(ctx, st) })
	return nil
}

// ServePins lets b answer requests of the pin protocol, as Serve does for the others, with the same limits apart from
// them. A host may do both.
func (h *Host) ServePins(ctx context.Context, b ContentBackend) error {
	ctx, s, err := h.newServer(ctx, &h.pins, b)
	if err != nil {
		return err
	}
	h.handle(pinProtocol, false, func(st network.Stream) {
		s.serve(ctx, h.counted(st), st.Conn().RemotePeer(), contentOperation)
	})
	return nil
}

// newServer makes a server, once for each flag, and the context in which it serves. h.mu guards the flag.
func (h *Host) newServer(ctx context.Context, flag *bool, b ContentBackend) (context.Context, *server, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return nil, nil, fmt.Errorf("serve: %w", errClosed)
	}
	if *flag {
		return nil, nil, errors.New("serve: it may be called once")
	}
	*flag = true
	return h.while(ctx), &server{
		content: b, limits: &h.cfg.Limits, gate: newGate(h.cfg.Limits, h.door.origin), pacer: h.pacer, self: h.ID(), log: h.cfg.Logger,
	}, nil
}

// handle lets serve answer the streams of a protocol. relayed allows those over relays.
func (h *Host) handle(name string, relayed bool, serve func(st network.Stream)) {
	h.host.SetStreamHandler(protocolID(h.cfg.Network, name), func(st network.Stream) {
		if st.Conn().Stat().Limited && !relayed || !h.enter() { // limited: relayed
			st.Reset()
			return
		}
		defer h.server.Done()
		serve(st)
	})
}

// enter counts a handler that Close waits for, unless the host is closed.
func (h *Host) enter() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.closed {
		h.server.Add(1)
	}
	return !h.closed
}

// Close cuts every stream and connection, and ends the work of Serve and Join. It waits for the Backend's methods,
// which must return when their contexts end.
func (h *Host) Close() error {
	h.mu.Lock()
	h.closed = true
	stop := h.stop
	h.mu.Unlock()
	stop()
	h.pacer.close()
	h.pool.close()
	h.watch.close()
	err := h.host.Close()
	h.server.Wait()
	h.door.closing.Wait()
	if err != nil {
		return fmt.Errorf("close libp2p host: %w", err)
	}
	return nil
}

package p2p

import (
	"fmt"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p"
	libp2pconfig "github.com/libp2p/go-libp2p/config"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/muxer/yamux"
	"github.com/libp2p/go-libp2p/p2p/net/connmgr"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	"github.com/libp2p/go-libp2p/p2p/protocol/holepunch"
	"github.com/libp2p/go-libp2p/p2p/security/noise"
	"github.com/libp2p/go-libp2p/p2p/security/tls"
	"github.com/libp2p/go-libp2p/p2p/transport/quic"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
	"github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"

	"walrus/internal/ipgroup"
)

// options returns the options of the libp2p host. cfg is valid.
func options(cfg *Config, listen []multiaddr.Multiaddr, d *door, relays *relaySource, guests *relayGuests, proven *provenAddrs) ([]libp2p.Option, error) {
	key, err := crypto.UnmarshalEd25519PrivateKey(cfg.Key)
	if err != nil {
		return nil, fmt.Errorf("identity key: %w", err)
	}
	announce, err := multiaddrs(cfg.Announce)
	if err != nil {
		return nil, err
	}
	// Options of a test must not be set a second time.
	var given libp2pconfig.Config
	if err := given.Apply(cfg.Libp2p...); err != nil {
		return nil, fmt.Errorf("libp2p options: %w", err)
	}
	opts := append([]libp2p.Option{
		libp2p.Identity(key),
		libp2p.UserAgent(cfg.UserAgent),
		libp2p.ProtocolVersion("walrus/" + cfg.Network + "/1"),
		libp2p.DisableMetrics(),
	}, cfg.Libp2p...)
	if len(listen) == 0 {
		opts = append(opts, libp2p.NoListenAddrs)
	} else {
		opts = append(opts, libp2p.ListenAddrs(listen...))
	}
	opts = append(opts, libp2p.AddrsFactory(func(found []multiaddr.Multiaddr) []multiaddr.Multiaddr {
		if cfg.Role == Home {
			found = slices.DeleteFunc(slices.Clone(found), func(a multiaddr.Multiaddr) bool { return !proven.tell(a) })
		}
		return told(found, announce, cfg.AnnounceOnly, cfg.Public)
	}))
	if given.DialRanker == nil {
		opts = append(opts, libp2p.SwarmOpts(swarm.WithDialRanker(tcpFirst), swarm.WithDialTimeoutLocal(localDialTimeout)))
	}
	opts = append(opts, transports(cfg, &given)...)
	opts = append(opts, reachability(cfg, listen, relays, guests)...)
	return bounds(cfg, &given, d, opts)
}

// transports offers TCP, with TLS or Noise and with yamux, and QUIC. TLS needs a quarter less CPU than Noise, and a
// third of the CPU of QUIC.
func transports(cfg *Config, given *libp2pconfig.Config) []libp2p.Option {
	var opts []libp2p.Option
	if !cfg.TestTransport {
		opts = append(opts, libp2p.Transport(tcp.NewTCPTransport))
	}
	if !cfg.TestTransport || len(given.Transports) == 0 { // in a test: QUIC over a simulated network
		opts = append(opts, libp2p.Transport(libp2pquic.NewTransport))
	}
	if len(given.SecurityTransports) == 0 && !given.Insecure {
		opts = append(opts, libp2p.Security(libp2ptls.ID, libp2ptls.New), libp2p.Security(noise.ID, noise.New))
	}
	if len(given.Muxers) == 0 {
		mux := *yamux.DefaultTransport
		mux.MaxMessageSize = writeSize // one frame per write saves 11 to 16 % CPU; never lower the stream windows
		opts = append(opts, libp2p.Muxer(yamux.ID, &mux))
	}
	return opts
}

// told returns the addresses to tell others: those found out and those announced, or the latter alone. In a public
// network it leaves out the private ones found out: neighbours learn them by multicast.
func told(found, announce []multiaddr.Multiaddr, only, public bool) []multiaddr.Multiaddr {
	out := slices.Clone(announce)
	if only {
		return out
	}
	for _, a := range found {
		if public && !isRelayed(a) && ipgroup.ReachOf(a) < ipgroup.Internet || slices.ContainsFunc(out, a.Equal) {
			continue
		}
		out = append(out, a)
	}
	return out
}

// reachability enables the services that help us and others through NATs. They need a real network. What this host is
// at first, libp2p is told by role; the lookout tells it when more is known.
func reachability(cfg *Config, listen []multiaddr.Multiaddr, relays *relaySource, guests *relayGuests) []libp2p.Option {
	opts := []libp2p.Option{libp2p.ForceReachabilityPrivate()}
	if cfg.Role == StorageNode {
		opts[0] = libp2p.ForceReachabilityPublic()
	}
	if cfg.TestTransport {
		return append(opts, libp2p.DisableIdentifyAddressDiscovery())
	}
	outside := false
	for _, a := range listen {
		outside = outside || !manet.IsIPLoopback(a)
	}
	if !outside {
		return opts
	}
	punch := []holepunch.Option{holepunch.DirectDialTimeout(punchDialTime), holepunch.WithAddrFilter(punchAddrs{slices.ContainsFunc(listen, isDirectTCP)})}
	if cfg.Punched != nil {
		punch = append(punch, holepunch.WithTracer(&punches{tell: cfg.Punched, started: map[peer.ID]*holepunch.StartHolePunchEvt{}}))
	}
	opts = append(opts, libp2p.EnableRelay(), libp2p.EnableHolePunching(punch...))
	switch cfg.Role {
	case StorageNode:
		opts = append(opts, libp2p.EnableAutoNATv2(), libp2p.EnableRelayService(relayService(guests)...))
	case Home:
		opts = append(opts, libp2p.EnableAutoNATv2(), libp2p.EnableAutoRelayWithPeerSource(relays.source, autoRelay()...))
	}
	if cfg.Role != Client && !cfg.AnnounceOnly {
		opts = append(opts, libp2p.NATPortMap())
	}
	return opts
}

// bounds adds the resource manager, the connection manager, and the door.
func bounds(cfg *Config, given *libp2pconfig.Config, d *door, opts []libp2p.Option) ([]libp2p.Option, error) {
	if given.ConnectionGater == nil {
		opts = append(opts, libp2p.ConnectionGater(d))
	}
	if given.ResourceManager == nil {
		rm, err := resourceManager(cfg, d)
		if err != nil {
			return nil, fmt.Errorf("resource manager: %w", err)
		}
		opts = append(opts, libp2p.ResourceManager(rm))
	}
	if given.ConnManager == nil {
		cm, err := connmgr.NewConnManager(cfg.Limits.Conns.Low, cfg.Limits.Conns.High, connmgr.WithGracePeriod(20*time.Second))
		if err != nil {
			return nil, fmt.Errorf("connection manager: %w", err)
		}
		opts = append(opts, libp2p.ConnectionManager(cm))
	}
	return opts, nil
}

// localDialTimeout bounds a dial of loopback and private addresses. libp2p's 5 s are too long: without a process at the
// port, TCP is refused at once but QUIC waits for the timeout.
const localDialTimeout = time.Second

// quicDelay separates the dial of the last TCP address from the dials of all others.
const quicDelay = 250 * time.Millisecond

// tcpFirst dials direct TCP addresses before all others, while libp2p prefers QUIC. For slivers, QUIC costs three times
// the CPU, and its congestion control collapses under loss.
func tcpFirst(addrs []multiaddr.Multiaddr) []network.AddrDelay {
	var direct, others []multiaddr.Multiaddr
	for _, a := range addrs {
		if isDirectTCP(a) {
			direct = append(direct, a)
		} else {
			others = append(others, a)
		}
	}
	ranked := swarm.DefaultDialRanker(direct)
	var after time.Duration
	for _, a := range ranked {
		after = max(after, a.Delay+quicDelay)
	}
	for _, a := range swarm.DefaultDialRanker(others) {
		a.Delay += after
		ranked = append(ranked, a)
	}
	return ranked
}

func isDirectTCP(a multiaddr.Multiaddr) bool {
	tcp := false
	for _, part := range a {
		switch part.Protocol().Code {
		case multiaddr.P_TCP:
			tcp = true
		case multiaddr.P_CIRCUIT, multiaddr.P_WS, multiaddr.P_WSS:
			return false
		}
	}
	return tcp
}

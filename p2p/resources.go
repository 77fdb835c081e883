package p2p

import (
	"math"
	"net/netip"
	"sync"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/p2p/host/resource-manager"
	"github.com/libp2p/go-libp2p/x/rate"
	"github.com/multiformats/go-multiaddr"

	"walrus/internal/ipgroup"
)

// streamMemory is the memory that yamux reserves for a stream when it opens, in bytes: its first receive window.
const streamMemory = 256 << 10

// resourceManager bounds connections, streams and memory. libp2p's defaults for the given memory cover its own
// protocols; limits for our protocols are added. The door keeps strangers below these limits, so that protected peers
// do not meet them.
func resourceManager(cfg *Config, d *door) (network.ResourceManager, error) {
	c := &cfg.Limits.Conns
	limits, conns := resourceLimits(cfg)
	defaults := rcmgr.DefaultLimits
	libp2p.SetDefaultServiceLimits(&defaults)
	fixed := rcmgr.NewFixedLimiter(limits.Build(defaults.Scale(cfg.Limits.Memory, conns)))

	// The library applies its limits per address before it knows the peer, and to dials as well. So these are wide. The
	// door applies narrow limits, to strangers only.
	v4, v6 := freeRanges(c)
	rm, err := rcmgr.NewResourceManager(fixed,
		rcmgr.WithNetworkPrefixLimit(v4, v6),
		rcmgr.WithLimitPerSubnet(
			[]rcmgr.ConnLimitPerSubnet{{PrefixLength: 32, ConnCount: 4 * c.PerIP}},
			[]rcmgr.ConnLimitPerSubnet{{PrefixLength: 56, ConnCount: 4 * c.PerIP}}),
		rcmgr.WithConnRateLimiters(new(rate.Limiter))) // the door has one that spares protected peers
	if err != nil {
		return nil, err
	}
	allow := rcmgr.GetAllowlist(rm)
	d.members.learned = func(id peer.ID, ip netip.Addr, known bool) {
		if known {
			_ = allow.Add(addrOf(id, ip)) // fails only without an IP address
		} else {
			_ = allow.Remove(addrOf(id, ip))
		}
	}
	return guarded{rm, d.streams}, nil
}

// addrOf returns the multiaddr that allows peer id at address ip in the library's list of allowed peers.
func addrOf(id peer.ID, ip netip.Addr) multiaddr.Multiaddr {
	version := "/ip6/"
	if ip.Is4() {
		version = "/ip4/"
	}
	return multiaddr.StringCast(version + ip.String() + "/p2p/" + id.String())
}

// resourceLimits returns the limits that differ from libp2p's, and the number of connections in all.
func resourceLimits(cfg *Config) (limits rcmgr.PartialLimitConfig, conns int) {
	l, c := &cfg.Limits, &cfg.Limits.Conns
	streams := rcmgr.LimitVal(l.StreamsPerPeer)
	all := rcmgr.ResourceLimits{
		Streams: rcmgr.Unlimited, StreamsInbound: 96 * streams, StreamsOutbound: rcmgr.Unlimited,
		Memory: rcmgr.LimitVal64(l.Memory),
	}
	perPeer := rcmgr.ResourceLimits{
		Streams: 2 * streams, StreamsInbound: streams, StreamsOutbound: streams,
		Memory: rcmgr.LimitVal64(max(l.Memory/4, 16<<20)),
	}
	conns = c.Strangers + c.StrangersOut + 2*c.Handshakes + c.Members
	inbound := conns - c.StrangersOut - c.Handshakes // the rest is kept for dials
	system := all
	system.Conns, system.ConnsInbound, system.ConnsOutbound = rcmgr.LimitVal(conns), rcmgr.LimitVal(inbound), rcmgr.LimitVal(conns)
	system.FD = rcmgr.LimitVal(conns)
	// A dial passes through here, too, if only for a moment.
	handshakes := rcmgr.ResourceLimits{
		// A stream counts here until its protocol is chosen. The gate bounds the streams of strangers.
		Streams: rcmgr.Unlimited, StreamsInbound: all.StreamsInbound, StreamsOutbound: rcmgr.Unlimited, Memory: all.Memory,
		Conns: rcmgr.LimitVal(2 * c.Handshakes), ConnsInbound: rcmgr.LimitVal(c.Handshakes), ConnsOutbound: rcmgr.LimitVal(2 * c.Handshakes),
		FD: rcmgr.LimitVal(2 * c.Handshakes),
	}
	// When the other limits are reached, a protected peer with a known address is admitted under these.
	reserve := rcmgr.ResourceLimits{
		Conns: rcmgr.LimitVal(c.Members), ConnsInbound: rcmgr.LimitVal(c.Members), ConnsOutbound: rcmgr.LimitVal(c.Members),
		FD: rcmgr.LimitVal(c.Members),
	}
	limits = rcmgr.PartialLimitConfig{
		System: system, Transient: handshakes, AllowlistedSystem: reserve, AllowlistedTransient: reserve,
		// Three protocols of ours, the ledger's, the DHT, gossip and identify.
		PeerDefault: rcmgr.ResourceLimits{
			Streams: 5 * streams, StreamsInbound: 3 * streams, StreamsOutbound: 3 * streams,
			Memory: perPeer.Memory,
		},
		Protocol:     map[protocol.ID]rcmgr.ResourceLimits{},
		ProtocolPeer: map[protocol.ID]rcmgr.ResourceLimits{},
	}
	for _, id := range append([]protocol.ID{
		protocolID(cfg.Network, sliverProtocol), protocolID(cfg.Network, nodeProtocol), protocolID(cfg.Network, pinProtocol),
		protocolID(cfg.Network, whoamiProtocol),
	}, cfg.Protocols...) {
		limits.Protocol[id] = all
		limits.ProtocolPeer[id] = perPeer
	}
	return limits, conns
}

// freeRanges exempts private addresses from the limits per address, unless c limits them.
func freeRanges(c *ConnLimits) (v4, v6 []rcmgr.NetworkPrefixLimit) {
	v4, v6 = []rcmgr.NetworkPrefixLimit{}, []rcmgr.NetworkPrefixLimit{} // not nil: nil means the library's own
	if c.LimitPrivate {
		return v4, v6
	}
	for _, p := range ipgroup.Private() {
		free := rcmgr.NetworkPrefixLimit{Network: p, ConnCount: math.MaxInt}
		if p.Addr().Is4() {
			v4 = append(v4, free)
		} else {
			v6 = append(v6, free)
		}
	}
	return v4, v6
}

// guarded is a resource manager that admits streams of peers other than members only as far as a gate has room.
type guarded struct {
	network.ResourceManager
	streams *gate
}

// OpenStream refuses a stream of a peer that is no member when the gate has no room.
func (g guarded) OpenStream(p peer.ID, dir network.Direction) (network.StreamManagementScope, error) {
	if dir != network.DirInbound || g.streams.origin(p).class == member {
		return g.ResourceManager.OpenStream(p, dir)
	}
	if !g.streams.enter(p, 0) {
		return nil, network.ErrResourceLimitExceeded
	}
	scope, err := g.ResourceManager.OpenStream(p, dir)
	if err != nil {
		g.streams.leave(p, 0)
		return nil, err
	}
	return &guardedStream{StreamManagementScope: scope, leave: sync.OnceFunc(func() { g.streams.leave(p, 0) })}, nil
}

// guardedStream gives its room in the gate back when it is done.
type guardedStream struct {
	network.StreamManagementScope
	leave func()
}

// Done releases the stream.
func (s *guardedStream) Done() {
	s.StreamManagementScope.Done()
	s.leave()
}

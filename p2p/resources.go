package p2p

import (
	"math"
	"net/netip"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/p2p/host/resource-manager"
	"github.com/libp2p/go-libp2p/x/rate"
)

// privateNets have no limits per address: a network of containers, or a whole devnet, may share a few addresses.
var privateNets = []string{
	"127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "169.254.0.0/16",
	"::1/128", "fc00::/7", "fe80::/10",
}

// resourceManager bounds connections, streams and memory. libp2p's defaults for the given memory cover its own
// protocols; limits for our protocols are added.
func resourceManager(cfg *Config) (network.ResourceManager, error) {
	l := &cfg.Limits
	conns := 2 * l.ConnsHigh // trimming takes a while
	defaults := rcmgr.DefaultLimits
	libp2p.SetDefaultServiceLimits(&defaults)
	streams := rcmgr.LimitVal(l.StreamsPerPeer)
	ours := rcmgr.ResourceLimits{
		Streams: rcmgr.Unlimited, StreamsInbound: 32 * streams, // 16 KiB each when idle
		StreamsOutbound: rcmgr.Unlimited,
		Memory:          rcmgr.LimitVal64(l.Memory),
	}
	oursPerPeer := rcmgr.ResourceLimits{
		Streams: 2 * streams, StreamsInbound: streams, StreamsOutbound: streams,
		Memory: rcmgr.LimitVal64(max(l.Memory/4, 16<<20)),
	}
	limits := rcmgr.PartialLimitConfig{
		System: rcmgr.ResourceLimits{
			Conns: rcmgr.LimitVal(conns), ConnsInbound: rcmgr.LimitVal(conns), ConnsOutbound: rcmgr.LimitVal(conns),
			FD:      rcmgr.LimitVal(conns),
			Streams: rcmgr.Unlimited, StreamsInbound: 96 * streams, StreamsOutbound: rcmgr.Unlimited,
			Memory: rcmgr.LimitVal64(l.Memory),
		},
		// Two protocols of ours, the ledger's, the DHT, gossip and identify.
		PeerDefault: rcmgr.ResourceLimits{
			Streams: 5 * streams, StreamsInbound: 3 * streams, StreamsOutbound: 3 * streams,
			Memory: oursPerPeer.Memory,
		},
		Protocol:     map[protocol.ID]rcmgr.ResourceLimits{},
		ProtocolPeer: map[protocol.ID]rcmgr.ResourceLimits{},
	}
	for _, id := range append([]protocol.ID{protocolID(cfg.Network, sliverProtocol), protocolID(cfg.Network, nodeProtocol)}, cfg.Protocols...) {
		limits.Protocol[id] = ours
		limits.ProtocolPeer[id] = oursPerPeer
	}
	fixed := rcmgr.NewFixedLimiter(limits.Build(defaults.Scale(l.Memory, conns)))

	v4, v6, rates := privateRanges()
	return rcmgr.NewResourceManager(fixed,
		rcmgr.WithNetworkPrefixLimit(v4, v6),
		rcmgr.WithLimitPerSubnet(
			[]rcmgr.ConnLimitPerSubnet{{PrefixLength: 32, ConnCount: l.ConnsPerIP}},
			[]rcmgr.ConnLimitPerSubnet{{PrefixLength: 56, ConnCount: l.ConnsPerIP}, {PrefixLength: 48, ConnCount: 8 * l.ConnsPerIP}}),
		rcmgr.WithConnRateLimiters(&rate.Limiter{
			NetworkPrefixLimits: rates,
			SubnetRateLimiter: rate.SubnetLimiter{
				IPv4SubnetLimits: []rate.SubnetLimit{{PrefixLength: 32, Limit: rate.Limit{RPS: 2, Burst: 2 * l.ConnsPerIP}}},
				IPv6SubnetLimits: []rate.SubnetLimit{{PrefixLength: 56, Limit: rate.Limit{RPS: 2, Burst: 2 * l.ConnsPerIP}}},
				GracePeriod:      time.Minute,
			},
		}))
}

func privateRanges() (v4, v6 []rcmgr.NetworkPrefixLimit, rates []rate.PrefixLimit) {
	for _, s := range privateNets {
		prefix := netip.MustParsePrefix(s)
		free := rcmgr.NetworkPrefixLimit{Network: prefix, ConnCount: math.MaxInt}
		if prefix.Addr().Is4() {
			v4 = append(v4, free)
		} else {
			v6 = append(v6, free)
		}
		rates = append(rates, rate.PrefixLimit{Prefix: prefix}) // no limit
	}
	return v4, v6, rates
}

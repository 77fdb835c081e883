package dht

import (
	kad "github.com/libp2p/go-libp2p-kad-dht"
	"github.com/libp2p/go-libp2p-kbucket/peerdiversity"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"

	"walrus/internal/ipgroup"
)

// diversity bounds the strangers of one IP group in the routing table: a /16 of IPv4, or an autonomous system of IPv6.
// Members are exempt, and so are private addresses, which all nodes of a network may share.
type diversity struct {
	peerdiversity.PeerIPGroupFilter
	host   host.Host
	member func(peer.ID) bool
}

func newDiversity(h host.Host, member func(peer.ID) bool) diversity {
	return diversity{kad.NewRTPeerDiversityFilter(h, maxGroupPerBucket, maxGroupInTable), h, member}
}

// Allow reports whether the table takes one more peer of a group.
func (f diversity) Allow(g peerdiversity.PeerGroupInfo) bool {
	return f.member(g.Id) || f.private(g.Id) || f.PeerIPGroupFilter.Allow(g)
}

// private reports whether all connections to a peer are to private addresses.
func (f diversity) private(id peer.ID) bool {
	for _, c := range f.host.Network().ConnsToPeer(id) {
		if ipgroup.ReachOf(c.RemoteMultiaddr()) == ipgroup.Internet {
			return false
		}
	}
	return true
}

package p2p

import (
	"net/netip"
	"slices"
	"sync"

	"github.com/multiformats/go-multiaddr"

	"walrus/internal/ipgroup"
)

// provenAddrs decides which addresses a peer at home tells. An outer address that only observers have seen is no way in
// before somebody has dialled it. Others who dial it nevertheless spoil the hole punch that follows: their first packet
// leaves a connection in their own router, half open. Then the punch of the other side meets it there, and the router
// takes the answer, which has other sequence numbers, for invalid: for two minutes, from that port.
type provenAddrs struct {
	own func() []netip.Addr // of this machine's interfaces; constant

	mu   sync.Mutex
	list []multiaddr.Multiaddr // dialled by others; guarded by mu
}

func (p *provenAddrs) set(r Reach) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.list = nil
	for _, a := range r.Addrs {
		if a.Verdict >= Mapped {
			p.list = append(p.list, a.Addr)
		}
	}
}

// tell reports whether an address found out by libp2p should be told.
func (p *provenAddrs) tell(a multiaddr.Multiaddr) bool {
	if isRelayed(a) || ipgroup.ReachOf(a) < ipgroup.Internet || slices.Contains(p.own(), ipgroup.IP(a)) {
		return true
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.ContainsFunc(p.list, a.Equal)
}

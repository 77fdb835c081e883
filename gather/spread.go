package gather

import (
	"math/rand/v2"
	"net/netip"
	"slices"

	"github.com/libp2p/go-libp2p/core/peer"

	"walrus/internal/ipgroup"
)

// perNet bounds the pinners in one /24 or /48 of the Internet that are asked.
const perNet = 2

// SpreadOut shuffles peers that claim to pin a blob, and leaves out those beyond two in one network of the Internet:
// records cost nothing, so whoever has many addresses must not be all that is asked.
func SpreadOut(found []peer.AddrInfo) (some []peer.AddrInfo) {
	found = slices.Clone(found)
	rand.Shuffle(len(found), func(i, j int) { found[i], found[j] = found[j], found[i] })
	nets := map[netip.Prefix]int{}
	for _, f := range found {
		var mine []netip.Prefix
		for _, a := range f.Addrs {
			if reach, net := ipgroup.Of(ipgroup.IP(a)); reach == ipgroup.Internet && net.IsValid() && !slices.Contains(mine, net) {
				mine = append(mine, net)
			}
		}
		if slices.ContainsFunc(mine, func(n netip.Prefix) bool { return nets[n] >= perNet }) {
			continue
		}
		for _, n := range mine {
			nets[n]++
		}
		some = append(some, f)
	}
	return some
}

package p2p

import (
	"slices"
	"strconv"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"

	"walrus/internal/ipgroup"
)

// punchAddrs chooses the addresses that two peers try when they punch a hole.
type punchAddrs struct {
	tcp bool // this host listens on TCP, at the same port as for QUIC
}

// punchDialTime bounds each dial of a punch, and the plain dial before it, which is in vain if the peer is behind a
// router. libp2p's 5 s would delay every punch by as much; TCP and TLS need four round trips.
const punchDialTime = 2 * time.Second

// maxPunched bounds the addresses sent or dialled for one hole.
const maxPunched = 12

// FilterLocal adds the TCP sibling of each address over UDP: a peer whose network blocks UDP has no other, and few have
// been asked from where they see us over TCP. TCP comes first, as in tcpFirst.
func (p punchAddrs) FilterLocal(_ peer.ID, addrs []multiaddr.Multiaddr) []multiaddr.Multiaddr {
	out := slices.Clone(addrs)
	for _, a := range addrs {
		if s := tcpSibling(a); p.tcp && s != nil && !slices.ContainsFunc(out, s.Equal) {
			out = append(out, s)
		}
	}
	return bestPunched(out)
}

// FilterRemote keeps the peer from making us dial what only its own or our own network has.
func (p punchAddrs) FilterRemote(_ peer.ID, addrs []multiaddr.Multiaddr) []multiaddr.Multiaddr {
	return bestPunched(slices.DeleteFunc(slices.Clone(addrs), func(a multiaddr.Multiaddr) bool {
		return !dialable(a) || ipgroup.ReachOf(a) < ipgroup.Internet
	}))
}

func bestPunched(addrs []multiaddr.Multiaddr) []multiaddr.Multiaddr {
	slices.SortStableFunc(addrs, func(a, b multiaddr.Multiaddr) int {
		return rankTCP(a) - rankTCP(b)
	})
	return addrs[:min(len(addrs), maxPunched)]
}

func rankTCP(a multiaddr.Multiaddr) int {
	if isDirectTCP(a) {
		return 0
	}
	return 1
}

// tcpSibling returns the TCP address with the IP address and port of a QUIC address, or nil.
func tcpSibling(a multiaddr.Multiaddr) multiaddr.Multiaddr {
	if len(a) != 3 || a[1].Protocol().Code != multiaddr.P_UDP || a[2].Protocol().Code != multiaddr.P_QUIC_V1 {
		return nil
	}
	if _, err := strconv.ParseUint(a[1].Value(), 10, 16); err != nil {
		return nil
	}
	tcp, err := multiaddr.NewComponent("tcp", a[1].Value())
	if err != nil {
		return nil
	}
	return multiaddr.Multiaddr{a[0], *tcp}
}

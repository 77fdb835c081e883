package p2p

import (
	"context"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/host/autorelay"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/relay"
	"github.com/multiformats/go-multiaddr"

	"walrus/internal/ipgroup"
)

const (
	// relaysWanted is the number of relays that a host behind a router reserves a place at, in different networks: one
	// may fail.
	relaysWanted = 2
	// relayCandidates bounds the nodes that are connected to find them.
	relayCandidates = 6
	// relayBoot: after this time the candidates at hand are taken, even if there are fewer than wanted.
	relayBoot = 5 * time.Second
	// relayInterval separates two requests for candidates, and relayBackoff two tries of one that refused.
	relayInterval = 10 * time.Second
	relayBackoff  = 2 * time.Minute
	// relayPoll separates two looks for candidates while none is known, and relayPatience bounds them.
	relayPoll     = 250 * time.Millisecond
	relayPatience = 30 * time.Second
)

const (
	// relayReservations bounds the peers that one storage node relays for; relaysPerIP those at one IPv4 address or IPv6
	// /56, such as a provider's NAT, and relaysPerNet those in a /24 or a /48.
	relayReservations = 1024
	relaysPerIP       = 16
	relaysPerNet      = 64
	// relayCircuits bounds the relayed connections of one peer; relayData bounds the bytes of each, either way, and
	// relayTime its life. That is enough for signalling and for small requests.
	relayCircuits = 16
	relayData     = 256 << 10
	relayTime     = 2 * time.Minute
	relayTTL      = time.Hour
	// maxRelayed bounds the payload of a request or a response over a relay.
	maxRelayed = relayData / 2
)

// relaySource supplies nodes that may relay for this host.
type relaySource struct {
	mu   sync.Mutex
	find func() []peer.AddrInfo // guarded by mu; nil until SetRelays
	used []netip.Prefix         // networks of the relays in use; guarded by mu
}

func newRelaySource() *relaySource { return &relaySource{} }

// SetRelays names the nodes that may relay for this host: members and registered nodes with their addresses. nodes is
// called whenever relays are missing, and must not block.
func (o Outside) SetRelays(nodes func() []peer.AddrInfo) {
	o.h.relays.mu.Lock()
	defer o.h.relays.mu.Unlock()
	o.h.relays.find = nodes
}

// use notes the relays whose addresses this host tells others.
func (s *relaySource) use(addrs []multiaddr.Multiaddr) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.used = nil
	for _, a := range addrs {
		if block := ipgroup.Block(ipgroup.IP(a)); block.IsValid() && !slices.Contains(s.used, block) {
			s.used = append(s.used, block)
		}
	}
}

func (s *relaySource) candidates(most int) []peer.AddrInfo {
	s.mu.Lock()
	find, used := s.find, s.used
	s.mu.Unlock()
	if find == nil {
		return nil
	}
	return chooseRelays(find(), used, min(most, relayCandidates), rand.Shuffle)
}

// source is the peer source of AutoRelay. It waits until there are candidates: an empty answer would not be followed by
// another question for relayInterval.
func (s *relaySource) source(ctx context.Context, most int) <-chan peer.AddrInfo {
	out := make(chan peer.AddrInfo)
	go func() {
		defer close(out)
		ctx, cancel := context.WithTimeout(ctx, relayPatience)
		defer cancel()
		poll := time.NewTicker(relayPoll)
		defer poll.Stop()
		found := s.candidates(most)
		for len(found) == 0 {
			select {
			case <-poll.C:
				found = s.candidates(most)
			case <-ctx.Done():
				return
			}
		}
		for _, p := range found {
			select {
			case out <- p:
			case <-ctx.Done():
				return
			}
		}
	}()
	return out
}

// chooseRelays returns up to most of the nodes, in random order, each with its direct addresses in one network, and no
// two in the same network or in one that is used: a relay that fails often takes its neighbours along.
func chooseRelays(nodes []peer.AddrInfo, used []netip.Prefix, most int, shuffle func(int, func(i, j int))) (out []peer.AddrInfo) {
	nodes, used = slices.Clone(nodes), slices.Clone(used)
	shuffle(len(nodes), func(i, j int) { nodes[i], nodes[j] = nodes[j], nodes[i] })
	for _, n := range nodes {
		if len(out) == most {
			break
		}
		var addrs []multiaddr.Multiaddr
		var block netip.Prefix
		for _, a := range n.Addrs {
			b := ipgroup.Block(ipgroup.IP(a))
			if isRelayed(a) || !b.IsValid() || slices.Contains(used, b) || block.IsValid() && b != block {
				continue
			}
			block, addrs = b, append(addrs, a)
		}
		if len(addrs) > 0 {
			used, out = append(used, block), append(out, peer.AddrInfo{ID: n.ID, Addrs: addrs})
		}
	}
	return out
}

// IsRelayed reports whether an address leads through a relay.
func IsRelayed(a multiaddr.Multiaddr) bool { return isRelayed(a) }

// isRelayed reports whether an address leads through a relay.
func isRelayed(a multiaddr.Multiaddr) bool {
	_, err := a.ValueForProtocol(multiaddr.P_CIRCUIT)
	return err == nil
}

// autoRelay returns the options of the search for relays.
func autoRelay() []autorelay.Option {
	return []autorelay.Option{
		autorelay.WithNumRelays(relaysWanted), autorelay.WithMinCandidates(relaysWanted), autorelay.WithMaxCandidates(relayCandidates),
		autorelay.WithBootDelay(relayBoot), autorelay.WithMinInterval(relayInterval), autorelay.WithBackoff(relayBackoff),
	}
}

// relayService returns the options of the relay that a storage node runs.
func relayService(guests *relayGuests) []relay.Option {
	r := relay.Resources{
		Limit:          &relay.RelayLimit{Duration: relayTime, Data: relayData},
		ReservationTTL: relayTTL, MaxReservations: relayReservations, MaxCircuits: relayCircuits, BufferSize: 2 << 10,
		MaxReservationsPerIP: relaysPerIP, MaxReservationsPerASN: relayReservations, // relayGuests limits networks
	}
	return []relay.Option{relay.WithResources(r), relay.WithACL(guests)}
}

// relayGuests bounds the reservations of one network: libp2p bounds those of an address.
type relayGuests struct {
	mu     sync.Mutex
	guests map[peer.ID]relayGuest // guarded by mu; at most relayReservations
}

type relayGuest struct {
	net   netip.Prefix
	until time.Time
}

func newRelayGuests() *relayGuests { return &relayGuests{guests: map[peer.ID]relayGuest{}} }

var _ relay.ACLFilter = (*relayGuests)(nil)

// AllowReserve admits or refuses the reservation of a peer at an address.
func (g *relayGuests) AllowReserve(p peer.ID, a multiaddr.Multiaddr) bool {
	return g.admit(p, a, time.Now())
}

// AllowConnect allows every connection to a peer with a reservation: libp2p bounds them.
func (g *relayGuests) AllowConnect(peer.ID, multiaddr.Multiaddr, peer.ID) bool { return true }

func (g *relayGuests) admit(p peer.ID, a multiaddr.Multiaddr, now time.Time) bool {
	_, net := ipgroup.Of(ipgroup.IP(a))
	g.mu.Lock()
	defer g.mu.Unlock()
	inside := 0
	for id, guest := range g.guests {
		switch {
		case !now.Before(guest.until):
			delete(g.guests, id)
		case guest.net == net && id != p:
			inside++
		}
	}
	_, known := g.guests[p]
	if inside >= relaysPerNet || !known && len(g.guests) >= relayReservations {
		return false
	}
	g.guests[p] = relayGuest{net, now.Add(relayTTL)}
	return true
}

// left forgets a peer that has no connection any more: libp2p has dropped its reservation.
func (g *relayGuests) left(p peer.ID) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.guests, p)
}

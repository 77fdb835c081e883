package p2p

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"

	"walrus/internal/ipgroup"
)

// ReachVerdict tells how others reach an address, or a host. A greater one is better.
type ReachVerdict int

// The verdicts.
const (
	// Blocked: others tried in vain, and no relay helps.
	Blocked ReachVerdict = iota
	// Unknown: nothing has been tried yet.
	Unknown
	// RelayedOnly: others reach this host through a relay, which carries signalling and small requests only.
	RelayedOnly
	// Punchable: others reach this host directly after a signal through a relay, since its router keeps its port.
	Punchable
	// Mapped: others have reached this host through a port of its router.
	Mapped
	// Reachable: others have reached this host at an address of its own.
	Reachable
)

// String returns the verdict as people and programs read it.
func (v ReachVerdict) String() string {
	return [...]string{"blocked", "unknown", "relayed only", "punchable", "mapped", "reachable"}[v]
}

// NAT is the kind of the router before this host, for one transport.
type NAT int

// The kinds of routers.
const (
	// NATUnknown: fewer than four peers have said from where they see this host, or there is no router.
	NATUnknown NAT = iota
	// NATCone: all peers see the same port, so holes can be punched.
	NATCone
	// NATSymmetric: each peer sees another port.
	NATSymmetric
)

// String returns the kind as people and programs read it.
func (n NAT) String() string { return [...]string{"unknown", "cone", "symmetric"}[n] }

// Reach tells how others reach this host.
type Reach struct {
	Verdict  ReachVerdict // the best of all addresses
	Addrs    []AddrReach  // direct addresses, sorted
	TCP, UDP NAT
	Relays   []peer.ID // where this host has reserved a place, sorted
	// DialledBy counts the different peers that have dialled this host back when asked to, since an address changed.
	DialledBy int
}

// AddrReach tells how others reach one address.
type AddrReach struct {
	Addr      multiaddr.Multiaddr
	Transport string // tcp or quic
	Verdict   ReachVerdict
	Why       string // how it was found, for people
}

// Events of reachState.
type (
	// addrsChanged: the addresses of this host without those through relays, and the IP addresses of its interfaces.
	addrsChanged struct {
		addrs []multiaddr.Multiaddr
		own   []netip.Addr
	}
	// confirmed: AutoNAT v2 has judged addresses. The rest it has not judged.
	confirmed struct{ reachable, unreachable []multiaddr.Multiaddr }
	// dialledBack: a peer has dialled an address when asked to.
	dialledBack struct {
		addr multiaddr.Multiaddr
		by   peer.ID
		ok   bool
		why  string
	}
	// natFound: peers agree, or not, about the port of this host.
	natFound struct {
		udp bool
		nat NAT
	}
	// relaysChanged: the addresses of this host through relays.
	relaysChanged struct{ addrs []multiaddr.Multiaddr }
)

// reachState gathers what is known about the ways to this host. It is pure: step takes an event, reach concludes.
type reachState struct {
	addrs    []multiaddr.Multiaddr
	own      []netip.Addr
	judged   map[string]bool             // by AutoNAT v2, by address: reachable or not
	dials    map[string]map[peer.ID]dial // the newest of each peer, by address
	tcp, udp NAT
	relays   []peer.ID
}

type dial struct {
	ok  bool
	why string
}

// maxDials bounds the peers remembered for one address.
const maxDials = 32

func newReachState() *reachState {
	return &reachState{judged: map[string]bool{}, dials: map[string]map[peer.ID]dial{}}
}

// step takes one event.
func (s *reachState) step(e any) {
	switch e := e.(type) {
	case addrsChanged:
		s.addrs, s.own = nil, e.own
		for _, a := range e.addrs {
			if !isRelayed(a) && transportOf(a) != "" && !slices.ContainsFunc(s.addrs, a.Equal) {
				s.addrs = append(s.addrs, a)
			}
		}
		for key := range s.dials {
			if !slices.ContainsFunc(s.addrs, func(a multiaddr.Multiaddr) bool { return a.String() == key }) {
				delete(s.dials, key)
			}
		}
	case confirmed:
		s.judged = map[string]bool{}
		for _, a := range e.unreachable {
			s.judged[a.String()] = false
		}
		for _, a := range e.reachable {
			s.judged[a.String()] = true
		}
	case dialledBack:
		key := e.addr.String()
		if s.dials[key] == nil {
			s.dials[key] = map[peer.ID]dial{}
		}
		if _, known := s.dials[key][e.by]; known || len(s.dials[key]) < maxDials {
			s.dials[key][e.by] = dial{e.ok, e.why}
		}
	case natFound:
		if e.udp {
			s.udp = e.nat
		} else {
			s.tcp = e.nat
		}
	case relaysChanged:
		s.relays = nil
		for _, a := range e.addrs {
			if id, err := relayOf(a); err == nil && !slices.Contains(s.relays, id) {
				s.relays = append(s.relays, id)
			}
		}
		slices.Sort(s.relays)
	}
}

// relayOf returns the relay of a relayed address.
func relayOf(a multiaddr.Multiaddr) (peer.ID, error) {
	direct, _ := multiaddr.SplitFunc(a, func(c multiaddr.Component) bool { return c.Protocol().Code == multiaddr.P_CIRCUIT })
	text, err := direct.ValueForProtocol(multiaddr.P_P2P)
	if err != nil {
		return "", err
	}
	return peer.Decode(text)
}

// transportOf returns the transport of an address: tcp, quic, or none that is judged here.
func transportOf(a multiaddr.Multiaddr) string {
	for _, part := range a {
		switch part.Protocol().Code {
		case multiaddr.P_TCP:
			return "tcp"
		case multiaddr.P_QUIC_V1:
			return "quic"
		}
	}
	return ""
}

// reach concludes from all events so far.
func (s *reachState) reach() Reach {
	r := Reach{TCP: s.tcp, UDP: s.udp, Relays: slices.Clone(s.relays), Verdict: Unknown}
	by := map[peer.ID]bool{}
	best, tried := Blocked, false
	for _, a := range s.addrs {
		at := s.judge(a)
		r.Addrs = append(r.Addrs, at)
		if ipgroup.ReachOf(a) == ipgroup.Internet || at.Verdict >= Mapped { // a private one says nothing otherwise
			best, tried = max(best, at.Verdict), true
		}
		for id, d := range s.dials[a.String()] {
			if d.ok {
				by[id] = true
			}
		}
	}
	if tried {
		r.Verdict = best
	}
	if len(s.relays) > 0 && r.Verdict < RelayedOnly {
		r.Verdict = RelayedOnly
	}
	r.DialledBy = len(by)
	slices.SortFunc(r.Addrs, func(a, b AddrReach) int { return strings.Compare(a.Addr.String(), b.Addr.String()) })
	return r
}

// judge concludes for one address. A success outweighs failures: a peer may have no way to this host for reasons of its
// own.
func (s *reachState) judge(a multiaddr.Multiaddr) AddrReach {
	at := AddrReach{Addr: a, Transport: transportOf(a)}
	ok, failed, why := s.dialled(a)
	judged, known := s.judged[a.String()]
	if ok > 0 || known && judged {
		at.Verdict, at.Why = Reachable, "others have dialled it"
		if ip := ipgroup.IP(a); ip.IsValid() && !slices.Contains(s.own, ip) {
			at.Verdict, at.Why = Mapped, "others have dialled it, through a port of the router"
		}
		return at
	}
	nat := s.tcp
	if at.Transport == "quic" {
		nat = s.udp
	}
	private := ipgroup.ReachOf(a) < ipgroup.Internet
	switch {
	case private:
		at.Verdict, at.Why = Unknown, "a private address: only its own network reaches it"
	case len(s.relays) > 0 && nat == NATCone:
		at.Verdict, at.Why = Punchable, "the router lets nobody in unasked, but keeps the port: others get in after a signal through a relay"
	case len(s.relays) > 0 && nat == NATSymmetric:
		at.Verdict, at.Why = RelayedOnly, "the router uses another port for every peer: holes cannot be punched"
	case failed > 0 || known:
		at.Verdict, at.Why = Blocked, "others have dialled it in vain"
		if len(s.relays) > 0 {
			at.Verdict = RelayedOnly
		}
		if why != "" {
			at.Why += ": " + why
		}
	default:
		at.Verdict, at.Why = Unknown, "nobody has dialled it yet"
	}
	return at
}

// dialled counts the peers whose newest dial of an address succeeded or failed, and tells why one failed.
func (s *reachState) dialled(a multiaddr.Multiaddr) (ok, failed int, why string) {
	var from peer.ID
	for id, d := range s.dials[a.String()] {
		switch {
		case d.ok:
			ok++
		default:
			failed++
			if from == "" || id < from { // the same one every time
				from, why = id, d.why
			}
		}
	}
	return ok, failed, why
}

// reachability is the conclusion that libp2p acts on: a public host runs its services and is a server of the DHT; a
// private one looks for relays. Until something is known it stays what its role makes it.
func (r Reach) reachability() network.Reachability {
	switch {
	case r.Verdict >= Mapped:
		return network.ReachabilityPublic
	case r.Verdict == Unknown:
		return network.ReachabilityUnknown
	}
	return network.ReachabilityPrivate
}

// equal reports whether two conclusions are the same.
func (r Reach) equal(o Reach) bool {
	return r.Verdict == o.Verdict && r.TCP == o.TCP && r.UDP == o.UDP && r.DialledBy == o.DialledBy && slices.Equal(r.Relays, o.Relays) &&
		slices.EqualFunc(r.Addrs, o.Addrs, func(a, b AddrReach) bool {
			return a.Addr.Equal(b.Addr) && a.Verdict == b.Verdict && a.Why == b.Why
		})
}

// Summary describes the reach in one line, for people.
func (r Reach) Summary() string {
	text := r.Verdict.String()
	for _, t := range []string{"tcp", "quic"} {
		best, found := Blocked, false
		for _, a := range r.Addrs {
			if a.Transport == t && ipgroup.ReachOf(a.Addr) == ipgroup.Internet {
				best, found = max(best, a.Verdict), true
			}
		}
		if found {
			text += ", " + t + " " + best.String()
		}
	}
	return text
}

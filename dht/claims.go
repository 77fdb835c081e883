package dht

import (
	"cmp"
	"context"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/connmgr"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	"github.com/libp2p/go-libp2p/core/routing"
	"github.com/multiformats/go-multiaddr"

	"walrus/internal/ipgroup"
)

// claims collects what other peers say about the addresses of one peer. Those that a trusted peer named come first,
// then those that peers in the most networks agree on.
type claims struct {
	trusts  func(peer.ID) bool             // constant
	network func(peer.ID) netip.Prefix     // of a peer that answers; constant
	allowed func(multiaddr.Multiaddr) bool // for the answers of strangers; constant
	news    chan struct{}                  // has room for one: something was added

	mu    sync.Mutex
	list  []*claim        // in the order they came; guarded by mu
	heard map[string]bool // peers whose answer was taken; guarded by mu
}

// claim is one address, and who named it.
type claim struct {
	addr     multiaddr.Multiaddr
	trusted  bool
	networks map[string]bool // one for each network, or for each peer where networks mean nothing
}

// add takes a peer's answer: its first one, and of it the first maxClaimed addresses.
func (c *claims) add(from peer.ID, addrs []multiaddr.Multiaddr) {
	trusted, source := c.trusts(from), string(from)
	if net := c.network(from); net.IsValid() {
		source = net.String()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.heard[string(from)] || len(c.list) >= maxClaims && !trusted {
		return
	}
	c.heard[string(from)] = true
	taken := 0
	for _, a := range addrs {
		if taken == maxClaimed {
			break
		}
		if a == nil || !trusted && !c.allowed(a) {
			continue
		}
		taken++
		i := slices.IndexFunc(c.list, func(l *claim) bool { return l.addr.Equal(a) })
		if i < 0 {
			i = len(c.list)
			c.list = append(c.list, &claim{addr: a, networks: make(map[string]bool)})
		}
		c.list[i].trusted = c.list[i].trusted || trusted
		c.list[i].networks[source] = true
	}
	select {
	case c.news <- struct{}{}:
	default:
	}
}

// best returns the addresses that are worth the most, at most n and without the ones tried.
func (c *claims) best(n int, tried []multiaddr.Multiaddr) []multiaddr.Multiaddr {
	c.mu.Lock()
	defer c.mu.Unlock()
	ranked := slices.Clone(c.list)
	slices.SortStableFunc(ranked, func(a, b *claim) int {
		if a.trusted != b.trusted {
			if a.trusted {
				return -1
			}
			return 1
		}
		return cmp.Compare(len(b.networks), len(a.networks))
	})
	var out []multiaddr.Multiaddr
	for _, l := range ranked {
		if len(out) < n && !slices.ContainsFunc(tried, l.addr.Equal) {
			out = append(out, l.addr)
		}
	}
	return out
}

func (d *DHT) newClaims() *claims {
	scope := d.scope()
	return &claims{
		trusts: d.trusts, network: d.networkAddr, heard: make(map[string]bool), news: make(chan struct{}, 1),
		allowed: func(a multiaddr.Multiaddr) bool { return allowed(a, scope) },
	}
}

// search asks the network for the addresses of id and collects the answers. It asks again if nobody knew any: in a small
// table one stream that breaks is enough for that.
func (d *DHT) search(ctx context.Context, id peer.ID, c *claims) error {
	defer d.want(id)()
	err := d.ask(ctx, id, c)
	if err != nil && len(c.best(1, nil)) == 0 && !d.connected(id) {
		select {
		case <-ctx.Done():
		case <-time.After(searchPause):
			err = d.ask(ctx, id, c)
		}
	}
	return err
}

// ask runs one look-up for search.
func (d *DHT) ask(ctx context.Context, id peer.ID, c *claims) error {
	ctx, stop := context.WithCancel(ctx)
	asking, events := routing.RegisterForQueryEvents(ctx)
	var reading sync.WaitGroup
	reading.Go(func() {
		for e := range events {
			if e.Type != routing.PeerResponse {
				continue
			}
			for _, p := range e.Responses {
				if p.ID == id {
					c.add(e.ID, p.Addrs)
				}
			}
		}
	})
	_, err := d.kad.FindPeer(asking, id)
	stop()
	reading.Wait()
	return err
}

// want keeps most of what others say about a peer out of the peerstore while it is searched, and returns the end of
// that: claims are ranked by who makes them, which the peerstore does not know.
func (d *DHT) want(id peer.ID) (done func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.wanted[id]++
	return func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		if d.wanted[id]--; d.wanted[id] == 0 {
			delete(d.wanted, id)
		}
	}
}

func (d *DHT) wants(id peer.ID) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.wanted[id] > 0
}

// memberTags are the reasons for which package p2p protects the committee and the other nodes that the ledger knows.
var memberTags = []string{"committee", "registered"}

// member reports whether id is a node that the ledger knows.
func (d *DHT) member(id peer.ID) bool {
	return slices.ContainsFunc(memberTags, func(tag string) bool { return d.host.ConnManager().IsProtected(id, tag) })
}

// trusts reports whether what id says about others comes before what strangers say.
func (d *DHT) trusts(id peer.ID) bool {
	return d.member(id) || slices.ContainsFunc(d.bootstrap, func(p peer.AddrInfo) bool { return p.ID == id })
}

// networkAddr returns the network of a connected peer, or the zero Prefix if it is unknown or private.
func (d *DHT) networkAddr(id peer.ID) netip.Prefix {
	for _, c := range d.host.Network().ConnsToPeer(id) {
		ip := ipgroup.IP(c.RemoteMultiaddr())
		if reach, _ := ipgroup.Of(ip); ip.IsValid() && reach == ipgroup.Internet {
			return ipgroup.Block(ip)
		}
	}
	return netip.Prefix{}
}

// scope returns the least reach of the addresses that are taken from strangers. A node with public addresses takes
// public ones only, or strangers could make it dial machines and services behind its firewall. Bootstrap addresses that
// are all private show that the network is.
func (d *DHT) scope() ipgroup.Reach {
	scope := ipgroup.Internet
	widest := func(addrs []multiaddr.Multiaddr) {
		if len(addrs) == 0 {
			return
		}
		most := ipgroup.Machine
		for _, a := range addrs {
			most = max(most, ipgroup.ReachOf(a))
		}
		scope = min(scope, most)
	}
	widest(d.host.Addrs())
	var bootstrap []multiaddr.Multiaddr
	for _, p := range d.bootstrap {
		bootstrap = append(bootstrap, p.Addrs...)
	}
	widest(bootstrap)
	if d.cfg.MDNS {
		scope = min(scope, ipgroup.Site)
	}
	return scope
}

// allowed reports whether a stranger may name address a. Names are not taken where private addresses are not: they may
// resolve to one.
func allowed(a multiaddr.Multiaddr, scope ipgroup.Reach) bool {
	if !ipgroup.IP(a).IsValid() && scope == ipgroup.Internet {
		return false
	}
	return ipgroup.ReachOf(a) >= scope
}

// filter drops the addresses that strangers may not name. The table passes our own through it as well.
func (d *DHT) filter(addrs []multiaddr.Multiaddr) []multiaddr.Multiaddr {
	scope, own := d.scope(), d.host.Addrs()
	return slices.DeleteFunc(slices.Clone(addrs), func(a multiaddr.Multiaddr) bool {
		return a == nil || !allowed(a, scope) && !slices.ContainsFunc(own, a.Equal)
	})
}

// tableHost is the host as Kademlia sees it. Kademlia stores claims of strangers as if they were addresses, and exempts
// strangers from the trimming of connections because their IDs are rare.
type tableHost struct {
	host.Host
	store claimStore
}

// Peerstore returns a store that takes few claims.
func (h tableHost) Peerstore() peerstore.Peerstore { return h.store }

// ConnManager returns a manager that does not protect.
func (h tableHost) ConnManager() connmgr.ConnManager { return tagger{h.Host.ConnManager()} }

// tagger turns protection into a tag: such peers are trimmed later than others, but are trimmed.
type tagger struct{ connmgr.ConnManager }

// protectScore is the weight of that tag. Kademlia's own tag weighs 5.
const protectScore = 10

// Protect tags a peer.
func (t tagger) Protect(id peer.ID, tag string) { t.TagPeer(id, tag, protectScore) }

// Unprotect removes the tag.
func (t tagger) Unprotect(id peer.ID, tag string) bool {
	t.UntagPeer(id, tag)
	return false
}

// claimStore is the peerstore as Kademlia sees it.
type claimStore struct {
	peerstore.Peerstore
	dht *DHT
}

// AddAddrs takes claims about the addresses of a peer. Claims about members are not stored, and few about the peers
// that are being searched: while Kademlia dials these, there must be room to dial better ones.
func (s claimStore) AddAddrs(id peer.ID, addrs []multiaddr.Multiaddr, ttl time.Duration) {
	if s.dht.member(id) {
		return
	}
	most := maxStored
	if s.dht.wants(id) {
		most = maxDialled
	}
	room := most - len(s.Peerstore.Addrs(id))
	addrs = addrs[:max(0, min(len(addrs), maxClaimed, room))]
	if len(addrs) > 0 {
		s.Peerstore.AddAddrs(id, addrs, ttl)
	}
}

// Addrs returns the addresses of a peer that we tell others: the proven ones, if there are any.
func (s claimStore) Addrs(id peer.ID) []multiaddr.Multiaddr {
	if proven := s.dht.book.addrs(id); s.dht.member(id) && len(proven) > 0 && !s.dht.connected(id) {
		return proven
	}
	return s.Peerstore.Addrs(id)
}

// PeerInfo returns a peer with its Addrs.
func (s claimStore) PeerInfo(id peer.ID) peer.AddrInfo {
	return peer.AddrInfo{ID: id, Addrs: s.Addrs(id)}
}

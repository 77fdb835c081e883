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

// claims collects what other peers say about the addresses of one peer. Addresses named by a trusted peer rank first.
// The others rank by the number of networks whose peers named them.
type claims struct {
	trusts  func(peer.ID) bool             // constant
	network func(peer.ID) netip.Prefix     // network of a peer that answers; constant
	allowed func(multiaddr.Multiaddr) bool // whether a stranger may name the address; constant
	news    chan struct{}                  // capacity 1: an address was added

	mu    sync.Mutex
	list  []*claim        // in order of arrival; guarded by mu
	heard map[string]bool // peers whose answer was taken; guarded by mu
}

// claim is one address with its sources.
type claim struct {
	addr     multiaddr.Multiaddr
	trusted  bool            // a trusted peer named it
	networks map[string]bool // networks that named it; a peer of no known network counts as one by itself
}

// add takes a peer's first answer, and of that the first maxClaimed addresses. It ignores the peer's later answers.
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

// best returns the addresses that rank highest, at most n, without the ones tried.
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

// search asks the network for the addresses of id and collects the answers. It asks again if nobody knew any: in a
// small table one stream that breaks is enough for that.
func (d *DHT) search(ctx context.Context, id peer.ID, c *claims) error {
	defer d.wanted.begin(id)()
	err := d.ask(ctx, id, c)
	if err != nil && len(c.best(1, nil)) == 0 && !d.connected(id) {
		select {
		case <-ctx.Done():
		case <-time.After(searchPause):
			refill(d)
			err = d.ask(ctx, id, c)
		}
	}
	return err
}

// searchToEnd searches even if nobody waits for it any more, for reachTimeout at most. A search that is cut off while
// it opens a stream breaks that stream for all other searches, and Kademlia then drops the peer from the table, perhaps
// the only one.
func (d *DHT) searchToEnd(ctx context.Context, id peer.ID, c *claims) error {
	ctx, stop := context.WithTimeout(context.WithoutCancel(ctx), reachTimeout)
	defer stop()
	d.searches.Go(func() {
		select {
		case <-d.closing:
			stop()
		case <-ctx.Done():
		}
	})
	return d.search(ctx, id, c)
}

// refill puts connected servers back into the table.
func refill(d *DHT) {
	for _, id := range d.host.Network().Peers() {
		if d.speaksOurs(id) {
			_, _ = d.kad.RoutingTable().TryAddPeer(id, true, false) // if it is full, others are there
		}
	}
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

// wanted counts the searches for each peer. Most of what others say about a peer stays out of the peerstore while it is
// searched: claims are ranked by who makes them, which the peerstore does not know.
type wanted struct {
	mu       sync.Mutex
	searches map[peer.ID]int // guarded by mu; no zeros
}

// begin counts a search until it is done.
func (w *wanted) begin(id peer.ID) (done func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.searches[id]++
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.searches[id]--; w.searches[id] == 0 {
			delete(w.searches, id)
		}
	}
}

func (w *wanted) has(id peer.ID) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.searches[id] > 0
}

// memberTags are the tags under which package p2p protects the committee and the other nodes that the ledger knows.
var memberTags = []string{"committee", "registered"}

// member reports whether id is a node that the ledger knows.
func (d *DHT) member(id peer.ID) bool {
	return slices.ContainsFunc(memberTags, func(tag string) bool { return d.host.ConnManager().IsProtected(id, tag) })
}

// trusts reports whether claims of id rank before claims of strangers.
func (d *DHT) trusts(id peer.ID) bool {
	return d.member(id) || d.bootstrap.addrs(id) != nil
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

// scope returns the least reach that an address named by a stranger must have. In a public network all take only public
// ones, also those at home, whose own addresses are private. Otherwise, a node with a public address takes only
// public ones: otherwise strangers could make it dial machines and services behind its firewall. If all bootstrap
// addresses are private, so is the network, and private addresses are taken.
func (d *DHT) scope() ipgroup.Reach {
	scope := ipgroup.Internet
	if d.cfg.Public {
		return scope
	}
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
	for _, p := range d.bootstrap.peers {
		bootstrap = append(bootstrap, p.Addrs...)
	}
	widest(bootstrap)
	if d.cfg.MDNS {
		scope = min(scope, ipgroup.Site)
	}
	return scope
}

// allowed reports whether a stranger may name address a. Where private addresses are refused, DNS names are too: a name
// may resolve to a private address.
func allowed(a multiaddr.Multiaddr, scope ipgroup.Reach) bool {
	if !ipgroup.IP(a).IsValid() && scope == ipgroup.Internet {
		return false
	}
	return ipgroup.ReachOf(a) >= scope
}

// filter drops the addresses that strangers may not name. It keeps our own, because the table filters these too.
func (d *DHT) filter(addrs []multiaddr.Multiaddr) []multiaddr.Multiaddr {
	scope, own := d.scope(), d.host.Addrs()
	return slices.DeleteFunc(slices.Clone(addrs), func(a multiaddr.Multiaddr) bool {
		return a == nil || !allowed(a, scope) && !slices.ContainsFunc(own, a.Equal)
	})
}

// tableHost is the host as Kademlia sees it. With the real host, Kademlia would store claims of strangers like proven
// addresses, and would exempt strangers with rare IDs from the trimming of connections.
type tableHost struct {
	host.Host
	store claimStore
}

// Peerstore returns a claimStore.
func (h tableHost) Peerstore() peerstore.Peerstore { return h.store }

// ConnManager returns a manager that tags peers instead of protecting them.
func (h tableHost) ConnManager() connmgr.ConnManager { return tagger{h.Host.ConnManager()} }

// tagger turns protection into a tag: tagged peers are trimmed too, but later than others.
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

// claimStore is the peerstore as Kademlia sees it. It takes few claims, and prefers proven addresses.
type claimStore struct {
	peerstore.Peerstore
	dht *DHT
}

// AddAddrs takes claims about the addresses of a peer. None are stored about members with proven addresses, and few
// about other members and the peers that are being searched: while Kademlia dials these, there must be room to dial
// better ones.
func (s claimStore) AddAddrs(id peer.ID, addrs []multiaddr.Multiaddr, ttl time.Duration) {
	most, member := maxStored, s.dht.member(id)
	if member && len(s.dht.book.addrs(id)) > 0 {
		return
	}
	if member || s.dht.wanted.has(id) {
		most = maxDialled
	}
	room := most - len(s.Peerstore.Addrs(id))
	addrs = addrs[:max(0, min(len(addrs), maxClaimed, room))]
	if len(addrs) > 0 {
		s.Peerstore.AddAddrs(id, addrs, ttl)
	}
}

// Addrs returns the addresses that we tell others. For a member without a connection they are its proven ones, if any.
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

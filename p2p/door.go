package p2p

import (
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/connmgr"
	"github.com/libp2p/go-libp2p/core/control"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/x/rate"
	"github.com/multiformats/go-multiaddr"

	"walrus/internal/ipgroup"
)

// door decides which connections are allowed. Protected peers are always allowed. The places for strangers are limited,
// in all and in each network. When all places are taken, a stranger from a network with few connections gets the place
// of the newest stranger from the network with the most connections.
type door struct {
	limits  ConnLimits     // constant
	members *members       // has its own lock
	payers  *payers        // has its own lock
	accepts *rate.Limiter  // accepted connections that have not proved an identity; has its own lock
	streams *gate          // streams of all but members; has its own lock
	closing sync.WaitGroup // connections that lost their place
	dials   turns          // has its own lock
	public  bool           // private addresses are dialled only within own networks; constant
	nets    *ownNets       // has its own lock
	private allowed        // has its own lock

	mu    sync.Mutex
	conns map[network.Conn]*visit // guarded by mu
	peers map[peer.ID][]*visit    // of conns; guarded by mu; no empty lists
	in    places                  // taken by strangers that dialled us; guarded by mu
	out   int                     // connections to strangers that we dialled; guarded by mu
}

var _ connmgr.ConnectionGater = (*door)(nil)

// visit describes an open connection.
type visit struct {
	peer     peer.ID
	ip       netip.Addr
	stranger bool
	inbound  bool
	came     time.Time
}

// places counts connections by the addresses they come from.
type places struct {
	all    int
	ips    map[netip.Addr]int
	nets   map[netip.Prefix]int
	blocks map[netip.Prefix]int
}

func newDoor(l Limits, public bool) *door {
	d := &door{
		limits: l.Conns, members: newMembers(), payers: newPayers(), accepts: acceptLimiter(l.Conns),
		dials: turns{limits: l.Dials}, public: public, nets: &ownNets{list: interfaceNets},
		conns: map[network.Conn]*visit{}, peers: map[peer.ID][]*visit{},
		in: places{ips: map[netip.Addr]int{}, nets: map[netip.Prefix]int{}, blocks: map[netip.Prefix]int{}},
	}
	d.streams = newStreamGate(l, d.origin)
	return d
}

// acceptLimiter bounds how often connections are accepted from the same addresses. A connection has 15 s to prove an
// identity, so these rates also bound how many wait for that.
func acceptLimiter(l ConnLimits) *rate.Limiter {
	limits := func(bits ...int) (list []rate.SubnetLimit) {
		most := []int{l.PerIP, l.PerNet, l.PerBlock}
		for i, b := range bits {
			list = append(list, rate.SubnetLimit{PrefixLength: b, Limit: rate.Limit{RPS: float64(int(2) << i), Burst: 2 * most[i]}})
		}
		return list
	}
	var free []rate.PrefixLimit
	if !l.LimitPrivate {
		for _, p := range ipgroup.Private() {
			free = append(free, rate.PrefixLimit{Prefix: p}) // no limit
		}
	}
	return &rate.Limiter{
		NetworkPrefixLimits: free,
		SubnetRateLimiter:   rate.SubnetLimiter{IPv4SubnetLimits: limits(32, 24), IPv6SubnetLimits: limits(56, 48, 32), GracePeriod: time.Minute},
	}
}

// turn returns a function that takes the turn to dial a peer, or tells how long to wait; nil without a limit.
func (d *door) turn() func(peer.ID) time.Duration {
	if d.dials.limits.PerSecond == 0 {
		return nil
	}
	return func(id peer.ID) time.Duration { return d.dials.take(time.Now(), d.members.has(id)) }
}

// InterceptPeerDial refuses to dial a peer that is not on the allow list, and a stranger while we have dialled too many
// connected strangers. Without protected peers, as in a client, nothing is refused for the latter: the nodes that a
// client needs are strangers. Nobody is dialled beyond the bound of all connections.
func (d *door) InterceptPeerDial(p peer.ID) bool {
	if d.admit(p) != nil {
		return false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if full := func() bool { return d.limits.All > 0 && len(d.conns) >= d.limits.All }; full() && !(d.sweep() && !full()) {
		return false
	}
	if d.members.has(p) || !d.members.any() {
		return true
	}
	return d.out < d.limits.StrangersOut || d.sweep() && d.out < d.limits.StrangersOut
}

// InterceptAddrDial allows all addresses; in a public network, private ones only within the networks of our own
// interfaces. Elsewhere another machine has them, or whatever a stranger wants us to reach behind our firewall.
func (d *door) InterceptAddrDial(_ peer.ID, a multiaddr.Multiaddr) bool {
	return !d.public || ipgroup.ReachOf(a) == ipgroup.Internet || d.nets.has(ipgroup.IP(a))
}

// InterceptAccept refuses connections from networks that made too many lately. Addresses where a protected peer has
// been are exempt.
func (d *door) InterceptAccept(c network.ConnMultiaddrs) bool {
	ip := ipgroup.IP(c.RemoteMultiaddr())
	return d.members.hasIP(ip) || d.accepts.Allow(ip)
}

// InterceptSecured refuses peers that are not on the allow list as soon as they have proved their identity: before
// there are streams, so that they learn no protocol. The limits are for InterceptUpgraded, since only that sees the
// connection that may have to close.
func (d *door) InterceptSecured(_ network.Direction, p peer.ID, _ network.ConnMultiaddrs) bool {
	return d.admit(p) == nil
}

// InterceptUpgraded gives a connection a place, or refuses it.
func (d *door) InterceptUpgraded(c network.Conn) (allow bool, reason control.DisconnectReason) {
	v := &visit{
		peer: c.RemotePeer(), ip: ipgroup.IP(c.RemoteMultiaddr()), inbound: c.Stat().Direction == network.DirInbound, came: time.Now(),
	}
	v.stranger = !d.members.has(v.peer)
	if !v.stranger {
		d.members.learn(v.peer, v.ip)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.limits.All > 0 && len(d.conns) >= d.limits.All-d.spare(v) && !(d.sweep() && len(d.conns) < d.limits.All-d.spare(v)) {
		return false, 0
	}
	if v.stranger && v.inbound && !d.fits(v.ip) && !(d.sweep() && d.fits(v.ip)) && !d.replace(v.ip) {
		return false, 0
	}
	d.conns[c] = v
	d.peers[v.peer] = append(d.peers[v.peer], v)
	d.count(v, 1)
	return true, 0
}

// spare returns the connections, of all, that are not for a visitor: a tenth is not for strangers that dial us.
func (d *door) spare(v *visit) int {
	if v.stranger && v.inbound {
		return d.limits.All / 10
	}
	return 0
}

// Disconnected frees the place of a connection.
func (d *door) Disconnected(c network.Conn) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.drop(c)
}

func (d *door) drop(c network.Conn) {
	v := d.conns[c]
	if v == nil {
		return
	}
	delete(d.conns, c)
	d.count(v, -1)
	rest := slices.DeleteFunc(d.peers[v.peer], func(other *visit) bool { return other == v })
	if d.peers[v.peer] = rest; len(rest) == 0 {
		delete(d.peers, v.peer)
	}
}

// reclassify counts the connections of a peer in its new class, after the peer became protected or ceased to be. It
// disconnects nobody.
func (d *door) reclassify(id peer.ID) {
	stranger := !d.members.has(id)
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, v := range d.peers[id] {
		if v.stranger != stranger {
			d.count(v, -1)
			v.stranger = stranger
			d.count(v, 1)
		}
		if !stranger {
			d.members.learn(id, v.ip)
		}
	}
}

// origin returns the class of a connected peer, and its group. Strangers whose addresses have no limits have no group.
func (d *door) origin(id peer.ID) origin {
	if d.members.has(id) {
		return origin{class: member}
	}
	if account, known := d.payers.of(id); known {
		return origin{payer, account}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, v := range d.peers[id] {
		if d.limited(v.ip) {
			return origin{stranger, ipgroup.Block(v.ip)}
		}
	}
	return origin{}
}

// at reports whether a peer is connected from an address in a block of addresses.
func (d *door) at(id peer.ID, block netip.Prefix) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.ContainsFunc(d.peers[id], func(v *visit) bool { return ipgroup.Block(v.ip) == block })
}

// limited reports whether connections of an address count for its networks.
func (d *door) limited(ip netip.Addr) bool {
	if !ip.IsValid() {
		return false
	}
	reach, _ := ipgroup.Of(ip)
	return reach == ipgroup.Internet || d.limits.LimitPrivate
}

// fits reports whether one more stranger at ip has a place. d.mu is held.
func (d *door) fits(ip netip.Addr) bool { return d.in.all < d.limits.Strangers && d.netFits(ip) }

func (d *door) netFits(ip netip.Addr) bool {
	if !d.limited(ip) {
		return true
	}
	_, net := ipgroup.Of(ip)
	return d.in.ips[unit(ip)] < d.limits.PerIP && d.in.nets[net] < d.limits.PerNet && d.in.blocks[ipgroup.Block(ip)] < d.limits.PerBlock
}

// unit returns what one machine has as a whole: an IPv4 address, or a /56 of IPv6.
func unit(ip netip.Addr) netip.Addr {
	if p, err := ip.Prefix(56); err == nil && ip.Is6() {
		return p.Addr()
	}
	return ip
}

// replace frees a place for a stranger at ip, if another network has at least two places more than ip's network would
// have then. d.mu is held.
func (d *door) replace(ip netip.Addr) bool {
	if !d.netFits(ip) {
		return false
	}
	var most netip.Prefix
	for block, n := range d.in.blocks {
		if n > d.in.blocks[most] {
			most = block
		}
	}
	if d.in.blocks[most] < d.in.blocks[ipgroup.Block(ip)]+2 {
		return false
	}
	var victim network.Conn
	var came time.Time
	for c, v := range d.conns {
		if v.stranger && v.inbound && ipgroup.Block(v.ip) == most && (victim == nil || v.came.After(came)) {
			victim, came = c, v.came
		}
	}
	if victim == nil {
		return false
	}
	d.drop(victim)
	// In a goroutine: closing calls Disconnected, which locks d.mu.
	d.closing.Go(func() { _ = victim.CloseWithError(network.ConnGarbageCollected) })
	return true
}

// ownNetsAge bounds the age of what ownNets knows: a notebook changes networks.
const ownNetsAge = time.Minute

// ownNets knows the private networks of this machine's interfaces, without loopback.
type ownNets struct {
	list func() []netip.Prefix // constant

	mu    sync.Mutex
	known []netip.Prefix // guarded by mu
	asked time.Time      // guarded by mu
}

// has reports whether an interface is in the network of an address.
func (n *ownNets) has(ip netip.Addr) bool {
	if !ip.IsValid() || reachOf(ip) == ipgroup.Machine {
		return false
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if now := time.Now(); n.asked.IsZero() || now.Sub(n.asked) > ownNetsAge {
		n.known, n.asked = n.list(), now
	}
	return slices.ContainsFunc(n.known, func(p netip.Prefix) bool { return p.Contains(ip.WithZone("")) })
}

// sweep drops connections that closed before anybody could tell us, and reports whether there were any. d.mu is held.
func (d *door) sweep() (found bool) {
	for c := range d.conns {
		if c.IsClosed() {
			d.drop(c)
			found = true
		}
	}
	return found
}

// count adds n for a connection. d.mu is held.
func (d *door) count(v *visit, n int) {
	switch {
	case !v.stranger:
	case !v.inbound:
		d.out += n
	default:
		d.in.all += n
		_, net := ipgroup.Of(v.ip)
		add(d.in.ips, unit(v.ip), n)
		add(d.in.nets, net, n)
		add(d.in.blocks, ipgroup.Block(v.ip), n)
	}
}

func add[K comparable](counts map[K]int, k K, n int) {
	if counts[k] += n; counts[k] == 0 {
		delete(counts, k)
	}
}

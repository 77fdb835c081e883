package p2p

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/x/rate"
	"github.com/multiformats/go-multiaddr"

	"walrus/internal/ipgroup"
	"walrus/p2p/internal/wire"
)

// whoamiProtocol tells peers how they look from here, and whether they can be dialled.
const whoamiProtocol = "whoami/1.0.0"

const (
	// whoamiTime bounds a question without a dial, dialBackTime one dial, and passOnTime the dial by another member.
	whoamiTime   = 5 * time.Second
	dialBackTime = 8 * time.Second
	passOnTime   = dialBackTime + 4*time.Second
	// maxDialBacks bounds the dials for others under way. Each has a libp2p host of its own for the time.
	maxDialBacks = 8
	// maxPassOn bounds the members asked to dial for a peer, one after the other.
	maxPassOn = 2
	// dialBacksPerMinute and dialBackBurst bound the dials for the addresses of one /24 of IPv4 or /48 of IPv6;
	// allDialBacksPerMinute bounds the dials for all.
	dialBacksPerMinute    = 6
	dialBackBurst         = 24
	allDialBacksPerMinute = 60
)

// whoami answers the whoami protocol. A dial goes only to the IP address from which the peer that asks is seen, so
// nobody can be made to dial a third party; a member vouches for that when it asks for somebody else. All fields are
// constant.
type whoami struct {
	host  *Host
	dial  func(ctx context.Context, id peer.ID, addr multiaddr.Multiaddr) error // over a connection of its own
	slots chan struct{}                                                         // one for each dial under way
	quota *rate.Limiter                                                         // of dials, by the address dialled
}

func newWhoami(h *Host) *whoami {
	w := &whoami{host: h, dial: dialAlone, slots: make(chan struct{}, maxDialBacks), quota: dialQuota(h.cfg.Limits.Conns.LimitPrivate)}
	if h.cfg.TestTransport {
		w.dial = func(context.Context, peer.ID, multiaddr.Multiaddr) error { return errors.New("not in virtual time") }
	}
	return w
}

// dialQuota bounds the dials for others. Private addresses have no limit of their own: all nodes of a devnet share one.
func dialQuota(private bool) *rate.Limiter {
	limit := func(bits int) rate.SubnetLimit {
		return rate.SubnetLimit{PrefixLength: bits, Limit: rate.Limit{RPS: dialBacksPerMinute / 60.0, Burst: dialBackBurst}}
	}
	l := &rate.Limiter{
		GlobalLimit: rate.Limit{RPS: allDialBacksPerMinute / 60.0, Burst: allDialBacksPerMinute},
		SubnetRateLimiter: rate.SubnetLimiter{
			IPv4SubnetLimits: []rate.SubnetLimit{limit(24)}, IPv6SubnetLimits: []rate.SubnetLimit{limit(48)}, GracePeriod: time.Minute,
		},
	}
	if !private {
		for _, p := range ipgroup.Private() {
			l.NetworkPrefixLimits = append(l.NetworkPrefixLimits, rate.PrefixLimit{Prefix: p})
		}
	}
	return l
}

// serve answers the one question of a stream.
func (w *whoami) serve(ctx context.Context, st network.Stream) {
	ctx, cancel := context.WithTimeout(ctx, passOnTime+whoamiTime)
	defer cancel()
	defer context.AfterFunc(ctx, func() { _ = st.Reset() })()
	question := new(wire.Whoami)
	err := st.SetReadDeadline(time.Now().Add(whoamiTime))
	if err == nil {
		err = wire.ReadHeader(bufio.NewReaderSize(st, readBuffer), question)
	}
	if err != nil {
		_ = st.Reset()
		return
	}
	seen := w.answer(ctx, st.Conn(), question)
	b, err := wire.AppendHeader(nil, seen)
	if err == nil {
		err = st.SetWriteDeadline(time.Now().Add(whoamiTime))
	}
	if err == nil {
		_, err = st.Write(b)
	}
	if err != nil {
		_ = st.Reset()
		return
	}
	_ = st.Close() // everything is written
}

// answer dials if that is asked for and allowed.
func (w *whoami) answer(ctx context.Context, c network.Conn, q *wire.Whoami) *wire.Seen {
	seen := &wire.Seen{Observed: c.RemoteMultiaddr().Bytes()}
	if len(q.GetAddress()) == 0 {
		return seen
	}
	addr, target, err := w.check(c, q)
	if err != nil {
		seen.Dial, seen.Text = wire.DialRefused, printable(err.Error())
		return seen
	}
	if q.GetElsewhere() {
		w.passOn(ctx, addr, target, seen)
		return seen
	}
	seen.Dialler = []byte(w.host.ID())
	if err := w.attempt(ctx, addr, target); err != nil {
		seen.Dial, seen.Text = wire.DialFailed, printable(err.Error())
		if errors.Is(err, ErrBusy) {
			seen.Dial = wire.DialRefused
		}
		return seen
	}
	seen.Dial = wire.DialOK
	return seen
}

// check returns the address and the peer to dial, or an error if this dial would be an abuse.
func (w *whoami) check(c network.Conn, q *wire.Whoami) (multiaddr.Multiaddr, peer.ID, error) {
	addr, err := multiaddr.NewMultiaddrBytes(q.GetAddress())
	if err != nil || !dialable(addr) {
		return nil, "", errors.New("want an IP address with a TCP or a QUIC port")
	}
	if w.host.door.public && ipgroup.ReachOf(addr) != ipgroup.Internet { // of a proxy before us, or behind our firewall
		return nil, "", fmt.Errorf("address %s is private: only addresses on the Internet are dialled", ipgroup.IP(addr))
	}
	from := ipgroup.IP(c.RemoteMultiaddr())
	if len(q.GetPeer()) == 0 {
		if ip := ipgroup.IP(addr); ip != from {
			return nil, "", fmt.Errorf("address %s: you are seen at %s, and only that is dialled", ip, from)
		}
		return addr, c.RemotePeer(), nil
	}
	target, err := peer.IDFromBytes(q.GetPeer())
	switch {
	case err != nil:
		return nil, "", errors.New("want a peer ID")
	case !w.host.door.members.has(c.RemotePeer()):
		return nil, "", errors.New("only a member may ask for another peer")
	case ipgroup.ReachOf(addr) < reachOf(from):
		return nil, "", fmt.Errorf("address %s is private, and you are not", ipgroup.IP(addr))
	}
	return addr, target, nil
}

func reachOf(ip netip.Addr) ipgroup.Reach {
	reach, _ := ipgroup.Of(ip)
	return reach
}

// dialable reports whether an address is an IP address with a TCP or a QUIC port, and nothing else.
func dialable(a multiaddr.Multiaddr) bool {
	if len(a) < 2 || !ipgroup.IP(a).IsValid() || ipgroup.IP(a).IsUnspecified() || ipgroup.IP(a).IsMulticast() {
		return false
	}
	return hasPort(a[1:])
}

// hasPort reports whether the rest of an address is a TCP or a QUIC port.
func hasPort(rest multiaddr.Multiaddr) bool {
	switch rest[0].Protocol().Code {
	case multiaddr.P_TCP:
		return len(rest) == 1 && rest[0].Value() != "0"
	case multiaddr.P_UDP:
		return len(rest) == 2 && rest[1].Protocol().Code == multiaddr.P_QUIC_V1 && rest[0].Value() != "0"
	}
	return false
}

// attempt dials within the limits. The error wraps ErrBusy if they are reached.
func (w *whoami) attempt(ctx context.Context, addr multiaddr.Multiaddr, target peer.ID) error {
	select {
	case w.slots <- struct{}{}:
		defer func() { <-w.slots }()
	default:
		return fmt.Errorf("%w: %d dials for others are under way", ErrBusy, maxDialBacks)
	}
	if !w.quota.Allow(ipgroup.IP(addr)) {
		return fmt.Errorf("%w: enough dials to this network for now", ErrBusy)
	}
	ctx, cancel := context.WithTimeout(ctx, dialBackTime)
	defer cancel()
	return w.dial(ctx, target, addr)
}

// passOn lets another member dial, best one in another network that has no connection to the peer's address.
func (w *whoami) passOn(ctx context.Context, addr multiaddr.Multiaddr, target peer.ID, seen *wire.Seen) {
	seen.Dial, seen.Text = wire.DialRefused, "no other member is connected here"
	if !w.quota.Allow(ipgroup.IP(addr)) {
		seen.Text = "enough dials to this network for now"
		return
	}
	for _, other := range w.others(target, ipgroup.IP(addr)) {
		answer, err := w.host.Outside().ask(ctx, other, &wire.Whoami{Address: addr.Bytes(), Peer: []byte(target)}, passOnTime)
		if err != nil {
			seen.Text = printable(fmt.Sprintf("%s did not answer: %v", other, err))
			continue
		}
		seen.Dial, seen.Text = answer.GetDial(), printable(answer.GetText())
		if seen.Dial == wire.DialOK || seen.Dial == wire.DialFailed {
			seen.Dialler = []byte(other)
			return
		}
	}
}

// others returns connected members to pass a dial on to, in random order, but those in another network than ip first.
func (w *whoami) others(target peer.ID, ip netip.Addr) []peer.ID {
	var near, far []peer.ID
	for _, id := range w.host.host.Network().Peers() {
		if id == target || !w.host.door.members.has(id) || w.host.host.Network().Connectedness(id) != network.Connected {
			continue
		}
		if w.host.door.at(id, ipgroup.Block(ip)) {
			near = append(near, id)
		} else {
			far = append(far, id)
		}
	}
	for _, list := range [][]peer.ID{near, far} {
		rand.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	}
	all := slices.Concat(far, near)
	return all[:min(len(all), maxPassOn)]
}

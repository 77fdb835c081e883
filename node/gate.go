package node

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"

	"walrus/internal/pause"
	"walrus/ledger"
	"walrus/p2p"
)

const (
	// gateMembers is the number of other members that must have dialled a storage node before it serves as a member.
	gateMembers = 3
	// gatePatience: after this long, fewer are enough if fewer answer.
	gatePatience = 2 * time.Minute
	// gatePause separates the first rounds of questions; later ones are up to maxGatePause apart.
	gatePause, maxGatePause = time.Second, 30 * time.Second
	// gateAsks bounds the members asked in one round, and gateAddrs the addresses that each is asked to dial.
	gateAsks, gateAddrs = 6, 4
	// gateTime bounds one question with its connection.
	gateTime = 20 * time.Second
)

// gate decides whether a storage node may serve as a member: a node that others cannot dial would count for quorums and
// be missing from them. It is pure: admit concludes from what heard was told.
//
// Each asked member dials itself, from an identity and ports of its own: another one would have to be believed through
// it, so one liar could speak for many, and would be no farther away. All members are connected to each other, so a
// router that lets in every port of an address it has sent to lets in whichever member dials. Only a peer that this
// node has never met could tell such a router from an open port, and none of those has a name that counts here.
//
// In a network on the Internet, three other members must have dialled the node back; or, if there are few, as many as
// are left when a third of them lie. After gatePatience, if not enough answer to decide, those that answered do, again
// but for a third of all: so a network in which most nodes are down can start again. In a private network and on one
// machine nothing is asked. An open gate stays open.
type gate struct {
	public bool      // the network is on the Internet
	began  time.Time // of the questions
	heard  map[peer.ID]bool
	open   bool
}

// hear notes what came of a member's dial.
func (g *gate) hear(by peer.ID, ok bool) { g.heard[by] = g.heard[by] || ok }

// admit returns nil if the node may serve, or what is missing. others counts the other members.
func (g *gate) admit(others int, now time.Time) error {
	ok := 0
	for _, dialled := range g.heard {
		if dialled {
			ok++
		}
	}
	liars := others / 3
	need := min(gateMembers, others-liars)
	undecided := now.Sub(g.began) >= gatePatience && len(g.heard) < need+liars
	if !g.public || ok >= need || undecided && ok >= max(len(g.heard)-liars, min(1, len(g.heard))) {
		g.open = true
	}
	if g.open {
		return nil
	}
	return fmt.Errorf("only %d of %d members have reached this node from outside: open its port in the firewall, forward it in the router, or set announce; walrus doctor tells more",
		ok, need)
}

// runGate asks members to dial this node until the gate is open.
func (n *Node) runGate(ctx context.Context) error {
	g := &gate{public: n.cfg.P2P.Public, began: time.Now(), heard: map[peer.ID]bool{}}
	for delay := gatePause; ctx.Err() == nil; delay = min(2*delay, maxGatePause) {
		others := n.otherMembers()
		err := g.admit(len(others), time.Now())
		if err == nil {
			n.refusal.Store(nil)
			break
		}
		if before := n.refusal.Swap(&err); before == nil || (*before).Error() != err.Error() {
			n.log.Warn("this node does not serve as a member yet", "err", err)
		}
		n.askMembers(ctx, g, others)
		if g.admit(len(others), time.Now()) != nil {
			pause.For(ctx, delay)
		}
	}
	return nil
}

// askMembers asks some members that have not reached this node to dial it.
func (n *Node) askMembers(ctx context.Context, g *gate, others []peer.ID) {
	others = slices.DeleteFunc(others, func(id peer.ID) bool { return g.heard[id] })
	rand.Shuffle(len(others), func(i, j int) { others[i], others[j] = others[j], others[i] })
	addrs := publicAddrs(ctx, n.host.Addrs())
	for _, id := range others[:min(len(others), gateAsks)] {
		short, cancel := context.WithTimeout(ctx, gateTime)
		if n.dht.Connect(short, id) == nil {
			for _, a := range addrs {
				d, err := n.host.Outside().DialBack(short, id, a, false)
				if err == nil && !d.Refused && d.By != "" {
					g.hear(d.By, d.OK)
				}
				if err == nil && d.OK {
					break
				}
			}
		}
		cancel()
	}
}

// publicAddrs returns the addresses to be dialled, TCP first, names resolved.
func publicAddrs(ctx context.Context, told []multiaddr.Multiaddr) (out []multiaddr.Multiaddr) {
	for _, a := range told {
		if p2p.IsRelayed(a) || !p2p.IsPublic(a.String()) {
			continue
		}
		for _, r := range resolve(ctx, a) {
			if !slices.ContainsFunc(out, r.Equal) {
				out = append(out, r)
			}
		}
	}
	slices.SortStableFunc(out, func(a, b multiaddr.Multiaddr) int { return len(a) - len(b) }) // QUIC has one part more
	return out[:min(len(out), gateAddrs)]
}

// resolve returns the IP addresses of a name, with the rest of the address; other addresses as they are.
func resolve(ctx context.Context, a multiaddr.Multiaddr) (out []multiaddr.Multiaddr) {
	network := ""
	switch a[0].Protocol().Code {
	case multiaddr.P_DNS:
		network = "ip"
	case multiaddr.P_DNS4:
		network = "ip4"
	case multiaddr.P_DNS6:
		network = "ip6"
	default:
		return []multiaddr.Multiaddr{a}
	}
	ips, err := net.DefaultResolver.LookupNetIP(ctx, network, a[0].Value())
	if err != nil {
		return nil
	}
	for _, ip := range ips {
		ip, version := ip.Unmap(), "ip6"
		if ip.Is4() {
			version = "ip4"
		}
		if c, err := multiaddr.NewComponent(version, ip.String()); err == nil {
			out = append(out, append(multiaddr.Multiaddr{*c}, a[1:]...))
		}
	}
	return out
}

// otherMembers lists the other members of the current committee.
func (n *Node) otherMembers() (ids []peer.ID) {
	epoch := uint32(ledger.FirstEpoch)
	if st, err := n.keeper.Status(); err == nil {
		epoch = st.Epoch
	}
	com, err := n.committees.At(epoch)
	if err != nil {
		return nil
	}
	for _, m := range com.Members() {
		if m.Node != n.host.ID() {
			ids = append(ids, m.Node)
		}
	}
	return ids
}

// notAdmitted returns why the node does not serve as a member, or nil.
func (n *Node) notAdmitted() error {
	if err := n.refusal.Load(); err != nil {
		return *err
	}
	return nil
}

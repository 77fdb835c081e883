package p2p

import (
	"context"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"
)

const (
	// punchLook separates two looks for peers to punch again.
	punchLook = 5 * time.Second
	// maxRepunches bounds the peers remembered for that.
	maxRepunches = 128
	// punchApart separates two tries of one peer.
	punchApart = 30 * time.Second
)

// punchAfter lists when a hole is punched again, since the first relayed connection to a peer. Later nothing is tried
// until an address changes or the peer is dialled anew.
var punchAfter = [...]time.Duration{punchApart, 5 * time.Minute}

// repunches decides when to punch again to the peers that this host has dialled and reached only through a relay. It is
// pure.
type repunches struct {
	peers map[peer.ID]*punchState
}

type punchState struct {
	through     multiaddr.Multiaddr // the relay
	first, last time.Time           // try
	tries       int                 // again
}

// relayed notes a new relayed connection. libp2p repunches for it.
func (p *repunches) relayed(id peer.ID, through multiaddr.Multiaddr, now time.Time) {
	if s := p.peers[id]; s != nil {
		s.through = through
		return
	}
	if len(p.peers) < maxRepunches {
		p.peers[id] = &punchState{through: through, first: now, last: now}
	}
}

// direct forgets a peer with a direct connection.
func (p *repunches) direct(id peer.ID) { delete(p.peers, id) }

// due returns the peers to dial through their relays again, and forgets those that have had all tries. changed: an
// address of this host has changed since the last call.
func (p *repunches) due(now time.Time, changed bool) (out []peer.AddrInfo) {
	for id, s := range p.peers {
		switch {
		case now.Sub(s.last) < punchApart:
			continue
		case changed:
		case s.tries == len(punchAfter):
			delete(p.peers, id)
			continue
		case now.Sub(s.first) < punchAfter[s.tries]:
			continue
		}
		s.last = now
		if !changed {
			s.tries++
		}
		out = append(out, peer.AddrInfo{ID: id, Addrs: []multiaddr.Multiaddr{s.through}})
	}
	return out
}

// puncher repunches again. Its state belongs to the lookout's goroutine.
type puncher struct {
	host  host.Host         // constant, as the next
	news  chan network.Conn // connections that opened
	state repunches
	work  sync.WaitGroup
}

func newPuncher(h host.Host) *puncher {
	p := &puncher{host: h, news: make(chan network.Conn, maxRepunches), state: repunches{peers: map[peer.ID]*punchState{}}}
	h.Network().Notify(&network.NotifyBundle{ConnectedF: func(_ network.Network, c network.Conn) {
		select {
		case p.news <- c:
		default: // a flood: libp2p repunches once in any case
		}
	}})
	return p
}

// met takes a connection that opened.
func (p *puncher) met(c network.Conn, now time.Time) {
	switch {
	case !c.Stat().Limited:
		p.state.direct(c.RemotePeer())
	case c.Stat().Direction == network.DirOutbound: // the other side of a relayed connection repunches when we dial it
		p.state.relayed(c.RemotePeer(), c.RemoteMultiaddr(), now)
	}
}

// look dials the peers that are due anew, each through its relay: the peer then repunches.
func (p *puncher) look(ctx context.Context, now time.Time, changed bool) {
	for _, info := range p.state.due(now, changed) {
		p.work.Go(func() {
			if p.host.Network().Connectedness(info.ID) == network.Connected {
				return
			}
			_ = p.host.Network().ClosePeer(info.ID) // the relayed one; a new one follows
			ctx, cancel := context.WithTimeout(ctx, punchPatience)
			defer cancel()
			_ = p.host.Connect(network.WithAllowLimitedConn(ctx, "punch again"), info) // else the next try comes
		})
	}
}

package p2p

import (
	"net/netip"
	"sync"

	"github.com/libp2p/go-libp2p/core/peer"
)

// gate admits requests up to a number of requests and of bytes in flight, in all and for each peer. It never waits.
//
// A peer with a request inside gets at most a quarter of the free room. So dozens of greedy peers, not four, are needed
// to leave no room for the next. Shared-buffer switches call this dynamic thresholds.
//
// Strangers together get a part of the room, so that protected peers always find some. The strangers of one network
// with a request inside get at most half of the part that is free: so many identities in one network gain no more than
// a few.
type gate struct {
	all, perPeer, strangers load // limits; constant

	// origin tells protected peers from strangers, and names a stranger's network; the zero Prefix has no limit.
	// Constant; nil: everybody is a stranger without a network.
	origin func(peer.ID) (member bool, net netip.Prefix)

	mu      sync.Mutex
	now     load                   // guarded by mu
	strange load                   // the strangers' part of now; guarded by mu
	peers   map[peer.ID]*guest     // guarded by mu; only peers with a request inside
	nets    map[netip.Prefix]*load // guarded by mu; only networks with a request inside
}

// load measures admitted work.
type load struct {
	requests int
	bytes    int64
}

// guest holds the admitted requests of one peer. The peer keeps the class that it had when the first was admitted.
type guest struct {
	load
	member bool
	net    netip.Prefix
}

func newGate(l Limits) *gate {
	return &gate{
		all:       load{l.Requests, l.Bytes},
		perPeer:   load{l.RequestsPerPeer, l.BytesPerPeer},
		strangers: load{l.Requests - l.Requests/4, l.Bytes - l.Bytes/4},
		peers:     make(map[peer.ID]*guest),
		nets:      make(map[netip.Prefix]*load),
	}
}

// enter admits or refuses a peer's request that will hold cost bytes. A cost above the peer's limit counts as the
// limit: a big request must wait until it is the peer's only one, but not for ever. After true, the caller calls leave
// with the same values.
func (g *gate) enter(from peer.ID, cost int64) bool {
	cost = min(cost, g.perPeer.bytes)
	g.mu.Lock()
	defer g.mu.Unlock()
	mine := g.peers[from]
	if mine == nil {
		mine = new(guest)
		if g.origin != nil {
			mine.member, mine.net = g.origin(from)
		}
	}
	if !g.fits(mine, cost) {
		return false
	}
	g.now.add(1, cost)
	mine.add(1, cost)
	g.peers[from] = mine
	if !mine.member {
		g.strange.add(1, cost)
		if mine.net.IsValid() {
			if g.nets[mine.net] == nil {
				g.nets[mine.net] = new(load)
			}
			g.nets[mine.net].add(1, cost)
		}
	}
	return true
}

// fits reports whether there is room for one more request of a peer. g.mu is held.
func (g *gate) fits(mine *guest, cost int64) bool {
	most, inside := g.all, g.now
	if !mine.member {
		most, inside = g.strangers, g.strange
		free := load{most.requests - inside.requests, most.bytes - inside.bytes}
		if net := g.nets[mine.net]; net != nil && !net.fits(load{free.requests / 2, free.bytes / 2}, cost) {
			return false
		}
	}
	share := load{
		min(g.perPeer.requests, (most.requests-inside.requests)/4),
		min(g.perPeer.bytes, (most.bytes-inside.bytes)/4),
	}
	return g.now.fits(g.all, cost) && inside.fits(most, cost) && (mine.requests == 0 || mine.fits(share, cost))
}

func (g *gate) leave(from peer.ID, cost int64) {
	cost = min(cost, g.perPeer.bytes)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.now.add(-1, -cost)
	mine := g.peers[from]
	mine.add(-1, -cost)
	if !mine.member {
		g.strange.add(-1, -cost)
		if net := g.nets[mine.net]; net != nil {
			if net.add(-1, -cost); net.requests == 0 {
				delete(g.nets, mine.net)
			}
		}
	}
	if mine.requests == 0 {
		delete(g.peers, from)
	}
}

func (l *load) add(requests int, bytes int64) {
	l.requests += requests
	l.bytes += bytes
}

func (l *load) fits(most load, cost int64) bool {
	return l.requests < most.requests && l.bytes+cost <= most.bytes
}

package p2p

import (
	"sync"

	"github.com/libp2p/go-libp2p/core/peer"
)

// gate admits requests: so many at once and so many bytes in flight, in all and for each peer. It never waits. A peer
// that has something inside gets no more than a quarter of what is free, so it takes dozens of greedy peers, not four, to
// leave no room for the next: the dynamic thresholds of shared-buffer switches.
type gate struct {
	all, perPeer load // greatest; constant

	mu    sync.Mutex
	now   load              // guarded by mu
	peers map[peer.ID]*load // guarded by mu; only peers with a request inside
}

// load is an amount of work.
type load struct {
	requests int
	bytes    int64
}

func newGate(l Limits) *gate {
	return &gate{
		all:     load{l.Requests, l.Bytes},
		perPeer: load{l.RequestsPerPeer, l.BytesPerPeer},
		peers:   make(map[peer.ID]*load),
	}
}

// enter admits a request of a peer that will hold cost bytes, or refuses. A cost above a limit counts as that limit,
// so that a big request waits until it is alone, not for ever. After true the caller calls leave with the same values.
func (g *gate) enter(from peer.ID, cost int64) bool {
	cost = min(cost, g.perPeer.bytes)
	g.mu.Lock()
	defer g.mu.Unlock()
	mine := g.peers[from]
	if mine == nil {
		mine = new(load)
	}
	share := load{
		min(g.perPeer.requests, (g.all.requests-g.now.requests)/4),
		min(g.perPeer.bytes, (g.all.bytes-g.now.bytes)/4),
	}
	if !g.now.fits(g.all, cost) || mine.requests > 0 && !mine.fits(share, cost) {
		return false
	}
	g.now.add(1, cost)
	mine.add(1, cost)
	g.peers[from] = mine
	return true
}

func (g *gate) leave(from peer.ID, cost int64) {
	cost = min(cost, g.perPeer.bytes)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.now.add(-1, -cost)
	mine := g.peers[from]
	mine.add(-1, -cost)
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

package p2p

import (
	"sync"

	"github.com/libp2p/go-libp2p/core/peer"
)

// gate admits requests up to a number of requests and of bytes in flight, in all and for each peer. It never waits.
//
// A peer with a request inside gets at most a quarter of the free room. So dozens of greedy peers, not four, are needed
// to leave no room for the next. Shared-buffer switches call this dynamic thresholds.
type gate struct {
	all, perPeer load // limits; constant

	mu    sync.Mutex
	now   load              // guarded by mu
	peers map[peer.ID]*load // guarded by mu; only peers with a request inside
}

// load measures admitted work.
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

// enter admits or refuses a peer's request that will hold cost bytes. A cost above the peer's limit counts as the
// limit: a big request must wait until it is the peer's only one, but not for ever. After true, the caller calls leave
// with the same values.
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

package light

import (
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

// gate admits requests up to limits: on their number and bytes, in all and per peer, and on each peer's rate. It
// never waits. A peer with requests inside gets at most a quarter of the free capacity.
type gate struct {
	limits Limits // constant

	mu    sync.Mutex
	now   load                 // guarded by mu
	peers map[peer.ID]*visitor // guarded by mu; at most limits.Peers
}

// load counts what requests hold.
type load struct {
	requests int
	bytes    int64
}

// visitor is a peer with recent requests.
type visitor struct {
	load
	tokens float64 // requests that it could send at once, at the time seen
	seen   time.Time
}

func newGate(l Limits) *gate { return &gate{limits: l, peers: make(map[peer.ID]*visitor)} }

// enter admits a request that holds up to bytes and counts as weight requests, or refuses it. After true, call leave
// with the same bytes.
func (g *gate) enter(from peer.ID, bytes int64, weight float64, now time.Time) bool {
	bytes = min(bytes, g.limits.BytesPerPeer)
	g.mu.Lock()
	defer g.mu.Unlock()
	v := g.visitor(from, now)
	if v == nil || v.tokens < weight {
		return false
	}
	free := load{g.limits.Requests - g.now.requests, g.limits.Bytes - g.now.bytes}
	if free.requests < 1 || free.bytes < bytes {
		return false
	}
	if v.requests > 0 && (v.requests >= min(g.limits.RequestsPerPeer, free.requests/4) ||
		v.bytes+bytes > min(g.limits.BytesPerPeer, free.bytes/4)) {
		return false
	}
	v.tokens -= weight
	g.now.add(1, bytes)
	v.add(1, bytes)
	return true
}

// visitor finds or creates the peer's entry and updates its tokens; nil if there is no room. The caller holds g.mu.
func (g *gate) visitor(id peer.ID, now time.Time) *visitor {
	v := g.peers[id]
	if v == nil {
		if len(g.peers) >= g.limits.Peers {
			g.forget(now)
		}
		if len(g.peers) >= g.limits.Peers {
			return nil
		}
		v = &visitor{tokens: g.limits.Burst, seen: now}
		g.peers[id] = v
	}
	g.refill(v, now)
	return v
}

func (g *gate) refill(v *visitor, now time.Time) {
	v.tokens = min(g.limits.Burst, v.tokens+g.limits.Rate*now.Sub(v.seen).Seconds())
	v.seen = now
}

// forget drops peers without requests inside whose tokens are full again. The caller holds g.mu.
func (g *gate) forget(now time.Time) {
	for id, v := range g.peers {
		if g.refill(v, now); v.requests == 0 && v.tokens >= g.limits.Burst {
			delete(g.peers, id)
		}
	}
}

func (g *gate) leave(from peer.ID, bytes int64) {
	bytes = min(bytes, g.limits.BytesPerPeer)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.now.add(-1, -bytes)
	g.peers[from].add(-1, -bytes)
}

func (l *load) add(requests int, bytes int64) {
	l.requests += requests
	l.bytes += bytes
}

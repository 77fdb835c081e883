package p2p

import (
	"math"
	"sync"

	"github.com/libp2p/go-libp2p/core/peer"
)

// class tells for whom a peer is admitted. A part of the room is kept for each class, so that none starves another.
type class int

const (
	stranger class = iota // nothing is known of it
	payer                 // presented a valid upload token lately
	member                // protected
	classes
)

// origin tells where a peer belongs. The peers of a group together get at most half of what is free for their class, so
// that many identities gain no more than a few. Nil: no group, no limit.
type origin struct {
	class class
	group any // a stranger's network (netip.Prefix), a payer's account (Account)
}

// gate admits requests up to a number of requests and of bytes in flight, in all and for each class, group and peer. It
// never waits.
//
// A peer with a request inside gets at most a quarter of the free room. So dozens of greedy peers, not four, are needed
// to leave no room for the next. Shared-buffer switches call this dynamic thresholds.
type gate struct {
	all, perPeer load          // limits; constant, as the next two
	kept         [classes]load // of all, for each class alone
	origin       func(peer.ID) origin

	mu     sync.Mutex
	now    [classes]load      // guarded by mu
	peers  map[peer.ID]*guest // guarded by mu; only peers with a request inside
	groups map[any]*load      // guarded by mu; only groups with a request inside
}

// load measures admitted work.
type load struct {
	requests int
	bytes    int64
}

// guest holds the admitted requests of one peer. The peer keeps the class that it had when the first was admitted.
type guest struct {
	load
	origin
}

// newGate makes a gate for requests. It keeps a quarter of the room for members, and an eighth each for payers and
// strangers.
func newGate(l Limits, from func(peer.ID) origin) *gate {
	all := load{l.Requests, l.Bytes}
	return &gate{
		all: all, perPeer: load{l.RequestsPerPeer, l.BytesPerPeer},
		kept:   [classes]load{stranger: all.part(8), payer: all.part(8), member: all.part(4)},
		origin: from, peers: map[peer.ID]*guest{}, groups: map[any]*load{},
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
		mine = &guest{origin: g.origin(from)}
	}
	if !g.fits(mine, cost) {
		return false
	}
	g.peers[from] = mine
	mine.add(1, cost)
	g.now[mine.class].add(1, cost)
	if mine.group != nil {
		if g.groups[mine.group] == nil {
			g.groups[mine.group] = new(load)
		}
		g.groups[mine.group].add(1, cost)
	}
	return true
}

// fits reports whether there is room for one more request of a peer. g.mu is held.
func (g *gate) fits(mine *guest, cost int64) bool {
	free := g.free(mine.class)
	if group := g.groups[mine.group]; group != nil && !group.fits(free.part(2), cost) {
		return false
	}
	share := free.part(4)
	share = load{min(g.perPeer.requests, share.requests), min(g.perPeer.bytes, share.bytes)}
	return new(load).fits(free, cost) && (mine.requests == 0 || mine.fits(share, cost))
}

// free returns the room that a class may take: of what is left, all but what is kept for the other classes. g.mu is
// held.
func (g *gate) free(c class) load {
	free := g.all
	for other := range classes {
		used := g.now[other]
		if other != c {
			used = load{max(used.requests, g.kept[other].requests), max(used.bytes, g.kept[other].bytes)}
		}
		free.add(-used.requests, -used.bytes)
	}
	return free
}

func (g *gate) leave(from peer.ID, cost int64) {
	cost = min(cost, g.perPeer.bytes)
	g.mu.Lock()
	defer g.mu.Unlock()
	mine := g.peers[from]
	mine.add(-1, -cost)
	g.now[mine.class].add(-1, -cost)
	if mine.requests == 0 {
		delete(g.peers, from)
	}
	if group := g.groups[mine.group]; group != nil {
		if group.add(-1, -cost); group.requests == 0 {
			delete(g.groups, mine.group)
		}
	}
}

func (l *load) add(requests int, bytes int64) {
	l.requests += requests
	l.bytes += bytes
}

func (l *load) fits(most load, cost int64) bool {
	return l.requests < most.requests && l.bytes+cost <= most.bytes
}

// part returns the n-th part of a load.
func (l load) part(n int) load { return load{l.requests / n, l.bytes / int64(n)} }

// newStreamGate returns the gate for the streams of all protocols that strangers and payers open. An eighth of the
// memory is always left to the streams of members: the first windows of the others' streams take at most three eighths,
// and libp2p lets windows grow only while half is free. A sixth of the others' streams is kept for payers, and another
// for strangers.
func newStreamGate(l Limits, from func(peer.ID) origin) *gate {
	all := load{max(int(l.Memory/8*3/streamMemory), 1), math.MaxInt64}
	few := load{all.requests / 6, 0}
	return &gate{
		all: all, perPeer: load{math.MaxInt, math.MaxInt64}, kept: [classes]load{stranger: few, payer: few},
		origin: from, peers: map[peer.ID]*guest{}, groups: map[any]*load{},
	}
}

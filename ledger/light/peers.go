package light

import (
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

// book records the behavior of nodes: which are quick, fail, or have lied.
type book struct {
	mu    sync.Mutex
	nodes map[peer.ID]*conduct // guarded by mu
}

// conduct is the record of one node.
type conduct struct {
	trip   time.Duration // usual time of a request, smoothed; 0 before the first
	fails  int           // in a row
	failed time.Time     // time of the last failure
	lie    *Lie          // nil if it has not lied
	lied   time.Time
}

const (
	// maxBackoff bounds the time for which a failing node is asked only after all others.
	maxBackoff = time.Minute
	// maxNodes bounds the book, because committees come and go.
	maxNodes = 8192
)

func newBook() *book { return &book{nodes: make(map[peer.ID]*conduct)} }

// order sorts nodes for asking: the quickest first, then those never asked in the given order, then the failing ones.
// Liars are left out; their lies are returned.
func (b *book) order(ids []peer.ID, now time.Time) (order []peer.ID, lies []error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	rank := make(map[peer.ID]time.Duration, len(ids))
	for _, id := range ids {
		if _, twice := rank[id]; twice {
			continue
		}
		n := b.nodes[id]
		switch {
		case n == nil:
			rank[id] = unknownRank
		case n.lie != nil && now.Sub(n.lied) < liarTime:
			rank[id] = 0
			lies = append(lies, n.lie)
			continue
		case n.fails > 0 && now.Sub(n.failed) < min(maxBackoff, time.Second<<min(n.fails, 10)):
			rank[id] = failingRank + time.Duration(n.fails)
		case n.trip == 0:
			rank[id] = unknownRank
		default:
			rank[id] = min(n.trip, unknownRank-1)
		}
		order = append(order, id)
	}
	slices.SortStableFunc(order, func(x, y peer.ID) int { return int(rank[x] - rank[y]) })
	return order, lies
}

// Ranks of nodes without a usual time.
const (
	unknownRank = time.Minute
	failingRank = time.Hour
)

// usual returns the usual time of a request to a node; 0 before the first.
func (b *book) usual(id peer.ID) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	if n := b.nodes[id]; n != nil {
		return n.trip
	}
	return 0
}

// entry finds or creates the entry of a node. The caller holds b.mu.
func (b *book) entry(id peer.ID) *conduct {
	n := b.nodes[id]
	if n == nil {
		if len(b.nodes) >= maxNodes {
			clear(b.nodes) // liars too: they will be caught again
		}
		n = new(conduct)
		b.nodes[id] = n
	}
	return n
}

// answered records an answer after trip.
func (b *book) answered(id peer.ID, trip time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := b.entry(id)
	n.fails = 0
	n.took(trip)
}

// slow records a request abandoned without an answer after trip.
func (b *book) slow(id peer.ID, trip time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if n := b.entry(id); trip > n.trip {
		n.took(trip)
	}
}

func (n *conduct) took(trip time.Duration) {
	if n.trip == 0 {
		n.trip = max(trip, 1)
		return
	}
	n.trip += (trip - n.trip) / 4
}

func (b *book) failed(id peer.ID, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := b.entry(id)
	n.fails++
	n.failed = now
}

func (b *book) lied(lie *Lie, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := b.entry(lie.Node)
	n.lie, n.lied = lie, now
}

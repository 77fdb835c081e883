package p2p

import (
	"math"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

const (
	// replayAllowance is the number of replays that cost a peer nothing: a node that was cut off may pass some on.
	replayAllowance = 20
	// replayHalfLife halves the count of a peer's replays.
	replayHalfLife = 10 * time.Minute
	// maxConducts bounds the peers whose replays are counted, 100 bytes each.
	maxConducts = 4096
	// memberScore is the score that protected peers begin with, so that the mesh prefers them.
	memberScore = 40
)

// conduct counts the replays that peers passed on.
type conduct struct {
	mu      sync.Mutex
	replays map[peer.ID]replays // guarded by mu
}

// replays is a count that decays.
type replays struct {
	count float64
	at    time.Time
}

// now returns the count at a later time.
func (r replays) now(at time.Time) float64 {
	return r.count * halved(at.Sub(r.at), replayHalfLife)
}

// halved returns what is left of 1 after a time, if each halfLife leaves half of it.
func halved(after, halfLife time.Duration) float64 {
	return math.Exp2(-float64(after) / float64(halfLife))
}

// replayed counts one replay that a peer passed on.
func (c *conduct) replayed(id peer.ID) {
	now := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.replays == nil {
		c.replays = make(map[peer.ID]replays)
	}
	if _, known := c.replays[id]; !known && len(c.replays) >= maxConducts {
		c.prune(now)
	}
	c.replays[id] = replays{c.replays[id].now(now) + 1, now}
}

// prune forgets the peers with the fewest replays: all below the allowance, or else the least one. c.mu is held.
func (c *conduct) prune(now time.Time) {
	least, fewest := peer.ID(""), math.Inf(1)
	for id, r := range c.replays {
		switch n := r.now(now); {
		case n < replayAllowance:
			delete(c.replays, id)
		case n < fewest:
			least, fewest = id, n
		}
	}
	if len(c.replays) >= maxConducts {
		delete(c.replays, least)
	}
}

// score returns the score for a peer's replays: -k² for k of them beyond the allowance.
func (c *conduct) score(id peer.ID) float64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	beyond := max(c.replays[id].now(time.Now())-replayAllowance, 0)
	return -beyond * beyond
}

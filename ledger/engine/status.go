package engine

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/cometbft/cometbft/types"
	"github.com/libp2p/go-libp2p/core/peer"
)

// Status is how the ledger is, as this node sees it.
type Status struct {
	Height     uint64 // of the last block here
	Time       time.Time
	CatchingUp bool // others have blocks that this node has not
	Validators []MemberStatus
	Follower   bool   // this node has no vote: it is connected with some validators only
	Stalled    string // why no block comes, a sentence for people; empty when all is well
}

// MemberStatus is how a member of the committee that votes is, as this node sees it.
type MemberStatus struct {
	Node      peer.ID
	Name      string
	Shards    int    // its votes
	Reachable bool   // connected to this node for consensus; true for the node itself
	Other     string // which other chain it said that it runs, for people; empty if none
}

// Shards are those of the validators that are reachable, and of all.
func (s *Status) Shards() (reachable, total int) {
	for _, m := range s.Validators {
		total += m.Shards
		if m.Reachable {
			reachable += m.Shards
		}
	}
	return reachable, total
}

// quorum is how many of total votes decide: more than two thirds.
func quorum(total int) int { return total*2/3 + 1 }

const (
	// stallGrace is how long there must be neither a block nor enough reachable members before that is worth a word:
	// connections come and go.
	stallGrace = 2 * time.Second
	// stallPatience is how much later than it should a block may come when enough members are reachable.
	stallPatience = 10 * time.Second
	// lag is how many blocks behind others a node is that does no more than run after them.
	lag = 3
)

// enough says whether there are blocks to be expected, from as many members as are reachable.
func (s *Status) enough() bool {
	have, total := s.Shards()
	return have >= quorum(total) || s.Follower && have > 0
}

// stalled says why no block has come for a while, empty if one is not overdue. lost is for how long too few members have
// been reachable, frozen for how long before that this process did not run.
func (s *Status) stalled(since, lost, frozen, heartbeat time.Duration) string {
	if frozen > 0 && since < stallPatience {
		return fmt.Sprintf("this node did not run for %d s, because it was stopped or its machine slept: it catches up from height %d",
			int(frozen.Seconds()), s.Height)
	}
	have, total := s.Shards()
	need := quorum(total)
	enough := have >= need
	patience := heartbeat + stallPatience
	if !s.enough() { // a quiet ledger stands still from when it could not go on
		since, patience = min(since, lost), stallGrace
	}
	if since < patience {
		return ""
	}
	text := fmt.Sprintf("ledger stands still at height %d since %d s: ", s.Height, int(since.Seconds()))
	if s.Follower {
		if have == 0 {
			return text + "no validator is reachable"
		}
		return text + "no block comes from " + s.names(true)
	}
	text += fmt.Sprintf("%d of %d shards are reachable", have, total)
	if enough {
		return text + ", which is enough: waiting for them to agree on a block"
	}
	return fmt.Sprintf("%s, %d needed; not reachable: %s", text, need, s.names(false))
}

// names are those of the validators that are reachable, or of those that are not.
func (s *Status) names(reachable bool) string {
	var names []string
	for _, m := range s.Validators {
		if m.Reachable == reachable {
			name := m.Name
			if m.Other != "" {
				name += " (has " + m.Other + ")"
			}
			names = append(names, name)
		}
	}
	const most = 10
	if more := len(names) - most; more > 0 {
		names = append(names[:most], fmt.Sprintf("%d more", more))
	}
	return strings.Join(names, ", ")
}

// committed notes that a block was committed here.
func (c *chain) committed(height int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.height, c.heightAt, c.frozen = height, time.Now(), 0
}

// frozenFrom is for how long nobody may have looked at a chain, every stallGrace or oftener, until that means that the process
// was stopped, or that its machine slept.
const frozenFrom = 4 * stallGrace

// seen notes that the process runs. What passed while it did not is not time in which a block could have come. c.mu is held.
func (c *chain) seen(now time.Time) {
	if gap := now.Sub(c.alive); gap >= frozenFrom && !c.alive.IsZero() {
		c.frozen, c.heightAt, c.enoughAt = gap, now, now
	}
	c.alive = now
}

// lost is for how long too few members have been reachable, as far as anybody looked; enough says whether they are now.
func (c *chain) lost(enough bool) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	if enough {
		c.enoughAt = time.Now()
	}
	return time.Since(c.enoughAt)
}

// status fills in all but the block's time.
func (c *chain) status() Status {
	c.mu.Lock()
	if !c.alive.IsZero() {
		c.seen(time.Now())
	}
	height, since, frozen := c.height, time.Since(c.heightAt), c.frozen
	c.mu.Unlock()
	s := Status{Height: uint64(height), Follower: !c.sw.votes, CatchingUp: c.catchingUp() || c.othersAt() >= height+lag}
	for _, m := range c.cfg.members {
		if !m.votes() {
			continue
		}
		self := m.id == c.cfg.host.ID()
		s.Validators = append(s.Validators, MemberStatus{m.id, m.name, int(m.shares), self || c.sw.peer(m.id) != nil, c.sw.other(m.id)})
	}
	s.Stalled = s.stalled(since, c.lost(s.enough()), frozen, c.cfg.heartbeat)
	return s
}

// othersAt is the height that members with more than a third of the votes say they have: one that does not lie, at least.
func (c *chain) othersAt() int64 {
	type claim struct{ height, shares int64 }
	var claims []claim
	var total, sum int64
	for _, m := range c.cfg.members {
		if !m.votes() {
			continue
		}
		p := c.sw.peer(m.id)
		if p != nil || c.sw.votes { // a follower is content with those it follows
			total += m.shares
		}
		if p == nil {
			continue
		}
		if state, ok := p.Get(types.PeerStateKey).(interface{ GetHeight() int64 }); ok {
			claims = append(claims, claim{state.GetHeight() - 1, m.shares}) // it says at which it works
		}
	}
	slices.SortFunc(claims, func(a, b claim) int { return int(b.height - a.height) })
	for _, c := range claims {
		if sum += c.shares; 3*sum > total {
			return c.height
		}
	}
	return 0
}

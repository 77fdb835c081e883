package engine

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/cometbft/cometbft/types"
	"github.com/libp2p/go-libp2p/core/peer"

	"walrus/ledger/light"
)

// Status describes the condition of the ledger as this node sees it.
type Status struct {
	Height     uint64 // of the last block here
	Time       time.Time
	CatchingUp bool // others have blocks that this node lacks
	Validators []MemberStatus
	Follower   bool // without a vote, connected to some validators only
	// Kept is the first height from which on blocks, receipts and histories are kept, and KeptSince its time; zero before
	// the first block here.
	Kept      uint64
	KeptSince time.Time
	Room      Room      // of the ledger's disk
	Offences  []Offence // the newest proven double signing, newest last
	Stalled   string    // a sentence for people, why no block comes; empty when all is well
}

// MemberStatus describes a voting member of the committee as this node sees it.
type MemberStatus struct {
	Node      peer.ID
	Name      string
	Shards    int    // its votes
	Reachable bool   // takes part in consensus, as far as this node knows; true for the node itself
	Other     string // the other chain that it reported, for people; empty if none
}

// Shards returns the shards of the reachable validators, and of all validators.
func (s *Status) Shards() (reachable, total int) {
	for _, m := range s.Validators {
		total += m.Shards
		if m.Reachable {
			reachable += m.Shards
		}
	}
	return reachable, total
}

// quorum returns the number of votes that decide: more than two thirds of total.
func quorum(total int) int { return total*2/3 + 1 }

const (
	// stallGrace: a stall is reported once there has been neither a block nor enough reachable members for this long.
	// Connections come and go.
	stallGrace = 2 * time.Second
	// stallPatience is the delay of a block, with enough members reachable, after which a stall is reported.
	stallPatience = 10 * time.Second
	// lag: a node this many blocks behind others counts as catching up.
	lag = 3
)

// enough reports whether the reachable members suffice for new blocks.
func (s *Status) enough() bool {
	have, total := s.Shards()
	return have >= quorum(total) || s.Follower && have > 0
}

// stalled explains why no block has come for a while; empty if none is overdue. since is the time without a block,
// lost the time with too few members reachable, frozen the pause of this process before that, and due the wait for a
// block without transactions.
func (s *Status) stalled(since, lost, frozen, due time.Duration) string {
	if frozen > 0 && since < stallPatience {
		return fmt.Sprintf("this node was paused for %s, or its machine was asleep: catching up from height %d",
			light.DurationText(frozen), s.Height)
	}
	have, total := s.Shards()
	need := quorum(total)
	enough := have >= need
	patience := due + stallPatience
	if !s.enough() { // a quiet ledger counts as stalled only once too few are reachable
		since, patience = min(since, lost), stallGrace
	}
	if since < patience {
		return ""
	}
	text := fmt.Sprintf("ledger stalled for %s at height %d: ", light.DurationText(since), s.Height)
	if s.Follower {
		if have == 0 {
			return text + "no validator is reachable"
		}
		return text + "no block from " + s.names(true)
	}
	text += fmt.Sprintf("%d of %d shards are reachable", have, total)
	if enough {
		return text + ", enough for a block: waiting for them to agree on one"
	}
	return fmt.Sprintf("%s, %d needed; not reachable: %s", text, need, s.names(false))
}

// names lists the reachable validators, or the unreachable validators.
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

// committed records that a block was committed here.
func (c *chain) committed(height int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.height, c.heightAt, c.frozen = height, time.Now(), 0
	c.sw.voices.begin(height + 1)
}

// late reports whether a block is due that does not come.
func (c *chain) late() bool {
	c.mu.Lock()
	since, due := time.Since(c.heightAt), c.due
	c.mu.Unlock()
	return !c.catchingUp() && (since >= due+stallPatience || c.sw.voices.under(time.Now()) >= stallPatience)
}

// frozenFrom: the chain is watched at least every stallGrace. A gap this long means that the process was stopped or
// its machine slept.
const frozenFrom = 4 * stallGrace

// seen records that the process is running. After a gap it restarts the stall timers: no block could have come in it.
// The caller holds c.mu.
func (c *chain) seen(now time.Time) {
	if gap := now.Sub(c.alive); gap >= frozenFrom && !c.alive.IsZero() {
		c.frozen, c.heightAt, c.enoughAt = gap, now, now
	}
	c.alive = now
}

// lost returns for how long too few members have been reachable. enough reports whether they suffice now.
func (c *chain) lost(enough bool) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	if enough {
		c.enoughAt = time.Now()
	}
	return time.Since(c.enoughAt)
}

// status returns the status without the block's time.
func (c *chain) status() Status {
	c.mu.Lock()
	if !c.alive.IsZero() {
		c.seen(time.Now())
	}
	height, since, frozen, due := c.height, time.Since(c.heightAt), c.frozen, c.due
	c.mu.Unlock()
	s := Status{Height: uint64(height), Follower: !c.sw.votes, CatchingUp: c.catchingUp() || c.othersAt() >= height+lag}
	for _, m := range c.cfg.members {
		if !m.votes() {
			continue
		}
		self := m.id == c.cfg.host.ID()
		s.Validators = append(s.Validators, MemberStatus{m.id, m.name, int(m.shares), self ||
			c.sw.peer(m.id) != nil || c.sw.links[m.id].distant() && !c.sw.voices.silent(&m, time.Now()), c.sw.other(m.id)})
	}
	s.Offences = c.offences.newest()
	s.Stalled = s.stalled(since, c.lost(s.enough()), frozen, due)
	return s
}

// othersAt returns the height that members with more than a third of the votes claim, one honest member among them.
func (c *chain) othersAt() int64 {
	type claim struct{ height, shares int64 }
	var claims []claim
	var total, sum int64
	for _, m := range c.cfg.members {
		if !m.votes() {
			continue
		}
		p := c.sw.peer(m.id)
		if p != nil || c.sw.votes && !c.sw.links[m.id].distant() { // a follower counts only the validators it follows
			total += m.shares
		}
		if p == nil {
			continue
		}
		if state, ok := p.Get(types.PeerStateKey).(interface{ GetHeight() int64 }); ok {
			claims = append(claims, claim{state.GetHeight() - 1, m.shares}) // it claims the height it is working at
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

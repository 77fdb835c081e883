package client

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/libp2p/go-libp2p/core/peer"

	"walrus/certs"
	"walrus/p2p"
)

// Rounds tells what single nodes have heard from monitors. p2p.Rounds implements it; errors wrap the sentinels of p2p.
type Rounds interface {
	Scores(ctx context.Context, to peer.ID) (p2p.Scores, error)
}

// Seen sums up what monitors saw of a node, as the other nodes have heard it. The zero Seen: nothing.
type Seen struct {
	// Known: nodes with at least f+1 shards have heard of the node lately, so one of them is honest.
	Known bool
	// Outcome of the last round: ok, slow, missing, wrong, timeout or unreachable. It has the most weight among those who
	// agree with the majority on whether it is good.
	Outcome string
	// Durability, Reachability and Speed are medians by shards, 0 to 100; −1 if unknown.
	Durability, Reachability, Speed int
	// Monitors that asked the node in the last round.
	Monitors int
}

// outcomes names the outcomes of a round, in the order of their numbers on the wire.
var outcomes = []string{"", "ok", "slow", "missing", "wrong", "timeout", "unreachable"}

// Bad reports whether monitors saw the node fail in the last round.
func (s *Seen) Bad() bool { return s.Known && s.Outcome != "ok" && s.Outcome != "slow" }

// why describes a failure that monitors saw.
func (s *Seen) why() string {
	switch s.Outcome {
	case "missing":
		return "lacks slivers, as monitors saw"
	case "wrong":
		return "gave wrong bytes, as monitors saw"
	case "timeout":
		return "does not answer monitors"
	}
	return "is not reached by monitors"
}

// weighed is an answer with the shards of the node that gave it.
type weighed struct{ value, shards int }

// median returns the value at which half of the weight lies on either side, the lower one in doubt; −1 without values.
func median(list []weighed) int {
	slices.SortFunc(list, func(a, b weighed) int { return a.value - b.value })
	total := 0
	for _, w := range list {
		total += w.shards
	}
	sum := 0
	for _, w := range list {
		if sum += w.shards; 2*sum >= total {
			return w.value
		}
	}
	return -1
}

// merge concludes from what members have heard what monitors saw of each. What a node says of itself does not count.
// answers has the members' answers by committee index, nil for those without. So nodes with less than half of the
// shards that answer cannot change a result, and fewer than f+1 shards make none.
func merge(com *certs.Committee, answers []*p2p.Scores) []Seen {
	members := com.Members()
	out := make([]Seen, len(members))
	for i := range members {
		var lines [3][]weighed
		var votes [7]int // shards, by outcome
		heard, monitors := 0, []weighed{}
		for j, a := range answers {
			if j == i || a == nil || a.Epoch != com.Epoch() || len(a.Members) != len(members) {
				continue
			}
			s, shards := &a.Members[i], len(members[j].Shards)
			if s.Outcome == 0 {
				continue
			}
			heard += shards
			votes[s.Outcome] += shards
			monitors = append(monitors, weighed{int(s.Monitors), shards})
			for k, v := range []uint8{s.Durability, s.Reachability, s.Speed} {
				if v != p2p.UnknownScore {
					lines[k] = append(lines[k], weighed{int(v), shards})
				}
			}
		}
		if heard < com.OneHonest() {
			continue
		}
		out[i] = Seen{
			Known: true, Outcome: outcomes[verdict(votes)], Durability: median(lines[0]), Reachability: median(lines[1]),
			Speed: median(lines[2]), Monitors: max(0, median(monitors)),
		}
	}
	return out
}

// verdict returns the outcome with the most weight among the good ones, or among the bad ones if those have more than
// half.
func verdict(votes [7]int) (best int) {
	good := votes[1] + votes[2]
	bad := votes[3] + votes[4] + votes[5] + votes[6]
	from, to := 1, 3
	if bad > good {
		from, to = 3, 7
	}
	best = from
	for o := from; o < to; o++ {
		if votes[o] > votes[best] {
			best = o
		}
	}
	return best
}

// believe adds what monitors saw to what nodes say of themselves.
func (h *Health) believe(com *certs.Committee, answers []*p2p.Scores) {
	for i, s := range merge(com, answers) {
		n := &h.Nodes[i]
		n.Seen = s
		h.Monitored = h.Monitored || s.Known
		switch {
		case !s.Known:
		case s.Bad():
			n.Why = strings.TrimPrefix(n.Why+", "+s.why(), ", ")
		case !n.Reachable:
			n.Why += fmt.Sprintf("; monitors reach it (%s): look at this machine's network", s.Outcome)
		}
	}
}

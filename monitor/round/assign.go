package round

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"math/bits"
	"slices"

	"golang.org/x/crypto/blake2b"
)

const (
	// AllPairs: with at most so many monitors with weight, everybody probes everybody: a hostile minority is none
	// anywhere. 100 probers cost a node some 300 KB in a round.
	AllPairs = 100
	// Probers: if there are more, so many probe a node in a round. If 20 % of the weight is hostile, the chance of a
	// hostile majority among them is 9e-5.
	Probers = 31
	// MaxWeight bounds the weight of one monitor.
	MaxWeight = 1 << 40
)

// Monitor is a peer that attests, with its weight in the scores.
type Monitor struct {
	Key    Key
	Weight uint64 // 0: shown, not counted; at most MaxWeight
}

// Vote is one prober's part in the verdict on a node.
type Vote struct {
	Monitor int    // index in Assignment.Monitors
	Weight  uint64 // at least the monitor's own weight
}

// Assignment tells who probes whom in one round.
//
// Each pair of monitor and node has a uniform draw u from the seed, and the priority weight/u. The first 31 by priority
// probe the node: rendezvous hashing by weight. The vote of a prober weighs max(weight, priority of the 32nd): with it
// the sum of the votes of any set of monitors is, on average, its weight (priority sampling, Duffield, Lund and Thorup
// 2007). With at most AllPairs monitors everybody probes everybody, and votes weigh what their monitors do. Integers
// only, so all machines agree.
type Assignment struct {
	Monitors []Monitor // with weight, by key
	Nodes    []Key     // the committee, by index

	seed  Seed
	votes [][]Vote
}

// Assign decides who probes whom. Monitors without weight, or with more than MaxWeight, take no part; of monitors with
// the same key the first one does. nodes is the committee by index; nobody probes himself. It costs about 0.1 µs for
// each pair.
func Assign(seed Seed, monitors []Monitor, nodes []Key) *Assignment {
	a := &Assignment{Nodes: nodes, seed: seed, votes: make([][]Vote, len(nodes))}
	for _, m := range monitors {
		if m.Weight > 0 && m.Weight <= MaxWeight {
			a.Monitors = append(a.Monitors, m)
		}
	}
	slices.SortStableFunc(a.Monitors, func(x, y Monitor) int { return bytes.Compare(x.Key[:], y.Key[:]) })
	a.Monitors = slices.CompactFunc(a.Monitors, func(x, y Monitor) bool { return x.Key == y.Key })

	// one hash for eight nodes: a group of them at a time
	all := make([]candidate, 0, len(a.Monitors))
	for first := 0; first < len(nodes); first += perHash {
		draws := make([][perHash]uint64, len(a.Monitors))
		for j := range a.Monitors {
			draws[j] = draw(seed, a.Monitors[j].Key, first/perHash)
		}
		for i := first; i < min(first+perHash, len(nodes)); i++ {
			all = all[:0]
			for j, m := range a.Monitors {
				if m.Key != nodes[i] {
					all = append(all, candidate{j, m.Weight, draws[j][i-first]})
				}
			}
			a.votes[i] = elect(all)
		}
	}
	return a
}

// Probers returns the votes on a node, by index in the committee, in the order of Monitors.
func (a *Assignment) Probers(node int) []Vote { return a.votes[node] }

// NodesOf returns the indexes of the nodes that a monitor probes, ascending. A monitor without weight probes the
// StrangerNodes nodes with its smallest draws. No monitor probes more than MaxAnswers nodes: of more, those with its
// smallest draws.
func (a *Assignment) NodesOf(monitor Key) (nodes []int) {
	limit := StrangerNodes
	at, weighs := slices.BinarySearchFunc(a.Monitors, monitor, func(m Monitor, k Key) int {
		return bytes.Compare(m.Key[:], k[:])
	})
	for i := range a.Nodes {
		if a.Nodes[i] == monitor {
			continue
		}
		if !weighs || slices.ContainsFunc(a.votes[i], func(v Vote) bool { return v.Monitor == at }) {
			nodes = append(nodes, i)
		}
	}
	if weighs {
		limit = MaxAnswers
	}
	if len(nodes) > limit {
		u := make(map[int]uint64, len(nodes))
		for _, i := range nodes {
			u[i] = draw(a.seed, monitor, i/perHash)[i%perHash]
		}
		slices.SortStableFunc(nodes, func(x, y int) int { return cmp.Compare(u[x], u[y]) })
		nodes = nodes[:limit]
		slices.Sort(nodes)
	}
	return nodes
}

// candidate is a monitor that may probe the node in question.
type candidate struct {
	monitor int
	weight  uint64
	u       uint64 // 1 to 2^64−1
}

// compare puts the greater priority weight/u first, without rounding.
func (c candidate) compare(d candidate) int {
	h, l := bits.Mul64(c.weight, d.u)
	h2, l2 := bits.Mul64(d.weight, c.u)
	return cmp.Or(cmp.Compare(h2, h), cmp.Compare(l2, l), cmp.Compare(c.monitor, d.monitor))
}

// elect returns the votes of all, or of the first 31 by priority if they are too many.
func elect(all []candidate) []Vote {
	var floor uint64
	if len(all) > AllPairs {
		slices.SortFunc(all, candidate.compare)
		floor = all[Probers].priority()
		all = all[:Probers]
	}
	votes := make([]Vote, len(all))
	for i, c := range all {
		votes[i] = Vote{c.monitor, max(c.weight, floor)}
	}
	slices.SortFunc(votes, func(x, y Vote) int { return cmp.Compare(x.Monitor, y.Monitor) })
	return votes
}

// priority is weight/u with u in (0, 1], at most 2^56.
func (c candidate) priority() uint64 {
	if c.weight >= c.u {
		return maxPriority
	}
	q, _ := bits.Div64(c.weight, 0, c.u)
	return min(q, maxPriority)
}

// maxPriority: 31 votes of it add up to less than 2^61.
const maxPriority = 1 << 56

// perHash draws come out of one hash.
const perHash = 8

const drawDomain = "walrus monitor draw 1\x00"

// draw returns a monitor's draws for the nodes 8·group to 8·group+7: BLAKE2b-512 over domain ‖ seed ‖ key ‖ group u32,
// each eight bytes a number; 0 counts as 1.
func draw(seed Seed, monitor Key, group int) (u [perHash]uint64) {
	var b [len(drawDomain) + 68]byte
	n := copy(b[:], drawDomain)
	n += copy(b[n:], seed[:])
	n += copy(b[n:], monitor[:])
	binary.LittleEndian.PutUint32(b[n:], uint32(group))
	h := blake2b.Sum512(b[:])
	for i := range u {
		u[i] = max(binary.LittleEndian.Uint64(h[8*i:]), 1)
	}
	return u
}

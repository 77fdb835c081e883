package score

import (
	"bytes"
	"cmp"
	"math/bits"
	"slices"

	"walrus/monitor/round"
)

const (
	// ShardWeight is the weight of one shard.
	ShardWeight = 1 << 20
	// OutsidersPart: outsiders together weigh at most a third of what members weigh, which is a quarter of all.
	OutsidersPart = 3
	// OutsiderPart: an outsider, and all outsiders of one network together, weigh at most 1/50 of what members weigh:
	// less than 2 % of all.
	OutsiderPart = 50
	// MaxOutsiders: only so many outsiders have weight, those with the greatest bonds.
	MaxOutsiders = 256
)

// Member of the committee.
type Member struct {
	Key    round.Key
	Shards int
}

// Bond of a monitor outside of the committee.
type Bond struct {
	Key    round.Key
	Amount uint64
	// Network from which the observer has seen the monitor connect: a /24 of IPv4, a /32 of IPv6, as
	// internal/ipgroup.Block has it. All whose network is not known, with "", are one network.
	Network string
}

// Weights decides who is believed how much. Members weigh their shards. Outsiders share what OutsidersPart allows, in
// proportion to their bonds, and none gets more than OutsiderPart allows, alone or with others of its network: what the
// limit takes from one goes to the others, as far as it may (water-filling). A member's key has no weight for a bond.
// Monitors without weight are left out. The result is sorted by key.
//
// Exactly, with M for the weight of members: the bonds of one network are added up. Networks in descending order of
// that sum S get min(M/50, R·S/T), where R is what is left of M/3 and T the sum of those not served yet. Within a
// network the part is divided by bond. All divisions round down.
func Weights(members []Member, bonds []Bond) []round.Monitor {
	var out []round.Monitor
	var whole uint64
	inside := map[round.Key]bool{}
	for _, m := range members {
		inside[m.Key] = true
		if w := uint64(max(m.Shards, 0)) * ShardWeight; w > 0 && w <= round.MaxWeight {
			out = append(out, round.Monitor{Key: m.Key, Weight: w})
			whole += w
		}
	}
	for _, n := range networksOf(bonds, inside, whole) {
		for _, b := range n.bonds {
			if w := share(n.weight, b.Amount, n.sum); w > 0 {
				out = append(out, round.Monitor{Key: b.Key, Weight: w})
			}
		}
	}
	slices.SortFunc(out, func(a, b round.Monitor) int { return bytes.Compare(a.Key[:], b.Key[:]) })
	return out
}

// network is a group of outsiders that share one limit.
type network struct {
	name        string
	bonds       []Bond
	sum, weight uint64
}

// networksOf groups the greatest bonds by network and gives each its weight.
func networksOf(bonds []Bond, inside map[round.Key]bool, whole uint64) []*network {
	sorted := slices.DeleteFunc(slices.Clone(bonds), func(b Bond) bool { return inside[b.Key] || b.Amount == 0 })
	slices.SortFunc(sorted, func(a, b Bond) int {
		return cmp.Or(cmp.Compare(b.Amount, a.Amount), bytes.Compare(a.Key[:], b.Key[:]), cmp.Compare(a.Network, b.Network))
	})
	seen := map[round.Key]bool{}
	byName := map[string]*network{}
	var all []*network
	var total uint64
	for _, b := range sorted {
		b.Amount = min(b.Amount, maxBond)
		if seen[b.Key] || len(seen) == MaxOutsiders {
			continue
		}
		seen[b.Key] = true
		n := byName[b.Network]
		if n == nil {
			n = &network{name: b.Network}
			byName[b.Network] = n
			all = append(all, n)
		}
		n.bonds = append(n.bonds, b)
		n.sum += b.Amount
		total += b.Amount
	}
	slices.SortFunc(all, func(a, b *network) int {
		return cmp.Or(cmp.Compare(b.sum, a.sum), cmp.Compare(a.name, b.name))
	})
	left := whole / OutsidersPart
	for _, n := range all {
		n.weight = min(whole/OutsiderPart, share(left, n.sum, total))
		left -= n.weight
		total -= n.sum
	}
	return all
}

// maxBond keeps the sum of MaxOutsiders bonds below 2^64: 36 million WAL.
const maxBond = 1 << 55

// share returns w·part/whole, with part at most whole, rounded down.
func share(w, part, whole uint64) uint64 {
	if whole == 0 {
		return 0
	}
	hi, lo := bits.Mul64(w, part)
	q, _ := bits.Div64(hi, lo, whole)
	return q
}

package score

import (
	"cmp"
	"slices"
)

// Vote is a value with a weight. All weights of a list add up to less than 2^63.
type Vote struct {
	Value  uint32
	Weight uint64
}

// Median returns the weighted median: the value at which half of the weight lies on either side. If the half falls
// between two values it is their mean, rounded down. It is 0 without weight. Votes of less than half of the weight
// cannot move it out of the range of the others' values.
func Median(votes []Vote) uint32 {
	sorted := slices.Clone(votes)
	slices.SortFunc(sorted, func(a, b Vote) int { return cmp.Compare(a.Value, b.Value) })
	all := sum(sorted)
	var below uint64
	for i, v := range sorted {
		below += v.Weight
		if v.Weight == 0 || 2*below < all {
			continue
		}
		if 2*below > all {
			return v.Value
		}
		for _, next := range sorted[i+1:] {
			if next.Weight > 0 {
				return uint32((uint64(v.Value) + uint64(next.Value)) / 2)
			}
		}
		return v.Value
	}
	return 0
}

func sum(votes []Vote) (all uint64) {
	for _, v := range votes {
		all += v.Weight
	}
	return all
}

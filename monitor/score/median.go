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
	low, high := middle(votes)
	return uint32((uint64(low) + uint64(high)) / 2)
}

// middle returns the two values between which half of the weight lies on either side; mostly they are the same.
func middle(votes []Vote) (low, high uint32) {
	sorted := slices.DeleteFunc(slices.Clone(votes), func(v Vote) bool { return v.Weight == 0 })
	slices.SortFunc(sorted, func(a, b Vote) int { return cmp.Compare(a.Value, b.Value) })
	all := sum(sorted)
	var below uint64
	for i, v := range sorted {
		if below += v.Weight; 2*below < all {
			continue
		}
		if 2*below == all { // then there is another
			return v.Value, sorted[i+1].Value
		}
		return v.Value, v.Value
	}
	return 0, 0
}

func sum(votes []Vote) (all uint64) {
	for _, v := range votes {
		all += v.Weight
	}
	return all
}

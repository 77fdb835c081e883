package score

import (
	"cmp"
	"slices"
)

// Sample tells how many primary slivers of a blob answered rightly when a monitor rebuilt a column of it.
type Sample[Blob any] struct {
	Blob     Blob
	Answered int // of n slivers
	Round    uint64
}

// Redundancy counts samples by how much of the redundancy is left. A blob has n primary slivers and reading needs some
// of them: f+1 where n is 3f+1. Buckets[i] counts the samples in which at least i tenths of the others answered, and
// less than i+1 tenths. Lost counts those with too few to read.
type Redundancy struct {
	Lost    int
	Buckets [11]int // the last is complete
}

// Histogram sorts samples of blobs of n shards, of which need make a blob (shards.Params), into buckets. It returns up
// to limit of them, the nearest to loss first: those with the fewest answers; of equal ones the newest.
func Histogram[Blob any](samples []Sample[Blob], n, need, limit int) (h Redundancy, nearest []Sample[Blob]) {
	for _, s := range samples {
		switch {
		case s.Answered < need:
			h.Lost++
		case s.Answered >= n || n <= need:
			h.Buckets[10]++
		default:
			h.Buckets[10*(s.Answered-need)/(n-need)]++
		}
	}
	nearest = slices.Clone(samples)
	slices.SortStableFunc(nearest, func(a, b Sample[Blob]) int {
		return cmp.Or(cmp.Compare(a.Answered, b.Answered), cmp.Compare(b.Round, a.Round))
	})
	return h, nearest[:min(len(nearest), max(limit, 0))]
}

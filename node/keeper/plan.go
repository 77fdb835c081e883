package keeper

import (
	"slices"

	"walrus/shards"
	"walrus/store"
)

// target is a sliver to rebuild. Its index counts along its axis.
type target struct {
	store.Ref
	index int
}

// step lists slivers to rebuild together: each source is then asked once for all of them. All are of one axis, unless
// they are rebuilt from rows.
type step struct {
	way     way
	targets []target
	part    int64 // bytes of each symbol that are fetched at a time
}

// leastPart: long slivers are rebuilt together only as far as a part has this many bytes of each symbol.
const leastPart = 256 << 10

// repairOrder puts secondary slivers first. A secondary sliver needs symbols of only p rows, a primary of s columns,
// and our rebuilt secondaries count as such columns. So a node recovers even if more than f shards, its own included,
// are out of reach.
var repairOrder = []shards.Axis{shards.Secondary, shards.Primary}

// planRepair decides how the missing slivers of a blob are rebuilt: in the cheapest way, and in steps whose symbols fit
// in memory. Slivers too large for it are rebuilt part by part. So memory is bounded, whatever the size.
func planRepair(l lack, missing []store.Ref, memory int64) (plan []step) {
	var zeros, rest []target
	behind := l.params.Rows() - l.zeros // the first row of zeros
	for _, ref := range missing {
		t := target{ref, l.params.SliverOfPair(ref.Axis, l.params.PairOnShard(ref.Blob, ref.Shard))}
		if ref.Axis == shards.Primary && t.index >= behind && t.index < l.params.Rows() {
			zeros = append(zeros, t)
			l.primaries--
		} else {
			rest = append(rest, t)
		}
	}
	z := l.symbol()
	if len(zeros) > 0 {
		plan = append(plan, step{byZeros, zeros, z})
	}
	if len(rest) > 0 && l.cheapest(memory) == byRows {
		return append(plan, step{byRows, rest, wholeStrips(l, memory/l.encoded())})
	}
	return append(plan, planSymbols(l, rest, memory)...)
}

// planSymbols plans the steps for slivers that are rebuilt from symbols: secondaries before primaries.
func planSymbols(l lack, targets []target, memory int64) (plan []step) {
	for _, axis := range repairOrder {
		var along []target
		for _, t := range targets {
			if t.Axis == axis {
				along = append(along, t)
			}
		}
		sources := int64(l.params.SourceSymbols(axis))
		part, together := l.symbol(), memory/(sources*l.symbol())
		if together == 0 {
			together = max(1, memory/(sources*leastPart))
			part = wholeStrips(l, memory/(sources*min(together, int64(max(1, len(along))))))
		}
		for some := range slices.Chunk(along, int(together)) {
			plan = append(plan, step{bySymbols, some, part})
		}
	}
	return plan
}

// wholeStrips rounds a part of a symbol down to whole strips; it is one strip at least, and the symbol at most.
func wholeStrips(l lack, part int64) int64 {
	w := int64(l.params.StripWidth())
	return min(max(part/w*w, w), l.symbol())
}

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

// step lists slivers of one axis to rebuild together: each source is then asked once for all of them.
type step []target

// repairOrder puts secondary slivers first. A secondary sliver needs symbols of only p rows, a primary of s columns,
// and our rebuilt secondaries count as such columns. So a node recovers even if more than f shards, its own included,
// are out of reach.
var repairOrder = []shards.Axis{shards.Secondary, shards.Primary}

// planRepair decides how the missing slivers of a blob are rebuilt: secondaries before primaries, in steps that fit in
// memory. A step has at least one sliver, of any size. size returns the bytes of a sliver.
func planRepair(params shards.Params, missing []store.Ref, memory int64, size func(shards.Axis) int64) (plan []step) {
	for _, axis := range repairOrder {
		var targets step
		for _, ref := range missing {
			if ref.Axis == axis {
				targets = append(targets, target{ref, params.SliverOfPair(axis, params.PairOnShard(ref.Blob, ref.Shard))})
			}
		}
		plan = slices.AppendSeq(plan, slices.Chunk(targets, int(max(1, memory/size(axis)))))
	}
	return plan
}

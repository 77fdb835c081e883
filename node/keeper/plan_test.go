package keeper

import (
	"testing"

	"walrus/shards"
	"walrus/store"
)

// TestPlanRepair: every missing sliver is in one step, of one axis, secondaries first; a step fits in memory.
func TestPlanRepair(t *testing.T) {
	params, err := shards.NewParams(20)
	if err != nil {
		t.Fatal(err)
	}
	id := blob(1)
	var missing []store.Ref
	for shard := range 10 {
		for _, axis := range axes {
			missing = append(missing, store.Ref{Blob: id, Shard: shard, Axis: axis})
		}
	}
	for _, tt := range []struct {
		memory, size int64
		steps        int // along each axis
	}{{100, 10, 1}, {99, 10, 2}, {30, 10, 4}, {10, 10, 10}, {1, 10, 10}} {
		plan := planRepair(params, missing, tt.memory, func(shards.Axis) int64 { return tt.size })
		seen, last := map[store.Ref]bool{}, shards.Secondary
		for _, step := range plan {
			if int64(len(step))*tt.size > tt.memory && len(step) > 1 {
				t.Errorf("%d slivers of %d in %d of memory", len(step), tt.size, tt.memory)
			}
			if step[0].Axis == shards.Secondary && last == shards.Primary {
				t.Error("a secondary comes after a primary")
			}
			last = step[0].Axis
			for _, target := range step {
				if seen[target.Ref] = true; target.Axis != last || params.ShardOfPair(id, params.PairOfSliver(target.Axis, target.index)) != target.Shard {
					t.Errorf("%+v among slivers along %s", target, last)
				}
			}
		}
		if len(plan) != 2*tt.steps || len(seen) != len(missing) {
			t.Errorf("memory %d, size %d: %d steps of %d slivers in all", tt.memory, tt.size, len(plan), len(seen))
		}
	}
	if planRepair(params, nil, 1, func(shards.Axis) int64 { return 1 }) != nil {
		t.Error("a plan for nothing")
	}
}

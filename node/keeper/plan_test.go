package keeper

import (
	"testing"

	"walrus/shards"
	"walrus/store"
)

// TestPlanRepair: every missing sliver is in one step, of one axis, secondaries first; a step fits in memory. Slivers
// that do not are rebuilt in parts of whole strips.
func TestPlanRepair(t *testing.T) {
	params, err := shards.NewParams(20) // p = 8, s = 14
	if err != nil {
		t.Fatal(err)
	}
	id := blob(1)
	var missing []store.Ref
	for shard := range 5 {
		for _, axis := range axes {
			missing = append(missing, store.Ref{Blob: id, Shard: shard, Axis: axis})
		}
	}
	const z = 1 << 20
	l := lack{params: params, length: 8 * 14 * z, primaries: 5, secondaries: 5, others: 3}
	for _, tt := range []struct {
		memory             int64
		secondary, primary int // steps
	}{
		{100 * 14 * z, 1, 1}, {5 * 8 * z, 1, 3}, {5*8*z - 1, 2, 3}, {14 * z, 5, 5}, {14*z - 1, 5, 2}, {8*z - 1, 2, 3},
		{8 * z / 2, 3, 5}, {14 * leastPart, 5, 5}, {1, 5, 5},
	} {
		seen, last, steps := map[store.Ref]bool{}, shards.Secondary, map[shards.Axis]int{}
		for _, step := range planRepair(l, missing, tt.memory) {
			along := step.targets[0].Axis
			steps[along]++
			if step.way != bySymbols || step.part <= 0 || step.part > z || step.part < z &&
				step.part%int64(params.StripWidth()) != 0 {
				t.Errorf("memory %d: by %s in parts of %d", tt.memory, step.way, step.part)
			}
			bytes := int64(len(step.targets)) * step.part * int64(params.SourceSymbols(along))
			if bytes > tt.memory && step.part > int64(params.StripWidth()) {
				t.Errorf("memory %d: a step of %d bytes", tt.memory, bytes)
			}
			if along == shards.Secondary && last == shards.Primary {
				t.Error("a secondary comes after a primary")
			}
			last = along
			for _, target := range step.targets {
				if seen[target.Ref] = true; target.Axis != last ||
					params.ShardOfPair(id, params.PairOfSliver(target.Axis, target.index)) != target.Shard {
					t.Errorf("%+v among slivers along %s", target, last)
				}
			}
		}
		if steps[shards.Secondary] != tt.secondary || steps[shards.Primary] != tt.primary || len(seen) != len(missing) {
			t.Errorf("memory %d: steps %v of %d slivers in all", tt.memory, steps, len(seen))
		}
	}
	if planRepair(l, nil, 1) != nil {
		t.Error("a plan for nothing")
	}
}

// TestCost: for each size of network and blob, and each loss, the way and its bytes in relation to what is lost. The
// last column is the same with a proof for each symbol.
func TestCost(t *testing.T) {
	const kib, mib, gib = 1 << 10, 1 << 20, 1 << 30
	for _, tt := range []struct {
		n, nodes int
		size     uint64
		lost     int // pairs; 0: one secondary sliver, -1: one primary
		all      bool
		way      way
		most     float64 // bytes for each byte lost
		proven   float64 // at least, with proofs
	}{
		{1000, 20, 1 * mib, 0, false, bySymbols, 3, 35}, {1000, 20, 1 * mib, -1, false, bySymbols, 2.5, 50},
		{1000, 20, 1 * mib, 1, false, bySymbols, 2.5, 45}, {1000, 20, 1 * mib, 50, true, bySymbols, 1.2, 45},
		{1000, 100, 1 * mib, 0, false, bySymbols, 5, 35}, {1000, 100, 1 * mib, -1, false, bySymbols, 5, 50},
		{1000, 20, 32 * mib, 0, false, bySymbols, 1.25, 2.6}, {1000, 20, 32 * mib, -1, false, bySymbols, 1.25, 2.9},
		{1000, 100, 32 * mib, 0, false, bySymbols, 1.25, 3}, {1000, 100, 32 * mib, -1, false, bySymbols, 1.25, 3},
		{1000, 20, 32 * mib, 50, true, bySymbols, 1, 2.7}, {1000, 20, 256 * mib, 1, false, bySymbols, 1.05, 1.13},
		{1000, 100, 1 * gib, 10, true, bySymbols, 1.02, 1.05},
		{1000, 20, 1 * kib, 50, true, byRows, 0.05, 99}, {1000, 20, 100, 1, false, byRows, 1.2, 100},
		{1000, 20, 64 * kib, 50, true, byRows, 1.2, 100},
		{1000, 4, 32 * mib, 250, true, bySymbols, 1, 2}, {1000, 2, 8 * mib, 500, true, byRows, 0.7, 3},
		{10, 7, 32 * mib, 1, true, bySymbols, 1, 0.9}, {10, 2, 32 * mib, 5, true, byRows, 0.52, 0.54},
	} {
		params, err := shards.NewParams(tt.n)
		if err != nil {
			t.Fatal(err)
		}
		own := tt.n / tt.nodes
		l := lack{params: params, length: tt.size, primaries: tt.lost, secondaries: tt.lost, rows: own - tt.lost,
			columns: own - tt.lost, others: tt.nodes - 1}
		if tt.lost <= 0 {
			l.secondaries, l.primaries, l.rows, l.columns = 1+tt.lost, -tt.lost, own, own
		}
		z := params.SymbolSize(tt.size)
		used := int((int64(tt.size)-1)/(z*int64(params.Columns()))) + 1
		l.zeros = params.Rows() - used
		lost := float64(z * int64(l.secondaries*params.Rows()+l.primaries*params.Columns()))
		got := l.cheapest(128 << 20)
		bytes := l.cost(got)
		if ratio := float64(bytes) / lost; got != tt.way || ratio > tt.most {
			t.Errorf("n = %d, %d nodes, %d bytes, %d pairs lost: by %s for %.2f of the loss, want %s for at most %.2f", tt.n,
				tt.nodes, tt.size, tt.lost, got, ratio, tt.way, tt.most)
		}
		if ratio := float64(l.cost(byProvenSymbols)) / lost; ratio < tt.proven {
			t.Errorf("n = %d, %d bytes, %d pairs lost: with proofs %.2f of the loss, want at least %.2f", tt.n, tt.size,
				tt.lost, ratio, tt.proven)
		}
		// a row holds s symbols even if the blob fills only some of them
		if blob := int64(used*params.Columns()) * z; tt.all && float64(bytes) > 1.1*float64(blob)+20_000 {
			t.Errorf("n = %d, %d bytes: a whole node takes %d bytes, more than the blob's %d", tt.n, tt.size, bytes, blob)
		}
	}
}

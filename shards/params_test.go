package shards

import "testing"

// TestEveryNetworkFitsTheField checks the bound on shards against the points that the codes use.
func TestEveryNetworkFitsTheField(t *testing.T) {
	const points = 1 << 16
	fits := func(p Params) bool {
		for _, axis := range []Axis{Primary, Secondary} {
			c := p.code(axis)
			if max(c.point(c.k-1), c.point(c.k+c.r-1)) >= points || c.k+c.r != p.n {
				return false
			}
		}
		return true
	}
	for n := MinShards; n <= MaxShards; n++ {
		if p := mustParams(t, n); !fits(p) {
			t.Fatalf("n=%d does not fit", n)
		}
	}
	if fits(Params{MaxShards + 1}) {
		t.Errorf("n=%d fits too", MaxShards+1)
	}
	for _, n := range []int{-1, 0, MinShards - 1, MaxShards + 1} {
		if _, err := NewParams(n); err == nil {
			t.Errorf("n=%d: no error", n)
		}
	}
}

func TestPairsAndShards(t *testing.T) {
	r := newRand(t)
	for _, n := range []int{4, 7, 10, 1000, MaxShards} {
		p := mustParams(t, n)
		id := BlobID(randomBytes(r, 32))
		seen := make(map[int]bool)
		for shard := range n {
			pair := p.PairOnShard(id, shard)
			if pair < 0 || pair >= n || seen[pair] || p.ShardOfPair(id, pair) != shard {
				t.Fatalf("n=%d: shard %d holds pair %d", n, shard, pair)
			}
			seen[pair] = true
			for _, axis := range []Axis{Primary, Secondary} {
				if p.PairOfSliver(axis, p.SliverOfPair(axis, pair)) != pair {
					t.Fatalf("n=%d: pair %d is not that of its %s sliver", n, pair, axis)
				}
			}
		}
	}
	// The blob ID as a big-endian integer is 258, so pair 0 is on shard 258 mod 10.
	if id := (BlobID{30: 1, 31: 2}); mustParams(t, 10).ShardOfPair(id, 0) != 8 {
		t.Errorf("pair 0 is on shard %d: want 8", mustParams(t, 10).ShardOfPair(id, 0))
	}
}

func TestSizes(t *testing.T) {
	p := mustParams(t, 1000)
	for _, c := range []struct {
		length uint64
		z      int64
	}{{0, 2}, {1, 2}, {334 * 667 * 2, 2}, {334*667*2 + 1, 4}, {334 * 667 * 65534, 65534}, {MaxLength, 78967340}} {
		if got := p.SymbolSize(c.length); got != c.z {
			t.Errorf("%d bytes: symbols of %d: want %d", c.length, got, c.z)
		}
	}
	for length, want := range map[uint64]int64{1: 66_034_000, 1 << 20: 70_038_000, 1 << 30: 4_888_852_000} {
		if got := p.EncodedSize(length); got != want {
			t.Errorf("%d bytes: encoded %d: want %d", length, got, want)
		}
	}
}

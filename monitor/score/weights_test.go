package score

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"testing"

	"golang.org/x/crypto/blake2b"
	"pgregory.net/rapid"

	"walrus/monitor/round"
)

func numbered(i int) round.Key {
	return blake2b.Sum256(binary.LittleEndian.AppendUint64(nil, uint64(i)))
}

func members(shards ...int) (ms []Member) {
	for i, s := range shards {
		ms = append(ms, Member{numbered(i), s})
	}
	return ms
}

func drawBonds(t *rapid.T) (bonds []Bond) {
	for range rapid.IntRange(0, 80).Draw(t, "bonds") {
		bonds = append(bonds, Bond{
			numbered(rapid.IntRange(0, 70).Draw(t, "key")), // some are members, some repeat
			rapid.OneOf(rapid.Uint64Range(0, 10), rapid.Uint64Range(1e11, 1e14), rapid.Just(uint64(math.MaxUint64))).Draw(t, "amount"),
			rapid.SampledFrom([]string{"", "1.2.3.0/24", "1.2.4.0/24", "1.2.5.0/24", "2001:db8::/48", "9.9.9.0/24"}).Draw(t, "network"),
		})
	}
	return bonds
}

// TestWeights: the limits hold for whatever is bonded from wherever, and the order does not matter.
func TestWeights(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var shards []int
		var whole uint64
		for range rapid.IntRange(0, 10).Draw(t, "members") {
			s := rapid.IntRange(0, 6000).Draw(t, "shards")
			shards = append(shards, s)
			whole += uint64(s) * ShardWeight
		}
		ms, bonds := members(shards...), drawBonds(t)
		got := Weights(ms, bonds)
		networks := map[round.Key]string{}
		sorted := slices.Clone(bonds)
		slices.SortFunc(sorted, func(a, b Bond) int { // as if the greatest of a key counted
			return cmp.Or(cmp.Compare(b.Amount, a.Amount), cmp.Compare(a.Network, b.Network))
		})
		for _, b := range sorted {
			if _, known := networks[b.Key]; !known {
				networks[b.Key] = b.Network
			}
		}
		byNetwork := map[string]uint64{}
		var outsiders uint64
		for i, m := range got {
			if i > 0 && bytes.Compare(got[i-1].Key[:], m.Key[:]) >= 0 {
				t.Fatal("not sorted by key")
			}
			if at := slices.IndexFunc(ms, func(x Member) bool { return x.Key == m.Key }); at >= 0 {
				if m.Weight != uint64(ms[at].Shards)*ShardWeight {
					t.Fatalf("a member of %d shards weighs %d", ms[at].Shards, m.Weight)
				}
				continue
			}
			if m.Weight == 0 || m.Weight > whole/OutsiderPart {
				t.Fatalf("an outsider weighs %d of %d", m.Weight, whole)
			}
			outsiders += m.Weight
			byNetwork[networks[m.Key]] += m.Weight
		}
		if outsiders > whole/OutsidersPart || 4*outsiders > whole+outsiders {
			t.Fatalf("outsiders weigh %d, members %d", outsiders, whole)
		}
		for n, w := range byNetwork {
			if w > whole/OutsiderPart {
				t.Fatalf("network %q weighs %d of %d", n, w, whole)
			}
		}
		shuffled := rapid.Permutation(bonds).Draw(t, "order")
		if again := Weights(ms, shuffled); !slices.Equal(again, got) {
			t.Fatal("the order of bonds matters")
		}
	})
}

// TestWeightsExactly: what the documentation says, in numbers.
func TestWeightsExactly(t *testing.T) {
	const unit = ShardWeight
	ms := members(100, 100, 100) // M = 300: one outsider at most 6, all at most 100
	bond := func(i int, amount uint64, network string) Bond { return Bond{numbered(100 + i), amount, network} }
	var many, minted []Bond
	for i := range 40 {
		many = append(many, bond(i, uint64(100+i), fmt.Sprint(i)))
		minted = append(minted, bond(i, 100, "one"))
	}
	for _, tt := range []struct {
		name  string
		bonds []Bond
		key   int
		want  uint64
	}{
		{"one alone gets its limit", []Bond{bond(0, 1, "a")}, 0, 6 * unit},
		{"a thousand times the bond gets no more", []Bond{bond(0, 1000, "a"), bond(1, 1, "b")}, 0, 6 * unit},
		{"and takes nothing from the small one", []Bond{bond(0, 1000, "a"), bond(1, 1, "b")}, 1, 6 * unit},
		{"two of one network share, by bond", []Bond{bond(0, 200, "a"), bond(1, 100, "a")}, 1, 2 * unit},
		{"unknown networks are one", []Bond{bond(0, 100, ""), bond(1, 100, "")}, 1, 3 * unit},
		{"forty share a third of the members' weight, by bond", many, 0, 100 * unit * 100 / (40*100 + 39*20)},
		{"forty of one network share one part", minted, 7, 6 * unit / 40},
		{"a member's bond is none", []Bond{{numbered(1), 1 << 40, "a"}}, -99, 100 * unit},
		{"no bond", []Bond{bond(0, 0, "a")}, 0, 0},
	} {
		var got uint64
		for _, m := range Weights(ms, tt.bonds) {
			if m.Key == numbered(100+tt.key) {
				got = m.Weight
			}
		}
		if got > tt.want+MaxOutsiders || got+MaxOutsiders < tt.want { // one for each division before
			t.Errorf("%s: %d, want %d", tt.name, got, tt.want)
		}
	}
	if got := Weights(nil, many); len(got) != 0 {
		t.Errorf("without members, outsiders weigh %v", got)
	}
}

// TestMintedBonds: somebody who mints bonds in as many networks as he likes is stopped at a quarter; with more bonds
// than places, small ones get none.
func TestMintedBonds(t *testing.T) {
	ms := members(250, 250, 250, 250)
	var bonds []Bond
	for i := range 5000 {
		bonds = append(bonds, Bond{numbered(1000 + i), 100, fmt.Sprint(i)})
	}
	honest := Bond{numbered(9), 200, "honest"}
	got := Weights(ms, append(bonds, honest))
	var members, outsiders, his uint64
	for _, m := range got {
		switch {
		case m.Key == honest.Key:
			his = m.Weight
			fallthrough
		case m.Weight < 200*ShardWeight:
			outsiders += m.Weight
		default:
			members += m.Weight
		}
	}
	if len(got) != 4+MaxOutsiders || outsiders > members/3 || outsiders < members/3-MaxOutsiders {
		t.Errorf("%d monitors, outsiders %d, members %d", len(got), outsiders, members)
	}
	if want := members / 3 * 200 / (200 + 255*100); his != want {
		t.Errorf("twice the bond of each of them weighs %d, want %d", his, want)
	}
}

// TestSplitting: nobody gains by spreading a bond over several identities of one network.
func TestSplitting(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ms := members(100, 50, 70)
		var others []Bond
		for i := range rapid.IntRange(0, 40).Draw(t, "others") {
			others = append(others, Bond{numbered(500 + i), rapid.Uint64Range(1, 1e12).Draw(t, "amount"), fmt.Sprint("net", i%25)})
		}
		amount, parts := rapid.Uint64Range(1, 1e12).Draw(t, "mine"), rapid.Uint64Range(1, 20).Draw(t, "parts")
		one := []Bond{{numbered(400), amount * parts, "mine"}}
		var split []Bond
		for i := range int(parts) {
			split = append(split, Bond{numbered(400 + i), amount, "mine"})
		}
		mine := func(bonds []Bond) (w uint64) {
			for _, m := range Weights(ms, append(slices.Clone(others), bonds...)) {
				if slices.ContainsFunc(bonds, func(b Bond) bool { return b.Key == m.Key }) {
					w += m.Weight
				}
			}
			return w
		}
		if whole, shared := mine(one), mine(split); shared > whole {
			t.Fatalf("in %d parts it weighs %d, whole %d", parts, shared, whole)
		}
	})
}

// TestMedian compares with the definition, and with what a minority can do.
func TestMedian(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var votes []Vote
		var honest, hostile uint64
		low, high := uint32(math.MaxUint32), uint32(0)
		for range rapid.IntRange(1, 40).Draw(t, "votes") {
			v := Vote{uint32(rapid.IntRange(0, 12).Draw(t, "value")), uint64(rapid.IntRange(0, 5).Draw(t, "weight"))}
			if rapid.Bool().Draw(t, "hostile") {
				hostile += v.Weight
			} else if v.Weight > 0 {
				honest += v.Weight
				low, high = min(low, v.Value), max(high, v.Value)
			}
			votes = append(votes, v)
		}
		m := Median(votes)
		if hostile < honest && (m < low || m > high) {
			t.Fatalf("a minority of %d to %d moved the median to %d, out of %d to %d", hostile, honest, m, low, high)
		}
		var below, above, all uint64
		for _, v := range votes {
			all += v.Weight
			if v.Value < m {
				below += v.Weight
			}
			if v.Value > m {
				above += v.Weight
			}
		}
		if 2*below > all || 2*above > all {
			t.Fatalf("median %d has %d below and %d above, of %d", m, below, above, all)
		}
	})
	if m := Median([]Vote{{0, 1}, {Whole, 1}}); m != Whole/2 {
		t.Errorf("between two: %d", m)
	}
	if m := Median(nil); m != 0 {
		t.Errorf("of nothing: %d", m)
	}
	if m := Median([]Vote{{3, 1 << 61}, {9, 1 << 61}, {9, 1<<61 + 1}}); m != 9 {
		t.Errorf("of great weights: %d", m)
	}
}

package round

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"golang.org/x/crypto/blake2b"
	"pgregory.net/rapid"
)

func numbered(i int) (k Key) {
	k = Key(blake2b.Sum256(binary.LittleEndian.AppendUint64(nil, uint64(i))))
	return k
}

func keys(n int) (all []Key) {
	for i := range n {
		all = append(all, numbered(i))
	}
	return all
}

func equal(all []Key, weight uint64) (ms []Monitor) {
	for _, k := range all {
		ms = append(ms, Monitor{k, weight})
	}
	return ms
}

// TestAssign: nobody probes itself, every node is probed by 31 others, or by all; both views of an assignment agree,
// and neither order nor repetition of the monitors matters.
func TestAssign(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		nodes := keys(rapid.IntRange(1, 40).Draw(t, "nodes"))
		var monitors []Monitor
		counted := map[Key]bool{}
		for i := range rapid.IntRange(0, 200).Draw(t, "monitors") {
			m := Monitor{numbered(i), rapid.SampledFrom([]uint64{0, 1, 7, 1 << 20, MaxWeight, MaxWeight + 1}).Draw(t, "weight")}
			monitors = append(monitors, m)
			if m.Weight > 0 && m.Weight <= MaxWeight {
				counted[m.Key] = true
			}
		}
		seed := Seed{rapid.Byte().Draw(t, "seed")}
		a := Assign(seed, monitors, nodes)
		probes := map[Key]int{}
		for i, k := range nodes {
			others := len(counted)
			if counted[k] {
				others--
			}
			votes := a.Probers(i)
			want := others
			if others > AllPairs {
				want = Probers
			}
			if len(votes) != want {
				t.Fatalf("node %d has %d probers of %d", i, len(votes), others)
			}
			for _, v := range votes {
				m := a.Monitors[v.Monitor]
				if m.Key == k || v.Weight < m.Weight || others <= AllPairs && v.Weight != m.Weight {
					t.Fatalf("node %d has a vote %v of %v", i, v, m)
				}
				probes[m.Key]++
				if !slices.Contains(a.NodesOf(m.Key), i) {
					t.Fatalf("monitor %v does not know that it probes node %d", m.Key, i)
				}
			}
		}
		for _, m := range monitors {
			if got := len(a.NodesOf(m.Key)); counted[m.Key] && got != probes[m.Key] || !counted[m.Key] && got > StrangerNodes {
				t.Fatalf("monitor of weight %d probes %d nodes, and %d count", m.Weight, got, probes[m.Key])
			}
		}
		again := append(slices.Clone(monitors), monitors...)
		slices.Reverse(again[:len(monitors)])
		if b := Assign(seed, again, nodes); fmt.Sprint(b.votes, b.Monitors) != fmt.Sprint(a.votes, a.Monitors) {
			t.Fatal("the order of monitors matters")
		}
	})
}

// TestVotesAreFair: over many rounds the votes of each monitor weigh what its weight is of the whole, in spite of 31
// probers and very different weights.
func TestVotesAreFair(t *testing.T) {
	const rounds = 400
	r := rand.New(rand.NewPCG(1, 1))
	var monitors []Monitor
	var whole float64
	for i := range 120 {
		w := uint64(1+r.IntN(50)) << 20
		if i == 0 {
			w = 400 << 20 // a tenth of all
		}
		monitors = append(monitors, Monitor{numbered(i), w})
		whole += float64(w)
	}
	nodes := []Key{numbered(1000), numbered(1001), numbered(1002), numbered(1003)}
	votes := map[Key]float64{}
	var all float64
	for n := range rounds {
		a := Assign(Seed{byte(n), byte(n >> 8)}, monitors, nodes)
		for i := range nodes {
			for _, v := range a.Probers(i) {
				votes[a.Monitors[v.Monitor].Key] += float64(v.Weight)
				all += float64(v.Weight)
			}
		}
	}
	if ratio := all / rounds / float64(len(nodes)) / whole; ratio < 0.98 || ratio > 1.02 {
		t.Errorf("all votes weigh %.3f of all monitors", ratio)
	}
	var large, small float64 // by halves
	var wantLarge float64
	for _, m := range monitors {
		if m.Weight > 25<<20 {
			large += votes[m.Key]
			wantLarge += float64(m.Weight)
		} else {
			small += votes[m.Key]
		}
	}
	if got, want := large/(large+small), wantLarge/whole; got < want-0.02 || got > want+0.02 {
		t.Errorf("the large ones have %.3f of the votes, and %.3f of the weight", got, want)
	}
	if got, want := votes[monitors[0].Key]/all, float64(monitors[0].Weight)/whole; got < 0.97*want || got > 1.03*want {
		t.Errorf("the largest has %.4f of the votes, and %.4f of the weight", got, want)
	}
}

// TestAssignChangesLittle: an observer that knows one monitor more, or weighs one otherwise, has nearly the same
// probers. So observers need not agree on everything.
func TestAssignChangesLittle(t *testing.T) {
	monitors, nodes := equal(keys(200), 1<<20), keys(50)
	a := Assign(Seed{1}, monitors, nodes)
	other := append(slices.Clone(monitors), Monitor{numbered(999), 1 << 20})
	other[7].Weight *= 2
	b := Assign(Seed{1}, other, nodes)
	moved := 0
	for i := range nodes {
		for _, v := range a.Probers(i) {
			k := a.Monitors[v.Monitor].Key
			if !slices.ContainsFunc(b.Probers(i), func(w Vote) bool { return b.Monitors[w.Monitor].Key == k }) {
				moved++
			}
		}
	}
	if all := len(nodes) * Probers; moved == 0 || moved > all/50 {
		t.Errorf("%d of %d probers changed", moved, all)
	}
}

// TestAssignGolden pins the draws: other implementations must come to the same.
func TestAssignGolden(t *testing.T) {
	seed := NewSeed([32]byte{1}, [32]byte{2}, 3)
	a := Assign(seed, equal(keys(150), 1<<20), keys(100))
	h, _ := blake2b.New256(nil)
	for i := range a.Nodes {
		for _, v := range a.Probers(i) {
			h.Write(a.Monitors[v.Monitor].Key[:])
			h.Write(binary.LittleEndian.AppendUint64(nil, v.Weight))
		}
	}
	for _, g := range [][2]string{
		{hex.EncodeToString(seed[:8]), "ac3bc560d37b5b8d"},
		{hex.EncodeToString(h.Sum(nil)[:8]), "58b74f13f6f1897a"},
		{fmt.Sprint(a.NodesOf(numbered(5000))), "[44 96 97]"},
	} {
		if g[0] != g[1] {
			t.Errorf("got %s, want %s", g[0], g[1])
		}
	}
}

func BenchmarkAssign(b *testing.B) {
	monitors, nodes := equal(keys(1000), 1<<20), keys(1000)
	for b.Loop() {
		Assign(Seed{1}, monitors, nodes)
	}
}

package shards

import (
	"bytes"
	"errors"
	"slices"
	"testing"
)

// TestLeaves: the leaves that a Verifier returns, those of an Expansion, and their proofs agree. A wrong leaf, position
// or sliver is refused.
func TestLeaves(t *testing.T) {
	p, err := NewParams(10)
	if err != nil {
		t.Fatal(err)
	}
	data := make([]byte, 4000)
	for i := range data {
		data[i] = byte(i * i >> 4)
	}
	meta, pairs, err := Encode(p, data)
	if err != nil {
		t.Fatal(err)
	}
	for _, axis := range []Axis{Primary, Secondary} {
		const index = 8
		pair := pairs[p.PairOfSliver(axis, index)]
		sliver := map[Axis][]byte{Primary: pair.Primary, Secondary: pair.Secondary}[axis]
		v, err := NewVerifier(meta, axis, index)
		if err == nil {
			err = v.WriteStrip(sliver)
		}
		if err != nil {
			t.Fatal(err)
		}
		leaves, err := v.CloseLeaves()
		if err != nil {
			t.Fatal(err)
		}
		e, err := meta.NewExpansion(axis, index, leaves)
		if err != nil {
			t.Fatal(err)
		}
		read, _, err := meta.Expand(axis, index, bytes.NewReader(sliver), nil)
		if err != nil {
			t.Fatal(err)
		}
		targets, openings := make([]int, p.Shards()), make([]Opening, p.Shards())
		for i := range targets {
			targets[i], openings[i] = i, e.Opening(i)
			if read.Opening(i).Leaf != leaves[i] {
				t.Errorf("%s leaf %d differs from the one of an expansion", axis, i)
			}
		}
		if err := meta.VerifyOpenings(axis, index, targets, openings); err != nil {
			t.Error(err)
		}
		for name, spoil := range map[string]func(targets []int, openings []Opening){
			"hash":     func(_ []int, o []Opening) { o[3].Leaf[0] ^= 1 },
			"position": func(targets []int, _ []Opening) { targets[3] ^= 1 },
			"outside":  func(targets []int, _ []Opening) { targets[3] = p.Shards() },
			"path":     func(_ []int, o []Opening) { o[3].Path = o[3].Path[1:] },
		} {
			wrong, all := slices.Clone(targets), slices.Clone(openings)
			spoil(wrong, all)
			if err := meta.VerifyOpenings(axis, index, wrong, all); !errors.Is(err, ErrSymbol) {
				t.Errorf("wrong %s: %v", name, err)
			}
		}
		if err := meta.VerifyOpenings(axis, index-1, targets, openings); !errors.Is(err, ErrSymbol) {
			t.Errorf("openings of another sliver: %v", err)
		}
		leaves[2][5] ^= 1
		if _, err := meta.NewExpansion(axis, index, leaves); !errors.Is(err, ErrSliver) {
			t.Errorf("an expansion of a wrong leaf: %v", err)
		}
	}
}

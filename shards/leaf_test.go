package shards

import (
	"bytes"
	"errors"
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
		claims := make([]Leaf, p.Shards())
		for i := range claims {
			claims[i] = Leaf{Index: index, Target: i, Hash: e.Leaf(i), Proof: e.Proof(i)}
			if read.Leaf(i) != e.Leaf(i) {
				t.Errorf("%s leaf %d differs from the one of an expansion", axis, i)
			}
		}
		if err := meta.VerifyLeaves(axis, claims); err != nil {
			t.Error(err)
		}
		for name, spoil := range map[string]func(*Leaf){
			"hash":     func(l *Leaf) { l.Hash[0] ^= 1 },
			"position": func(l *Leaf) { l.Target ^= 1 },
			"outside":  func(l *Leaf) { l.Target = p.Shards() },
			"sliver":   func(l *Leaf) { l.Index-- },
			"proof":    func(l *Leaf) { l.Proof = l.Proof[1:] },
		} {
			all := append([]Leaf(nil), claims...)
			spoil(&all[3])
			if err := meta.VerifyLeaves(axis, all); !errors.Is(err, ErrSymbol) {
				t.Errorf("wrong %s: %v", name, err)
			}
		}
		leaves[2][5] ^= 1
		if _, err := meta.NewExpansion(axis, index, leaves); !errors.Is(err, ErrSliver) {
			t.Errorf("an expansion of a wrong leaf: %v", err)
		}
	}
}

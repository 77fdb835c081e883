package gather

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"

	"walrus/shards"
)

// rebuild rebuilds target k from g, and compares it with its root. It returns the leaves of its expansion.
func (f *fake) rebuild(t *testing.T, g *Gathered, k int) (leaves []shards.Hash, err error) {
	t.Helper()
	rec, err := shards.NewRecovery(f.want.Meta.Params(), f.want.Axis, g.Sources())
	if err != nil {
		t.Fatal(err)
	}
	sliver := make([]byte, f.want.Meta.Layout(f.want.Axis).Size())
	if err := rec.Part(sliver, g.List(k, g.Sources())); err != nil {
		t.Fatal(err)
	}
	v, err := shards.NewVerifier(f.want.Meta, f.want.Axis, f.want.Targets[k])
	if err != nil {
		t.Fatal(err)
	}
	if err := v.WriteStrip(sliver); err != nil {
		t.Fatal(err)
	}
	return v.CloseLeaves()
}

// TestProve: among symbols without proofs, only those who lied are convicted. Whoever gives no proof is not asked again
// either, and is not called a liar. What our own disk gave is proved like everything else.
func TestProve(t *testing.T) {
	for name, tt := range map[string]struct {
		mood func(context.Context, []shards.Symbol) error
		lied bool
		out  bool
	}{
		"well": {nil, false, false}, "lying": {lie, true, true},
		"proving nothing": {lie, false, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFake(t, 7, 28)
				f.want.Proofs, f.want.Local, f.denies = false, f.node(0), name == "proving nothing"
				for i := range 7 { // all liars, so that one is surely asked; our own is honest
					if i > 0 {
						f.moods[f.node(i)] = tt.mood
					}
				}
				f.want.Targets = []int{3, 1} // the last is the one that is lied about
				f.want.Window = 1
				g, err := Symbols(t.Context(), f, f.want)
				if err != nil {
					t.Fatal(err)
				}
				leaves, err := f.rebuild(t, g, 1)
				if (tt.mood == nil) != (err == nil) {
					t.Fatalf("rebuilt: %v", err)
				}
				if err == nil { // as if another sliver had been wrong
					return
				}
				p, err := Prove(t.Context(), f, f.want, f.want.Targets[1], g.Sources(),
					func(sliver int) shards.Hash { return leaves[sliver] })
				if err != nil {
					t.Fatal(err)
				}
				owner := Owners(f.want.Committee, f.want.ID, f.want.Axis.Other())
				for _, sliver := range g.Sources() {
					own := owner[sliver] == 0
					if p.Proven[sliver] != own && name == "proving nothing" {
						t.Errorf("sliver %d of %d: proven is %v", sliver, owner[sliver], p.Proven[sliver])
					}
					if lied := p.Holders.Lie(owner[sliver]) != nil; own && lied || !own && lied != tt.lied {
						t.Errorf("holder %d is called a liar: %v", owner[sliver], lied)
					}
					if out := p.Holders.Out(owner[sliver]); out != (tt.out && !own) {
						t.Errorf("holder %d is out: %v", owner[sliver], out)
					}
				}
			})
		})
	}
}

// TestOneLiar finds one wrong symbol among many, and rebuilds the sliver without its holder.
func TestOneLiar(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t, 7, 28)
		f.want.Proofs, f.want.Targets = false, []int{2}
		f.moods[f.node(4)] = lie
		for round := 0; ; round++ {
			g, err := Symbols(t.Context(), f, f.want)
			if err != nil {
				t.Fatal(err)
			}
			leaves, err := f.rebuild(t, g, 0)
			if err == nil {
				if f.want.Holders != nil && (f.want.Holders.Lie(4) == nil || round > 1) {
					t.Errorf("rebuilt in round %d", round)
				}
				if f.want.Holders != nil {
					return
				}
				continue // the liar was not asked
			}
			p, err := Prove(t.Context(), f, f.want, 2, g.Sources(), func(sliver int) shards.Hash { return leaves[sliver] })
			if err != nil {
				t.Fatal(err)
			}
			owner := Owners(f.want.Committee, f.want.ID, f.want.Axis.Other())
			for _, sliver := range g.Sources() {
				if p.Proven[sliver] == (owner[sliver] == 4) {
					t.Errorf("sliver %d of holder %d: proven is %v", sliver, owner[sliver], p.Proven[sliver])
				}
			}
			f.want.Holders, round = p.Holders, 0
		}
	})
}

// TestParts: the parts of symbols, from the same slivers each time, make the symbols; nobody is asked for rows of
// zeros, nor for those to do without.
func TestParts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t, 7, 28) // 28 shards: 10 rows, 19 columns
		meta, pairs, err := shards.Encode(f.want.Meta.Params(), bytes.Repeat([]byte("large"), 3_000_000))
		if err != nil {
			t.Fatal(err)
		}
		f.want.Meta, f.want.ID, f.pairs, f.want.Proofs = meta, meta.ID(), pairs, false
		zero := map[int]bool{7: true, 9: true}
		f.want.Zero = func(sliver int) bool { return zero[sliver] }
		f.want.Without = map[int]bool{0: true, 20: true}
		layout := meta.Layout(f.want.Axis)
		w := int64(layout.Width)
		if layout.SymbolSize < 2*w {
			t.Fatalf("symbols of %d bytes in strips of %d", layout.SymbolSize, w)
		}
		whole := map[int][]byte{}
		for at := int64(0); at < layout.SymbolSize; at += w {
			f.want.Offset, f.want.Length = at, min(w, layout.SymbolSize-at)
			g, err := Symbols(t.Context(), f, f.want)
			if err != nil {
				t.Fatal(err)
			}
			if at > 0 && !slices.Equal(g.Sources(), f.want.First) {
				t.Errorf("from %d on: slivers %v after %v", at, g.Sources(), f.want.First)
			}
			f.want.First = g.Sources()
			if want := int64(len(g.Sources())-len(zero)) * int64(len(f.want.Targets)) * f.want.Length; g.Traffic != want {
				t.Errorf("%d bytes of traffic, want %d", g.Traffic, want)
			}
			for _, sliver := range g.Sources() {
				part := g.List(0, []int{sliver})[0]
				if int64(len(part)) != f.want.Length || f.want.Without[sliver] || zero[sliver] &&
					!bytes.Equal(part, make([]byte, len(part))) {
					t.Errorf("%d bytes of sliver %d", len(part), sliver)
				}
				whole[sliver] = append(whole[sliver], part...)
			}
		}
		for sliver, got := range whole {
			if zero[sliver] {
				continue
			}
			pair := pairs[meta.Params().PairOfSliver(shards.Primary, sliver)]
			want, err := meta.ExtractSymbols(shards.Primary, sliver, bytes.NewReader(pair.Primary), f.want.Targets[:1])
			if err != nil || !bytes.Equal(got, want[0].Data) {
				t.Errorf("the symbol of sliver %d is wrong: %v", sliver, err)
			}
		}
		f.want.Without = map[int]bool{}
		for i := range 28 - 9 {
			f.want.Without[i+9] = true
		}
		delete(zero, 9)
		f.want.Without[0] = true
		var few *Error
		if _, err := Symbols(t.Context(), f, f.want); !errors.As(err, &few) {
			t.Errorf("with too few slivers: %v", err)
		}
	})
}

package keeper

import (
	"bytes"
	"errors"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/libp2p/go-libp2p/core/peer"

	"walrus/p2p"
	"walrus/shards"
)

// TestSymbolPartsServed asks a node for parts of symbols, for symbols without proofs and for proofs alone, of lines
// that are kept whole, of lines whose proofs are kept, and of lines that were never expanded. Parts that are no strips,
// and proofs of another length, are refused.
func TestSymbolPartsServed(t *testing.T) {
	for _, size := range []int{100, 2 << 20, 14 << 20} {
		data := bytes.Repeat([]byte("symbols of a blob"), size/17+1)
		o := newOutpost(t, 4, data)
		member, w := o.stranger(), int64(o.meta.Params().StripWidth())
		for _, axis := range axes {
			index, z := o.sliver(axis), o.meta.Layout(axis).SymbolSize
			q := p2p.SymbolQuery{Blob: o.meta.ID(), Axis: axis, Slivers: []int{index}, Targets: []int{3, 0}, SymbolSize: z}
			ask := func(offset, length int64, proofLen int) ([]shards.Symbol, error) {
				q.Offset, q.Length, q.ProofLen = offset, length, proofLen
				return member.SymbolParts(t.Context(), o.host.ID(), q)
			}
			parts := [][2]int64{{0, z}}
			if z > w {
				parts = append(parts, [2]int64{0, w}, [2]int64{w, z - w})
			}
			if z > 2*w {
				parts = append(parts, [2]int64{w, w})
			}
			got := map[[2]int64][]shards.Symbol{}
			for _, part := range parts {
				var err error
				if got[part], err = ask(part[0], part[1], 0); err != nil {
					t.Fatalf("%d bytes, %s, bytes %v without proofs: %v", size, axis, part, err)
				}
			}
			whole, err := ask(0, z, 2)
			must(t, err)
			proofs, err := ask(0, 0, 2)
			must(t, err)
			for i, target := range q.Targets {
				must(t, o.meta.VerifySymbol(axis, index, target, whole[i]))
				if len(proofs[i].Data) > 0 || !slices.Equal(proofs[i].Proof, whole[i].Proof) {
					t.Errorf("%d bytes, %s: the proof alone differs", size, axis)
				}
				for _, part := range parts {
					if !bytes.Equal(got[part][i].Data, whole[i].Data[part[0]:][:part[1]]) || len(got[part][i].Proof) > 0 {
						t.Errorf("%d bytes, %s: bytes %v of symbol %d differ", size, axis, part, target)
					}
					again, err := ask(part[0], part[1], 0) // the line is kept now
					if err != nil || !bytes.Equal(again[i].Data, got[part][i].Data) {
						t.Errorf("%d bytes, %s: bytes %v of symbol %d differ when asked for again: %v", size, axis, part, target, err)
					}
				}
			}
			for _, wrong := range [][3]int64{{2, z - 2, 0}, {0, z - 2, 0}, {0, z, 1}, {0, 0, 1}} {
				if _, err := ask(wrong[0], wrong[1], int(wrong[2])); !errors.Is(err, p2p.ErrBadRequest) {
					t.Errorf("%d bytes, %s, %v: %v, want %v", size, axis, wrong, err, p2p.ErrBadRequest)
				}
			}
		}
	}
}

// TestSymbolsOfSeveralSlivers: one request gets the symbols of several slivers, in the order in which it names them. If
// one is not here, none are sent.
func TestSymbolsOfSeveralSlivers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(t)
		defer s.close()
		s.event([]string{"seats", "5", "us:0,1,4", "ana:2,3,5,6,7,8,9"})
		s.event([]string{"ledger", "enters", "epoch", "5"})
		s.event([]string{"ledger", "has", "x", "certified", "until", "8"})
		s.event([]string{"disk", "has", "x"})
		b, params := s.blob("x"), s.keeper.shelf.params
		q := p2p.SymbolQuery{Blob: b.id(), Axis: shards.Secondary, Targets: []int{7, 2}}
		for _, shard := range []int{4, 0, 1} {
			q.Slivers = append(q.Slivers, params.SliverOfPair(q.Axis, params.PairOnShard(b.id(), shard)))
		}
		q.SymbolSize = b.meta.Layout(q.Axis).SymbolSize
		q.Length = q.SymbolSize
		for _, proofLen := range []int{0, params.ProofSize()} {
			q.ProofLen = proofLen
			var want, got bytes.Buffer
			for _, index := range q.Slivers {
				sliver := b.sliver(q.Axis, params.PairOfSliver(q.Axis, index))
				symbols, err := b.meta.ExtractSymbols(q.Axis, index, bytes.NewReader(sliver), q.Targets)
				must(t, err)
				for _, sym := range symbols {
					want.Write(sym.Data)
					must(t, writeProof(&want, sym.Proof[:proofLen]))
				}
			}
			must(t, s.keeper.expander.Symbols(t.Context(), p2p.SymbolRequest{From: "ana", SymbolQuery: q}, &got))
			if !bytes.Equal(got.Bytes(), want.Bytes()) {
				t.Errorf("with proofs of %d hashes: %d bytes, want %d", proofLen, got.Len(), want.Len())
			}
		}
		s.event([]string{"disk", "loses", "secondary", "0", "of", "x"})
		var got bytes.Buffer
		err := s.keeper.expander.Symbols(t.Context(), p2p.SymbolRequest{From: peer.ID("ana"), SymbolQuery: q}, &got)
		if !errors.Is(err, p2p.ErrNotFound) || got.Len() > 0 {
			t.Errorf("one sliver is lost: %v, after %d bytes", err, got.Len())
		}
	})
}

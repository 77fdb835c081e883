package gather

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"golang.org/x/sync/errgroup"

	"walrus/shards"
)

// Proved is the result of Prove.
type Proved struct {
	Holders Holders      // how each holder behaved
	Traffic int64        // bytes of proofs
	Proven  map[int]bool // crossing slivers whose symbol was right
}

// Prove asks who sent the wrong symbols of a line that was rebuilt from symbols without proofs and does not match its
// root. target is its index along w.Axis, and leaf returns the hash of the symbol that a crossing sliver gave. Each
// holder is asked for the proofs of its symbols, and for nothing else: 32·⌈log₂ n⌉ bytes each. A proof that does not
// fit the symbol convicts its holder. A holder that gives no proof is not asked again either, or it could spoil one
// sliver after the other. The error is ctx's.
func Prove(ctx context.Context, swarm Swarm, w Want, target int, slivers []int,
	leaf func(sliver int) shards.Hash) (*Proved, error) {
	out := &Proved{Holders: NewHolders(len(w.Committee.Members())), Proven: map[int]bool{}}
	if w.Holders != nil {
		out.Holders = w.Holders.Clone()
	}
	proofs := w
	proofs.Targets, proofs.Proofs, proofs.Offset, proofs.Length = []int{target}, true, w.Meta.Params().SymbolSize(
		w.Meta.Length), 0
	owner := Owners(w.Committee, w.ID, w.Axis.Other())
	byHolder := map[int][]int{}
	for _, sliver := range slivers {
		byHolder[owner[sliver]] = append(byHolder[owner[sliver]], sliver)
	}
	type verdict struct {
		holder int
		proven []int
		err    error
	}
	holders := slices.Sorted(maps.Keys(byHolder))
	verdicts := make([]verdict, len(holders))
	var g errgroup.Group
	g.SetLimit(w.Window)
	for i, holder := range holders {
		g.Go(func() error {
			v := &verdicts[i]
			v.holder = holder
			for part := range slices.Chunk(byHolder[holder], proofs.batch()) {
				if v.err = proofs.prove(ctx, swarm, holder, part, leaf); v.err != nil {
					break
				}
				v.proven = append(v.proven, part...)
			}
			return nil
		})
	}
	_ = g.Wait() // they return none
	for _, v := range verdicts {
		for _, sliver := range v.proven {
			out.Proven[sliver] = true
		}
		if v.err != nil && v.holder != w.local() {
			out.Holders.Exclude(v.holder, v.err)
		}
		out.Traffic += int64(len(v.proven)) * proofs.symbolBytes()
	}
	return out, ctx.Err()
}

// prove gets the proofs of symbols of one holder's slivers and compares them with the symbols.
func (w *Want) prove(ctx context.Context, swarm Swarm, holder int, slivers []int,
	leaf func(sliver int) shards.Hash) error {
	node := w.Committee.Members()[holder].Node
	ctx, cancel := limit(ctx, int64(len(slivers))*w.symbolBytes())
	defer cancel()
	if node != w.Local {
		if err := swarm.Connect(ctx, node); err != nil {
			return err
		}
	}
	symbols, err := swarm.SymbolParts(ctx, node, w.query(slivers, w.Targets))
	if err != nil {
		return err
	}
	if len(symbols) != len(slivers) {
		return fmt.Errorf("%w: sent %d proofs: asked for %d", shards.ErrSymbol, len(symbols), len(slivers))
	}
	claims, leaves := make([]shards.Claim, len(symbols)), make([]shards.Hash, len(symbols))
	for i, sliver := range slivers {
		claims[i], leaves[i] = shards.Claim{Index: sliver, Target: w.Targets[0], Symbol: symbols[i]}, leaf(sliver)
	}
	if err := w.Meta.VerifyLeaves(w.Axis.Other(), leaves, claims); err != nil {
		return fmt.Errorf("served wrong symbols: %w", err)
	}
	return nil
}

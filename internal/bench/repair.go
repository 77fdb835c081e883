package bench

import (
	"bytes"
	"context"

	"walrus/shards"
)

// repairTask rebuilds the sliver pair of a shard from symbols of other slivers, each with its proof.
func repairTask(ctx context.Context, b *blob) (*task, error) {
	primary, err := newRepair(ctx, b, shards.Primary)
	if err != nil {
		return nil, err
	}
	secondary, err := newRepair(ctx, b, shards.Secondary)
	if err != nil {
		return nil, err
	}
	work := primary.work(b).Plus(secondary.work(b))
	return &task{bytes: primary.size() + secondary.size(), work: work, run: func(ctx context.Context) error {
		if err := primary.run(ctx); err != nil {
			return err
		}
		return secondary.run(ctx)
	}}, nil
}

// repair rebuilds one sliver from the symbols of the last slivers across it.
type repair struct {
	meta   *shards.Metadata
	axis   shards.Axis
	index  int
	claims []shards.Claim
}

func newRepair(ctx context.Context, b *blob, axis shards.Axis) (*repair, error) {
	p, count := b.params, b.params.SourceSymbols(axis)
	r := &repair{axis: axis, index: p.SliverOfPair(axis, 0), claims: make([]shards.Claim, count)}
	first, across := p.Shards()-count, axis.Other()
	meta, slivers, err := b.slivers(ctx, across, first, p.Shards())
	if err != nil {
		return nil, err
	}
	r.meta = meta
	return r, each(ctx, count, func(k int) error {
		got, err := meta.ExtractSymbols(across, first+k, bytes.NewReader(slivers[k]), []int{r.index})
		if err == nil {
			r.claims[k] = shards.Claim{Index: first + k, Target: r.index, Symbol: got[0]}
		}
		return err
	})
}

func (r *repair) size() int64 { return r.meta.Layout(r.axis).Size() }

func (r *repair) work(b *blob) shards.Work {
	return b.params.SymbolWork(b.length(), len(r.claims)).Plus(b.params.RebuildWork(r.axis, b.length()))
}

func (r *repair) run(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := r.meta.VerifySymbols(r.axis.Other(), r.claims); err != nil {
		return err
	}
	proven := make(map[int][]byte, len(r.claims))
	for i := range r.claims {
		proven[r.claims[i].Index] = r.claims[i].Data
	}
	_, err := r.meta.Rebuild(r.axis, r.index, proven)
	return err
}

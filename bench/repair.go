package bench

import (
	"bytes"
	"context"

	"walrus/shards"
)

// repairTask makes the sliver pair of a shard anew, from symbols of other slivers, each of which comes with its proof.
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

// repair is that of one sliver, from the symbols that the last slivers across it hold.
type repair struct {
	meta    *shards.Metadata
	axis    shards.Axis
	index   int
	first   int // of the slivers across
	symbols []shards.Symbol
}

func newRepair(ctx context.Context, b *blob, axis shards.Axis) (*repair, error) {
	p, count := b.params, b.params.SourceSymbols(axis)
	r := &repair{axis: axis, first: p.Shards() - count, symbols: make([]shards.Symbol, count)}
	r.index = p.SliverOfPair(axis, 0)
	across := axis.Other()
	meta, slivers, err := b.slivers(ctx, across, r.first, p.Shards())
	if err != nil {
		return nil, err
	}
	r.meta = meta
	return r, each(ctx, count, func(k int) error {
		got, err := meta.ExtractSymbols(across, r.first+k, bytes.NewReader(slivers[k]), []int{r.index})
		if err == nil {
			r.symbols[k] = got[0]
		}
		return err
	})
}

func (r *repair) size() int64 { return r.meta.Layout(r.axis).Size() }

func (r *repair) work(b *blob) shards.Work {
	return b.params.SymbolWork(b.length(), len(r.symbols)).Plus(b.params.RebuildWork(r.axis, b.length()))
}

func (r *repair) run(ctx context.Context) error {
	err := each(ctx, len(r.symbols), func(k int) error {
		return r.meta.VerifySymbol(r.axis.Other(), r.first+k, r.index, r.symbols[k])
	})
	if err != nil {
		return err
	}
	proven := make(map[int][]byte, len(r.symbols))
	for k := range r.symbols {
		proven[r.first+k] = r.symbols[k].Data
	}
	_, err = r.meta.Rebuild(r.axis, r.index, proven)
	return err
}

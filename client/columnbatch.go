package client

import (
	"context"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"walrus/gather"
	"walrus/shards"
)

// columnBatch is the state of one batch of columns, owned by the loop of columnReader.batch. Each column is first asked
// of its node. Columns that are late or missing are recovered together from symbols of other nodes.
type columnBatch struct {
	r       *columnReader
	g       *errgroup.Group
	wanted  []int                 // distinct
	pending []int                 // still to be asked of their nodes
	passed  []int                 // not asked, because their nodes do not answer
	flying  map[*columnFetch]bool // false: late, no longer counted on
	have    map[int]column
	results chan *columnFetch
	// recovering receives the recovery when it ends; nil if none is running.
	recovering chan *recovery
	rescue     *recovery // the recovery that was tried; nil: none yet, or not ended
}

func newColumnBatch(r *columnReader, g *errgroup.Group, list []int) *columnBatch {
	b := &columnBatch{r: r, g: g, flying: map[*columnFetch]bool{}, have: map[int]column{}}
	seen := map[int]bool{}
	for _, c := range list {
		if !seen[c] {
			seen[c] = true
			b.wanted = append(b.wanted, c)
		}
	}
	b.pending = slices.Clone(b.wanted)
	b.results = make(chan *columnFetch, len(b.wanted)) // one fetch at a time for each column
	return b
}

func (b *columnBatch) missing() (list []int) {
	for _, c := range b.wanted {
		if _, ok := b.have[c]; !ok {
			list = append(list, c)
		}
	}
	return list
}

// schedule asks for columns as far as the window allows, and starts recovering the rest when no fetch is left to wait
// for.
func (b *columnBatch) schedule(ctx context.Context) error {
	now, holders := time.Now(), b.r.holders
	var resting []int
	for len(b.pending) > 0 && b.counted() < maxWindow {
		c := b.pending[0]
		b.pending = b.pending[1:]
		switch o := b.r.owner[c]; {
		case holders.Out(o) || holders.Silent(o):
			b.passed = append(b.passed, c)
		case now.Before(holders.Rest(o)):
			resting = append(resting, c)
		default:
			if err := b.start(ctx, c); err != nil {
				return err
			}
		}
	}
	b.pending = append(resting, b.pending...)
	if b.counted() > 0 || len(b.pending) > 0 || b.recovering != nil {
		return nil
	}
	if b.rescue == nil {
		b.recovering = make(chan *recovery, 1)
		targets, known := b.missing(), holders.Clone()
		b.g.Go(func() error {
			b.recovering <- b.r.gather(ctx, shards.Secondary, targets, known)
			return nil
		})
		return nil
	}
	// others cannot help: ask the nodes that were passed over, unless they have failed or lied
	for _, c := range b.passed {
		if holders.Out(b.r.owner[c]) {
			continue
		}
		if err := b.start(ctx, c); err != nil {
			return err
		}
	}
	b.passed = nil
	if len(b.flying) == 0 {
		return b.rescue.err
	}
	return nil
}

func (b *columnBatch) counted() int {
	n := 0
	for _, counted := range b.flying {
		if counted {
			n++
		}
	}
	return n
}

func (b *columnBatch) start(ctx context.Context, index int) error {
	c, err := b.r.create()
	if err != nil {
		return err
	}
	f := &columnFetch{index: index, column: c, start: time.Now()}
	f.moved.Store(f.start.UnixNano())
	b.flying[f] = true
	b.g.Go(func() error {
		f.err = b.r.fetchColumn(ctx, f)
		b.results <- f
		return nil
	})
	return nil
}

// finish records the end of a fetch.
func (b *columnBatch) finish(f *columnFetch) {
	delete(b.flying, f)
	owner := b.r.owner[f.index]
	if f.err == nil {
		if _, ok := b.have[f.index]; !ok {
			b.have[f.index] = f.column
			b.r.res.Columns++
		}
		b.r.res.Fetched += b.r.layout.Size()
		b.r.holders.Deliver(owner)
	} else if b.r.holders.Fail(time.Now(), owner, f.err) == gather.Busy {
		b.pending = append(b.pending, f.index)
	}
}

// markSlow stops counting on columns that hold up the batch.
func (b *columnBatch) markSlow() {
	now, patience := time.Now(), b.r.c.patienceFor(b.r.layout.Size(), b.r.dialHedge)
	for f, counted := range b.flying {
		if !counted {
			continue
		}
		silent := patience.Silent(now, gather.Motion{Connected: f.connected.Load(), Moved: time.Unix(0, f.moved.Load())})
		if silent {
			b.r.holders.Silence(b.r.owner[f.index])
		}
		if silent || now.Sub(f.start) > patience.First {
			b.flying[f] = false
		}
	}
}

// recovered takes the columns of a recovery. Its failure is not final as long as a node may still deliver.
func (b *columnBatch) recovered(rec *recovery) error {
	b.recovering, b.rescue = nil, rec
	b.r.res.Fetched += rec.got.Traffic
	b.r.holders.Learn(rec.got.Holders)
	if rec.err != nil {
		return nil
	}
	for i, target := range rec.targets {
		if _, ok := b.have[target]; ok {
			continue // its node has delivered meanwhile
		}
		c, err := b.r.rebuild(target, rec.got.Of(i))
		if err != nil {
			return err
		}
		b.have[target] = c
		b.r.res.Recovered++
	}
	return nil
}

package client

import (
	"context"
	"errors"
	"time"

	"golang.org/x/sync/errgroup"

	"walrus/p2p"
)

// columnBatch is the state of one batch of columns, owned by the loop of columnReader.batch. Each column is first asked
// of its node. Columns that are late or missing are recovered together from symbols of other nodes.
type columnBatch struct {
	r       *columnReader
	g       *errgroup.Group
	wanted  []int // distinct
	pending []int // still to be asked of their nodes
	later   []int // their nodes were busy; asked again at the next tick
	busy    map[int]int
	passed  []int                 // not asked, because their nodes do not answer
	flying  map[*columnFetch]bool // false: late, no longer counted on
	have    map[int]column
	results chan *columnFetch
	// recovering receives the recovery when it ends; nil if none is running.
	recovering chan *recovery
	rescue     *recovery // the recovery that was tried
}

func newColumnBatch(r *columnReader, g *errgroup.Group, list []int) *columnBatch {
	b := &columnBatch{r: r, g: g, busy: map[int]int{}, flying: map[*columnFetch]bool{}, have: map[int]column{}}
	seen := map[int]bool{}
	for _, c := range list {
		if seen[c] {
			continue
		}
		seen[c] = true
		b.wanted = append(b.wanted, c)
		if o := r.owner(c); r.bad[o] || r.suspect[o] {
			b.passed = append(b.passed, c)
		} else {
			b.pending = append(b.pending, c)
		}
	}
	b.results = make(chan *columnFetch, (2+maxBusy)*len(list))
	return b
}

func (b *columnBatch) missing() int { return len(b.wanted) - len(b.have) }

// schedule asks for columns as far as the window allows, and starts recovering the rest when no fetch is left to wait
// for.
func (b *columnBatch) schedule(ctx context.Context) error {
	for len(b.pending) > 0 && b.counted() < maxWindow {
		c := b.pending[0]
		b.pending = b.pending[1:]
		if o := b.r.owner(c); b.r.bad[o] || b.r.suspect[o] { // found bad or silent meanwhile
			b.passed = append(b.passed, c)
			continue
		}
		if err := b.start(ctx, c); err != nil {
			return err
		}
	}
	if b.counted() > 0 || len(b.later) > 0 || b.recovering != nil {
		return nil
	}
	if b.rescue == nil {
		var targets []int
		for _, c := range b.wanted {
			if _, ok := b.have[c]; !ok {
				targets = append(targets, c)
			}
		}
		rec := newRecovery(b.r, targets)
		b.rescue, b.recovering = rec, make(chan *recovery, 1)
		b.g.Go(func() error {
			rec.err = rec.run(ctx)
			b.recovering <- rec
			return nil
		})
		return nil
	}
	// others cannot help: ask the nodes that were passed over, unless they have failed or lied
	for _, c := range b.passed {
		if b.r.bad[b.r.owner(c)] {
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

// take records the end of a fetch.
func (b *columnBatch) take(f *columnFetch) {
	delete(b.flying, f)
	owner := b.r.owner(f.index)
	if f.err == nil {
		if _, ok := b.have[f.index]; !ok {
			b.have[f.index] = f.column
			b.r.res.Columns++
		}
		b.r.res.Fetched += b.r.layout.Size()
		delete(b.r.suspect, owner)
		return
	}
	if errors.Is(f.err, p2p.ErrBusy) && b.busy[f.index] < maxBusy {
		b.busy[f.index]++
		b.later = append(b.later, f.index)
		return
	}
	b.r.failed(owner, f.err)
}

// markSlow stops counting on columns that hold up the batch, and lets busy nodes be asked again.
func (b *columnBatch) markSlow() {
	b.pending = append(b.pending, b.later...)
	b.later = nil
	hedge := b.r.c.cfg.Hedge
	limit := hedge + time.Duration(b.r.layout.Size())*time.Second/slowLine
	for f, counted := range b.flying {
		if !counted {
			continue
		}
		patience := hedge
		if !f.connected.Load() {
			patience = min(patience, b.r.dialHedge)
		}
		silent := time.Since(time.Unix(0, f.moved.Load())) > patience
		if silent {
			b.r.suspect[b.r.owner(f.index)] = true
			b.r.blame(b.r.owner(f.index), errSilent)
		}
		if silent || time.Since(f.start) > limit {
			b.flying[f] = false
		}
	}
}

// recovered takes the columns of a recovery. Its failure is not final as long as a node may still deliver.
func (b *columnBatch) recovered(rec *recovery) error {
	b.recovering = nil
	b.r.res.Fetched += rec.traffic
	for i, err := range rec.errs {
		b.r.failed(i, err)
	}
	for i := range rec.slow {
		b.r.suspect[i] = true
	}
	if rec.err != nil {
		return nil
	}
	for i, target := range rec.targets {
		if _, ok := b.have[target]; ok {
			continue // its node has delivered meanwhile
		}
		c, err := b.r.rebuild(target, rec.symbolsOf(i))
		if err != nil {
			return err
		}
		b.have[target] = c
		b.r.res.Recovered++
	}
	return nil
}

package light

import (
	"context"

	"github.com/cometbft/cometbft/types"
)

// follow fetches a page of hand-overs from the node that sent b, and believes each that more than two thirds of its
// validators have signed. It ends at the validators of b, or at the end of the page. It is a lie if no hand-over leads
// nearer to b.
func (t *trust) follow(ctx context.Context, b *types.LightBlock, from node) error {
	after := int64(t.newest().Height)
	page, err := from.handovers(ctx, after)
	if err != nil {
		return err
	}
	t.walk.Lock()
	defer t.walk.Unlock()
	last := after
	for _, h := range page {
		if err := t.check(h); err != nil {
			return err
		}
		if h.Height <= last {
			return wrong("it gave the hand-over of block %d after that of block %d", h.Height, last)
		}
		last = h.Height
		if t.current().set == [32]byte(b.ValidatorsHash) || h.Height >= b.Height {
			break
		}
		if err := t.handOver(h); err != nil {
			return err
		}
	}
	if t.current().from-1 <= after {
		return wrong("no hand-over leads from the validators of block %d to those of block %d", after, b.Height)
	}
	return nil
}

// handOver ends the current era with h, unless h did so before. The caller holds walk.
func (t *trust) handOver(h *types.LightBlock) error {
	e := t.current()
	switch {
	case h.Height < e.from: // followed while this page was on its way
		return nil
	case e.set != [32]byte(h.ValidatorsHash):
		return wrong("the hand-over of block %d is not by the validators of the blocks before", h.Height)
	case e.set == [32]byte(h.NextValidatorsHash):
		return wrong("block %d is no hand-over: its validators stay", h.Height)
	}
	known, _, err := t.place(h)
	if err != nil || known {
		return err
	}
	return t.accept(h)
}

// current returns the era that lasts.
func (t *trust) current() era {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.eras[len(t.eras)-1]
}

// handoversRequest asks for the headers above a height that name other validators for the next block than their own.
type handoversRequest struct{ After uint64 }

func (m *handoversRequest) form(f *form) { f.u64("height", &m.After) }

func (m *handoversRequest) cost() int64     { return maxHandoversPage }
func (m *handoversRequest) weight() float64 { return 1 + MaxHandovers/8 }

// answer returns as much of the page as fits.
func (m *handoversRequest) answer(ctx context.Context, s Source) (message, error) {
	list, err := s.Handovers(ctx, m.After, MaxHandovers)
	if err != nil {
		return nil, err
	}
	a := new(handoversAnswer)
	for size := 4; len(a.Blocks) < len(list); {
		raw, err := marshalBlock(list[len(a.Blocks)])
		if err != nil {
			return nil, err
		}
		if size += 4 + len(raw); size > maxHandoversPage {
			break
		}
		a.Blocks = append(a.Blocks, list[len(a.Blocks)])
	}
	return a, nil
}

type handoversAnswer struct{ Blocks []*types.LightBlock }

func (m *handoversAnswer) form(f *form) {
	list(f, "hand-overs", &m.Blocks, MaxHandovers, 64, func(f *form, b **types.LightBlock) { blockForm(f, "hand-over", b) })
}

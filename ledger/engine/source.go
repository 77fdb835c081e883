package engine

import (
	"context"
	"errors"
	"fmt"

	sm "github.com/cometbft/cometbft/state"
	"github.com/cometbft/cometbft/types"

	"walrus/ledger"
	"walrus/ledger/engine/app"
	"walrus/ledger/light"
	"walrus/ledger/merkle"
)

// source serves a Node's ledger to light clients.
type source struct{ n *Node }

var _ light.Source = source{}

// consensus returns the chain, also while it catches up: its blocks are valid all the same.
func (s source) consensus() (*chain, error) {
	s.n.mu.RLock()
	defer s.n.mu.RUnlock()
	if s.n.chain == nil {
		return nil, light.ErrUnavailable
	}
	return s.n.chain, nil
}

// Trouble implements light.Source.
func (s source) Trouble() string { return s.n.Status().Stalled }

// LightBlock implements light.Blocks.
func (s source) LightBlock(_ context.Context, height uint64) (*types.LightBlock, error) {
	c, err := s.consensus()
	if err != nil {
		return nil, err
	}
	return c.lightBlock(int64(height))
}

// lightBlock returns a header with its commit and its validators; at height 0 the newest.
func (c *chain) lightBlock(height int64) (*types.LightBlock, error) {
	blocks := c.node.BlockStore()
	top := blocks.Height()
	if height == 0 {
		height = top
	}
	if height > top || height == 0 {
		return nil, fmt.Errorf("block %d: %w", height, light.ErrBehind)
	}
	if height < blocks.Base() {
		return nil, fmt.Errorf("block %d: %w: blocks are kept from height %d on", height, light.ErrPruned, blocks.Base())
	}
	meta := blocks.LoadBlockMeta(height)
	commit := blocks.LoadBlockCommit(height) // the votes in the next block
	if commit == nil {
		commit = blocks.LoadSeenCommit(height) // the votes that this node has seen
	}
	if meta == nil || commit == nil {
		return nil, fmt.Errorf("block %d: %w", height, light.ErrPruned)
	}
	voters, err := c.state.LoadValidators(height)
	if errors.As(err, new(sm.ErrNoValSetForHeight)) {
		return nil, fmt.Errorf("block %d: %w", height, light.ErrPruned)
	}
	if err != nil {
		return nil, fmt.Errorf("read validators of block %d: %w", height, err)
	}
	return &types.LightBlock{SignedHeader: &types.SignedHeader{Header: &meta.Header, Commit: commit},
		ValidatorSet: voters}, nil
}

// Submit implements light.Blocks.
func (s source) Submit(ctx context.Context, tx []byte) error {
	err := s.n.Submit(ctx, tx)
	if errors.Is(err, ErrCatchingUp) {
		return fmt.Errorf("%w: %w", light.ErrUnavailable, err)
	}
	return err
}

// Receipt implements light.Blocks.
func (s source) Receipt(ctx context.Context, id ledger.TxID) (*light.Inclusion, error) {
	r, err := s.n.Wait(ctx, id)
	if err != nil {
		return nil, err
	}
	c, err := s.consensus()
	if err != nil {
		return nil, err
	}
	for { // until the next header, which has the hash of the results, is here
		_, moved := s.n.state()
		saved := c.blockSaved()
		if c.node.BlockStore().Height() > int64(r.Height) {
			break
		}
		select {
		case <-saved:
		case <-moved:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return s.include(ctx, c, r)
}

// include makes the proofs for a receipt. Proofs of recent blocks, for which submitters wait, do not queue behind
// proofs of old blocks, of which anybody may request many.
func (s source) include(ctx context.Context, c *chain, r ledger.Receipt) (*light.Inclusion, error) {
	from := s.n.older
	if r.Height+keptProofs > s.n.View().Height {
		from = s.n.recent
	}
	a, _ := s.n.state()
	b, err := from.of(ctx, c, a, int64(r.Height))
	if err != nil {
		return nil, err
	}
	return b.include(r)
}

// History implements light.Blocks.
func (s source) History(ctx context.Context, about ledger.Subject, before light.Position,
	limit int) (found []light.Inclusion, oldest uint64, err error) {
	c, err := s.consensus()
	if err != nil {
		return nil, 0, err
	}
	a, _ := s.n.state()
	for ctx.Err() == nil {
		receipts, err := a.History(about, app.Position(before), limit)
		if err != nil {
			return nil, 0, err
		}
		for _, r := range receipts {
			before = light.Position{Height: r.Height, Index: r.Index}
			included, err := s.include(ctx, c, r)
			switch {
			case errors.Is(err, light.ErrBehind):
				continue // in the last block: there is no proof yet
			case errors.Is(err, light.ErrPruned):
				return found, s.n.oldest(c), nil
			case err != nil:
				return nil, 0, err
			}
			if found = append(found, *included); len(found) == limit {
				return found, s.n.oldest(c), nil
			}
		}
		if len(receipts) < limit {
			break
		}
	}
	return found, s.n.oldest(c), ctx.Err()
}

// oldest returns the first height from which this node has all blocks, receipts and events.
func (n *Node) oldest(c *chain) uint64 {
	a, _ := n.state()
	kept, _, err := a.Kept()
	if first := uint64(c.node.BlockStore().Base()); err == nil {
		return max(first, kept)
	}
	return n.View().Height + 1
}

// proven returns the newest view that a signed header proves, and that header; nil if there is none.
func (s source) proven(c *chain, a *app.App) (*app.View, *types.LightBlock, error) {
	v := a.View()
	if v.Height == 0 {
		return nil, nil, nil
	}
	b, err := c.lightBlock(int64(v.Height) + 1)
	if err == nil || !errors.Is(err, light.ErrBehind) {
		return v, b, err
	}
	height := v.Height - 1
	v, ok := a.ViewAt(height)
	if !ok {
		return nil, nil, nil
	}
	b, err = c.lightBlock(int64(height) + 1)
	return v, b, err
}

// Read implements light.States.
func (s source) Read(ctx context.Context, at light.At, keys [][]byte) (*light.Reading, error) {
	c, err := s.consensus()
	if err != nil {
		return nil, err
	}
	for {
		a, moved := s.n.state()
		changed, saved := a.Changed(), c.blockSaved()
		v, b, err := s.proven(c, a)
		if err == nil && v != nil && v.Height > at.Height && at.Exact {
			v, b, err = s.provenAt(c, a, at.Height)
		}
		if err != nil {
			return nil, err
		}
		if v != nil && v.Height >= at.Height {
			return read(v, b, keys, int(at.Top))
		}
		select {
		case <-changed:
		case <-saved:
		case <-moved:
		case <-ctx.Done():
			return nil, fmt.Errorf("height %d: %w", at.Height, light.ErrBehind)
		}
	}
}

// provenAt returns the view of a height below the newest one that a signed header proves, and that header.
func (s source) provenAt(c *chain, a *app.App, height uint64) (*app.View, *types.LightBlock, error) {
	v, ok := a.ViewAt(height)
	if !ok {
		return nil, nil, fmt.Errorf("state at height %d: %w", height, light.ErrPruned)
	}
	b, err := c.lightBlock(int64(height) + 1)
	return v, b, err
}

// read returns the values of keys in v with proofs against b, and the top of the tree down to a depth; 0: none.
func read(v *app.View, b *types.LightBlock, keys [][]byte, top int) (*light.Reading, error) {
	r := &light.Reading{Height: v.Height, Block: b, Items: make([]light.Item, len(keys))}
	for i, key := range keys {
		value, err := v.Get(key)
		if err != nil {
			return nil, err
		}
		proof, err := v.Prove(key)
		if err != nil {
			return nil, err
		}
		r.Items[i] = light.Item{Value: value, Proof: proof}
	}
	var err error
	if top > 0 {
		r.Top, err = v.Top(top)
	}
	return r, err
}

// Objects implements light.States.
func (s source) Objects(_ context.Context, l light.Listing, after ledger.ObjectID,
	limit int) (list []light.Object, err error) {
	c, err := s.consensus()
	if err != nil {
		return nil, err
	}
	a, _ := s.n.state()
	v, _, err := s.proven(c, a)
	if err == nil && v != nil && l.Height > 0 && v.Height != l.Height {
		v, _, err = s.provenAt(c, a, l.Height)
	}
	if err != nil {
		return nil, err
	}
	if v == nil {
		return nil, light.ErrUnavailable
	}
	if l.Offers {
		offers, err := v.Offers(l.Account, after, limit)
		for _, id := range offers {
			list = append(list, light.Object{ID: id})
		}
		return list, err
	}
	objects, err := v.Objects(l.Account, after, limit)
	for _, o := range objects {
		list = append(list, light.Object(o))
	}
	return list, err
}

// Snapshots implements light.Snapshots.
func (s source) Snapshots(context.Context) ([]uint64, error) {
	c, err := s.consensus()
	if err != nil {
		return nil, err
	}
	a, _ := s.n.state()
	var heights []uint64
	for _, height := range a.Snapshots() {
		if height > 0 && int64(height)+2 <= c.node.BlockStore().Height() && len(heights) < light.MaxSnapshots {
			heights = append(heights, height)
		}
	}
	return heights, nil
}

// Range implements light.Snapshots.
func (s source) Range(_ context.Context, height uint64, first, last merkle.Hash, limit int) (*light.Range, error) {
	a, _ := s.n.state()
	return a.Range(height, first, last, limit)
}

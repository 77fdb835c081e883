package engine

import (
	"context"
	"errors"
	"fmt"

	"walrus/ledger"
	"walrus/ledger/engine/app"
	"walrus/ledger/engine/badgerdb"
)

// Submit lets a transaction wait for a block. It also succeeds if it waits already or is committed. Errors:
// *ledger.OpError if it is refused, ErrDisk, ErrCatchingUp.
func (n *Node) Submit(ctx context.Context, tx []byte) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if len(tx) == 0 || len(tx) > ledger.MaxTxSize {
		return &ledger.OpError{Code: ledger.CodeFormat, Op: -1, Text: fmt.Sprintf("transaction of %d bytes: must be 1 to %d",
			len(tx), ledger.MaxTxSize)}
	}
	c, err := n.running()
	if err != nil {
		return err
	}
	a, _ := n.state()
	if _, err := a.Receipt(ledger.HashTx(tx)); err == nil {
		return nil // committed: its used nonce would be refused
	} else if !errors.Is(err, ledger.ErrNotFound) {
		return err
	}
	if err := c.cfg.refuses(); err != nil {
		return fmt.Errorf("submit transaction: %w", err)
	}
	var refused *ledger.OpError
	if err := c.guard.gossip.submit(tx); errors.As(err, &refused) {
		return refused
	} else if err != nil {
		return fmt.Errorf("submit transaction: %w", err)
	}
	return nil
}

// Wait returns a transaction's receipt once it is committed, or ctx's error. If it waited here and does so no longer, a
// *ledger.OpError says why; another node may still have it.
func (n *Node) Wait(ctx context.Context, id ledger.TxID) (ledger.Receipt, error) {
	for {
		a, moved := n.state()
		changed := a.Changed()
		r, err := a.Receipt(id)
		if errors.Is(err, badgerdb.ErrClosed) && n.replaced(a) {
			continue
		}
		if !errors.Is(err, ledger.ErrNotFound) {
			return r, err
		}
		if why := a.Fate(id); why != nil {
			return ledger.Receipt{}, why
		}
		select { // nothing leaves for others without a block soon
		case <-changed:
		case <-moved:
		case <-ctx.Done():
			return ledger.Receipt{}, fmt.Errorf("wait for transaction %s: %w", id, ctx.Err())
		}
	}
}

// Block holds a block's events and receipts; see app.Block.
type Block = app.Block

// followed is the number of blocks that Follow reads at once.
const followed = 64

// Follow calls f with each block from a height on, in order and without a gap, and with every new one, until ctx ends
// or f fails; it returns that error. To continue later, remember the last height for which f has returned. Errors
// wrap ErrPruned if a height has been pruned: then read the state instead.
func (n *Node) Follow(ctx context.Context, from uint64, f func(Block) error) error {
	from = max(from, 1)
	for {
		a, moved := n.state()
		changed := a.Changed()
		blocks, err := a.Blocks(from, followed)
		if errors.Is(err, badgerdb.ErrClosed) && n.replaced(a) {
			continue
		}
		if err != nil {
			return fmt.Errorf("follow the ledger: %w", err)
		}
		for _, b := range blocks {
			if err := f(b); err != nil {
				return err
			}
			from = b.Height + 1
		}
		if len(blocks) > 0 && ctx.Err() == nil {
			continue
		}
		select {
		case <-changed:
		case <-moved:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

package gateway

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sync/errgroup"

	"walrus/gateway/pages"
	"walrus/ledger"
	"walrus/shards"
)

// Chronicle reads the ledger's blocks and transactions, with proofs. Errors for things that do not exist are
// pages.ErrNotFound.
type Chronicle interface {
	// Head returns the height of the newest block.
	Head(ctx context.Context) (uint64, error)
	// Block returns the block at a height; the caller fills in the proposer's name.
	Block(ctx context.Context, height uint64) (*pages.Block, error)
	// History returns a subject's newest transactions before a place: "" for the end, or a place named by an earlier
	// list. The account with the zero address stands for all accounts.
	History(ctx context.Context, about ledger.Subject, before string, limit int) (*pages.TransactionList, error)
	// In returns the newest transactions in a block, and whether there are more.
	In(ctx context.Context, height uint64, limit int) (list []pages.Transaction, more bool, err error)
	// Transaction returns the transaction with that ID.
	Transaction(ctx context.Context, id ledger.TxID) (*pages.Transaction, error)
	// Account returns an account with everything it owns.
	Account(ctx context.Context, a ledger.Address) (*pages.Owner, error)
}

// Sizes of pages.
const (
	ledgerBlocks       = 20
	ledgerTransactions = 25
)

// errNoChronicle is returned by a gateway whose client has no ledger to read.
var errNoChronicle = errors.New("this gateway has no access to the ledger")

// enter waits for a turn to ask the ledger. leave ends the turn.
func (e *Explorer) enter(ctx context.Context) error {
	if e.cfg.Chronicle == nil {
		return errNoChronicle
	}
	select {
	case e.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (e *Explorer) leave() { <-e.turn }

// Transactions implements pages.Data.
func (e *Explorer) Transactions(ctx context.Context, before string) (*pages.TransactionList, error) {
	if err := e.enter(ctx); err != nil {
		return nil, err
	}
	defer e.leave()
	return e.cfg.Chronicle.History(ctx, ledger.AboutAccount(ledger.Address{}), before, ledgerTransactions)
}

// Transaction implements pages.Data.
func (e *Explorer) Transaction(ctx context.Context, id ledger.TxID) (*pages.Transaction, error) {
	if err := e.enter(ctx); err != nil {
		return nil, err
	}
	defer e.leave()
	return e.cfg.Chronicle.Transaction(ctx, id)
}

// Blocks implements pages.Data.
func (e *Explorer) Blocks(ctx context.Context, before uint64) (*pages.BlockList, error) {
	if err := e.enter(ctx); err != nil {
		return nil, err
	}
	defer e.leave()
	head, err := e.cfg.Chronicle.Head(ctx)
	if err != nil {
		return nil, err
	}
	top := head
	if before > 0 {
		top = min(head, before-1)
	}
	list := &pages.BlockList{Blocks: make([]pages.Block, min(top, ledgerBlocks))}
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(4)
	for i := range list.Blocks {
		g.Go(func() error {
			b, err := e.header(gctx, top-uint64(i))
			if errors.Is(err, pages.ErrNotFound) { // nodes do not keep older blocks
				return nil
			}
			if err == nil {
				list.Blocks[i] = *b
			}
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	if i := slices.IndexFunc(list.Blocks, func(b pages.Block) bool { return b.Height == 0 }); i >= 0 {
		list.Blocks = list.Blocks[:i]
	} else if next := top - uint64(len(list.Blocks)); next > 0 {
		list.Next = next + 1
	}
	return list, nil
}

// header returns a block without its transactions, cached: a proven block never changes.
func (e *Explorer) header(ctx context.Context, height uint64) (*pages.Block, error) {
	e.mu.Lock()
	b := e.headers[height]
	e.mu.Unlock()
	if b != nil {
		return b, nil
	}
	b, err := e.cfg.Chronicle.Block(ctx, height)
	if err != nil {
		return nil, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	for h := range e.headers {
		if len(e.headers) < exploreHeaders {
			break
		}
		delete(e.headers, h)
	}
	e.headers[height] = b
	return b, nil
}

// Block implements pages.Data.
func (e *Explorer) Block(ctx context.Context, height uint64) (*pages.BlockDetail, error) {
	if err := e.enter(ctx); err != nil {
		return nil, err
	}
	defer e.leave()
	head, err := e.cfg.Chronicle.Head(ctx)
	if err != nil {
		return nil, err
	}
	if height == 0 || height > head {
		return nil, fmt.Errorf("block %d: %w: the newest is %d", height, pages.ErrNotFound, head)
	}
	b, err := e.header(ctx, height)
	if err != nil {
		return nil, err
	}
	d := &pages.BlockDetail{Block: *b, Head: head, Transactions: []pages.Transaction{}}
	if !b.Empty {
		d.Transactions, d.More, err = e.cfg.Chronicle.In(ctx, height, ledgerTransactions)
	}
	return d, err
}

// Owner implements pages.Data.
func (e *Explorer) Owner(ctx context.Context, a ledger.Address, before string) (*pages.Owner, error) {
	if err := e.enter(ctx); err != nil {
		return nil, err
	}
	defer e.leave()
	if a == (ledger.Address{}) {
		return nil, fmt.Errorf("owner %s: %w: the zero address belongs to nobody", a, pages.ErrNotFound)
	}
	s, err := e.state(ctx)
	if err != nil {
		return nil, err
	}
	o, err := e.cfg.Chronicle.Account(ctx, a)
	if err != nil {
		return nil, err
	}
	h, err := e.cfg.Chronicle.History(ctx, ledger.AboutAccount(a), before, ledgerTransactions)
	if err != nil {
		return nil, err
	}
	if o.Balance == 0 && o.Nonce == 0 && len(o.Blobs) == 0 && len(o.Storages) == 0 && len(h.Transactions) == 0 {
		return nil, fmt.Errorf("owner %s: %w: no transaction has ever used this account", a, pages.ErrNotFound)
	}
	o.TransactionList, o.Epoch = *h, s.committee.Epoch()
	return o, nil
}

// History implements pages.Data.
func (e *Explorer) History(ctx context.Context, id shards.BlobID, before string) (*pages.TransactionList, error) {
	if err := e.enter(ctx); err != nil {
		return nil, err
	}
	defer e.leave()
	return e.cfg.Chronicle.History(ctx, ledger.AboutBlob(id), before, ledgerTransactions)
}

// Record implements pages.Data.
func (e *Explorer) Record(ctx context.Context, object ledger.ObjectID) (*pages.RecordDetail, error) {
	b, err := e.client.Record(ctx, object)
	if err != nil {
		return nil, asAbsent(err)
	}
	s, err := e.state(ctx)
	if err != nil {
		return nil, err
	}
	d := &pages.RecordDetail{OwnedBlob: pages.OwnedBlob{Object: object, Blob: *b}, Epoch: s.committee.Epoch()}
	if s.network.Epoch != nil {
		d.EndTime = s.network.Epoch.At(b.End)
	}
	return d, nil
}

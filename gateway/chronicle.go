package gateway

import (
	"context"
	"errors"
	"fmt"
	"time"

	"walrus/gateway/pages"
	"walrus/ledger"
	"walrus/ledger/light"
)

// chronicle adapts a light client to Chronicle. A stalled ledger is read in its last state.
type chronicle struct{ light *light.Client }

var _ Chronicle = chronicle{}

// gone maps the light client's errors to pages.ErrNotFound and pages.ErrRange.
func gone(err error) error {
	switch {
	case errors.Is(err, ledger.ErrNotFound), errors.Is(err, light.ErrPruned), errors.Is(err, light.ErrBehind):
		return fmt.Errorf("%w: %w", pages.ErrNotFound, err)
	case errors.Is(err, light.ErrRequest):
		return fmt.Errorf("%w: %w", pages.ErrRange, err)
	}
	return err
}

func (c chronicle) Head(ctx context.Context) (uint64, error) {
	h, err := c.light.Head(ctx)
	if h.Height > 0 {
		return h.Height, nil
	}
	return 0, err
}

func (c chronicle) Block(ctx context.Context, height uint64) (*pages.Block, error) {
	h, err := c.light.Header(ctx, height)
	if err != nil {
		return nil, gone(err)
	}
	b := &pages.Block{
		Height: h.Height, Time: h.Time.UTC(), Hash: fmt.Sprintf("%x", h.Hash), Empty: h.Empty, Proposer: h.Name,
		Signed: h.Signed, Of: h.Voting,
	}
	if h.Proposer != "" {
		b.Peer = h.Proposer.String()
	}
	return b, nil
}

func (c chronicle) History(ctx context.Context, about ledger.Subject, before string,
	limit int) (*pages.TransactionList, error) {
	from, err := light.ParseCursor(before)
	if err != nil {
		return nil, gone(err)
	}
	h, err := c.light.About(ctx, about, from, limit)
	if h == nil {
		return nil, gone(err)
	}
	list := &pages.TransactionList{Transactions: make([]pages.Transaction, len(h.Entries)), Oldest: h.Oldest}
	for i := range h.Entries {
		list.Transactions[i] = newTransaction(&h.Entries[i])
	}
	if h.Next != nil {
		list.Next = h.Next.String()
	}
	return list, nil
}

func (c chronicle) In(ctx context.Context, height uint64, limit int) (list []pages.Transaction, more bool, err error) {
	h, err := c.light.History(ctx, ledger.Address{}, light.Before(light.Position{Height: height + 1}), limit)
	if h == nil {
		return nil, false, gone(err)
	}
	list = []pages.Transaction{}
	for i := range h.Entries {
		if h.Entries[i].Receipt.Height != height {
			return list, false, nil
		}
		list = append(list, newTransaction(&h.Entries[i]))
	}
	return list, h.Next != nil, nil
}

func (c chronicle) Transaction(ctx context.Context, id ledger.TxID) (*pages.Transaction, error) {
	e, err := c.light.Transaction(ctx, id)
	if err != nil {
		return nil, gone(err)
	}
	x := newTransaction(e)
	return &x, nil
}

func (c chronicle) Account(ctx context.Context, a ledger.Address) (*pages.Owner, error) {
	owned, err := c.light.Objects(ctx, a)
	if owned == nil {
		return nil, gone(err)
	}
	o := &pages.Owner{
		Address: a, Balance: owned.Account.Balance, Nonce: owned.Account.Nonce,
		Blobs: make([]pages.OwnedBlob, len(owned.Blobs)), Storages: make([]pages.OwnedStorage, len(owned.Storages)),
	}
	for i, b := range owned.Blobs {
		o.Blobs[i] = pages.OwnedBlob{Object: b.ID, Blob: b.Blob}
	}
	for i, s := range owned.Storages {
		o.Storages[i] = pages.OwnedStorage{Object: s.ID, Storage: s.Storage}
	}
	return o, nil
}

// newTransaction converts a committed transaction for the pages.
func newTransaction(e *light.Entry) pages.Transaction {
	r := &e.Receipt
	x := pages.Transaction{
		ID: r.ID, Height: r.Height, Index: r.Index, Time: time.Unix(0, r.Time).UTC(), Sender: e.Tx.Sender.Address(),
		Nonce: e.Tx.Nonce,
		Code:  r.Code.String(), Log: r.Log, Fee: r.Fee, Spent: r.Spent, Events: append([]ledger.Event{}, r.Events...),
	}
	for _, op := range e.Tx.Ops {
		x.Operations = append(x.Operations, ledger.OpName(op))
	}
	return x
}

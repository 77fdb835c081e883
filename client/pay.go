package client

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"walrus/certs"
	"walrus/internal/pause"
	"walrus/ledger"
)

// books reads the ledger and runs operations of the client's account on it.
type books struct {
	chain  Ledger // constant, as the next two
	payer  Payer  // nil: the client can only read
	commit time.Duration
}

// run has the payer run operations and returns the receipt of the committed transaction. It waits until ctx ends or the
// ledger is stalled. Errors wrap ErrNoWallet, ErrStalled, ErrUnknown or ErrNoFunds, or are a *ledger.OpError with the
// ledger's reason for refusing.
func (c *books) run(ctx context.Context, build ledger.Build) (ledger.Receipt, error) {
	if c.payer == nil {
		return ledger.Receipt{}, ErrNoWallet
	}
	moving, end := c.whileItMoves(ctx)
	defer end()
	receipt, err := c.payer.Do(moving, build)
	var refused *ledger.OpError
	var funds *ledger.FundsError
	var still *ledgerStall
	switch {
	case err == nil:
		return receipt, nil
	case errors.As(err, &funds):
		return receipt, &NoFundsError{Account: c.payer.Address(), Need: funds.Need, Have: funds.Have}
	case errors.As(context.Cause(moving), &still):
		return receipt, fmt.Errorf("the transaction was not committed within %v and may still be: %w: %w", c.commit,
			ErrUnknown, still.error)
	case errors.As(err, &refused) && (refused.Code == ledger.CodeBalance || refused.Code == ledger.CodeFee):
		return receipt, fmt.Errorf("%w: %w", ErrNoFunds, err)
	}
	return receipt, refusedAsInvalid(err)
}

// ledgerStall is the cancel cause for a transaction on a stalled ledger.
type ledgerStall struct{ error }

// whileItMoves returns a context for waiting for a transaction. It ends, with a *ledgerStall as its cause, if the
// ledger is stalled. A wait that is long because the wallet or the ledger is busy does not end it.
func (c *books) whileItMoves(ctx context.Context) (moving context.Context, end func()) {
	moving, cancel := context.WithCancelCause(ctx)
	var watch sync.WaitGroup
	watch.Go(func() {
		for pause.For(moving, c.commit) {
			if _, err := c.chain.Read(moving, ledger.KeyEpoch()); errors.Is(err, ErrStalled) && moving.Err() == nil {
				cancel(&ledgerStall{err})
			}
		}
	})
	return moving, func() {
		cancel(nil)
		watch.Wait()
	}
}

// afford checks that the payer's account can pay cost and keep its least balance.
func (c *books) afford(k known, cost Cost) error {
	need, err := cost.sum()
	if err == nil && need > cost.Fee { // fees alone may take the least balance
		need, err = need.Add(k.params.LeastBalance())
	}
	if err != nil {
		return err
	}
	if balance := k.account.Balance; balance < need {
		return &NoFundsError{Account: c.payer.Address(), Need: need, Have: balance}
	}
	return nil
}

// affording calls plan, which reads the balance. If it does not suffice, affording catches up with the ledger and calls
// plan again: the balance may come from a node that lags behind.
func (c *books) affording(ctx context.Context, plan func() error) error {
	err := plan()
	if errors.Is(err, ErrNoFunds) {
		c.chain.CatchUp(ctx)
		err = plan()
	}
	return err
}

// now reads the state that every decision needs: parameters, epoch, the payer's account (the zero Account without a
// payer), and the keys in more.
func (c *books) now(ctx context.Context, more ...[]byte) (k known, r ledger.Reader, err error) {
	return c.nowBy(ctx, c.chain.Read, more)
}

// nowBy does the work of now with read, which is c.chain.Read or Peek.
func (c *books) nowBy(ctx context.Context, read func(context.Context, ...[]byte) (ledger.Reader, error),
	more [][]byte) (k known, r ledger.Reader, err error) {
	keys := append([][]byte{ledger.KeyParams(), ledger.KeyEpoch()}, more...)
	if c.payer != nil {
		keys = append(keys, ledger.KeyAccount(c.payer.Address()))
	}
	if r, err = read(ctx, keys...); err != nil {
		return k, nil, err
	}
	if k.params, err = ledger.ReadParams(r); err != nil {
		return k, nil, err
	}
	e, err := ledger.ReadEpoch(r)
	if err != nil {
		return k, nil, err
	}
	k.epoch = e.Epoch
	if c.payer != nil {
		k.account, err = ledger.ReadAccount(r, c.payer.Address())
	}
	return k, r, err
}

// replan reports whether a transaction was refused because the state has changed since the plan was made: the epoch
// ended, or another client or another store of ours used the object first.
func replan(err error) bool {
	var refused *ledger.OpError
	if !errors.As(err, &refused) {
		return false
	}
	switch refused.Code {
	case ledger.CodeEpoch, ledger.CodeNotFound, ledger.CodeNotOwner, ledger.CodeState, ledger.CodeSize:
		return true
	}
	return false
}

// committeeAt returns the committee of an epoch that was just read from the ledger.
func (c *books) committeeAt(ctx context.Context, epoch uint32) (*certs.Committee, error) {
	_, all, err := c.chain.Committees(ctx)
	if err != nil {
		return nil, err
	}
	return all.At(epoch)
}

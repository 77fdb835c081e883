package wallet

import (
	"context"

	"walrus/certs"
	"walrus/ledger"
)

// Head is an account's state at the ledger's newest height.
type Head struct {
	Network certs.NetworkID
	Height  uint64
	Epoch   uint32
	Params  ledger.Params
	Account ledger.Account
}

// Chain gives a wallet access to the ledger.
type Chain interface {
	// Head reads the account, proven, at a height not below any earlier answer.
	Head(ctx context.Context, a ledger.Address) (Head, error)
	// CatchUp makes sure, if it can, that no later Head is older than what most nodes have.
	CatchUp(ctx context.Context)
	// Submit sends a transaction and waits for its receipt. Sending the same one twice does no harm. Errors:
	//   - *ledger.OpError: it was refused and is in no known block. With ledger.CodeNonce or ledger.CodeExpired a
	//     block may have it all the same, or another one with that nonce: see Used
	//   - ErrUnknown, or the error of ctx, wrapped: it may be in a block, or still get into one
	//   - any other: it reached no node
	Submit(ctx context.Context, tx *ledger.Tx) (ledger.Receipt, error)
	// Used returns the receipt, proven, of the transaction with which the account used a nonce. Call it if a nonce
	// turns out to be used, by this transaction or another: nothing proves that a transaction has no receipt, and a
	// caller that took a node's word for it would pay twice. ledger.ErrNotFound if no node keeps the receipt any more.
	Used(ctx context.Context, a ledger.Address, nonce uint64) (ledger.Receipt, error)
}

// Cost returns the WAL that ops take from their sender, deposits included, as far as the operations tell. It
// leaves out the fee, and ExtendBlob, whose price depends on the blob's record. Errors wrap ledger.ErrOverflow.
func Cost(p *ledger.Params, ops []ledger.Op) (ledger.Amount, error) {
	var sum ledger.Amount
	for _, op := range ops {
		cost, err := ledger.OpCost(p, op)
		if err != nil {
			return 0, err
		}
		if cost, err = cost.Add(ledger.OpDeposit(p, op)); err != nil {
			return 0, err
		}
		if sum, err = sum.Add(cost); err != nil {
			return 0, err
		}
	}
	return sum, nil
}

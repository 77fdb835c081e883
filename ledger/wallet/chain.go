package wallet

import (
	"context"

	"walrus/certs"
	"walrus/ledger"
	"walrus/shards"
)

// Head is what the ledger says of an account at its newest height.
type Head struct {
	Network certs.NetworkID
	Height  uint64
	Epoch   uint32
	Params  ledger.Params
	Account ledger.Account
}

// Chain is the ledger as a wallet needs it.
type Chain interface {
	// Head reads the account, proven, at a height no lower than that of any answer before.
	Head(ctx context.Context, a ledger.Address) (Head, error)
	// Submit sends the transaction and waits for its receipt. Sending the same one twice does no harm. It fails with
	//   - an *ledger.OpError if the transaction was refused: it is in no block that is known of. With ledger.CodeNonce or
	//     ledger.CodeExpired this may be because it, or another one, is in a block already: see Used
	//   - an error wrapping ErrUnknown or that of ctx if it may be in a block, or come to be in one
	//   - any other error if it reached nobody
	Submit(ctx context.Context, tx *ledger.Tx) (ledger.Receipt, error)
	// Used is the receipt, proven, of the transaction with which the account used a nonce. It is asked when a nonce
	// turns out to be used, by this transaction or by another one: that there is no receipt of this one could not be
	// proven, and who believed it would pay twice. It fails with ledger.ErrNotFound if nobody keeps it any more.
	Used(ctx context.Context, a ledger.Address, nonce uint64) (ledger.Receipt, error)
}

// Build composes the operations of a transaction. object is the ID of what the op-th operation, from zero, makes, for
// the operations after it; it changes with the transaction's nonce, so Build may be called more than once.
type Build = func(object func(op int) ledger.ObjectID) []ledger.Op

// Ops are operations that name no object of their own transaction.
func Ops(ops ...ledger.Op) Build {
	return func(func(int) ledger.ObjectID) []ledger.Op { return ops }
}

// Cost is what ops take from their sender, as far as they say themselves: what an ExtendBlob costs depends on the blob's
// record and is not in it, nor is the fee. Errors wrap ledger.ErrOverflow.
func Cost(p *ledger.Params, ops []ledger.Op) (ledger.Amount, error) {
	var sum ledger.Amount
	for _, op := range ops {
		cost, err := opCost(p, op)
		if err != nil {
			return 0, err
		}
		if sum, err = sum.Add(cost); err != nil {
			return 0, err
		}
	}
	return sum, nil
}

func opCost(p *ledger.Params, op ledger.Op) (ledger.Amount, error) {
	switch o := op.(type) {
	case ledger.Transfer:
		return o.Amount, nil
	case ledger.ShareBlob:
		return o.Amount, nil
	case ledger.FundBlob:
		return o.Amount, nil
	case ledger.BuyStorage:
		if o.End <= o.Start {
			return 0, nil // the ledger says what is wrong
		}
		return p.StorageCost(o.Bytes, o.End-o.Start)
	case ledger.RegisterBlob:
		coding, err := shards.NewParams(int(p.Shards))
		if err != nil || o.Size > shards.MaxLength {
			return 0, nil // the ledger says what is wrong
		}
		return p.WriteCost(uint64(coding.EncodedSize(o.Size)))
	}
	return 0, nil
}

package wallet

import (
	"context"
	"errors"
	"fmt"

	"walrus/ledger"
)

const (
	// DefaultMaxFee bounds the fee of a transaction, in multiples of the least fee: with it, a transaction can wait
	// until a node's pool is five sixths full.
	DefaultMaxFee = 10
	// bumpMaxFee is DefaultMaxFee for Bump, which somebody has asked for: nothing that nodes ask for by themselves, while
	// their pools are full, is more than 32 times the least fee.
	bumpMaxFee = 100
	// raisePart: a replacing transaction pays this part more, as nodes require.
	raisePart = 10
)

// MaxFee returns the same wallet, whose payer raises fees to at most times the least fee.
func (w *Wallet) MaxFee(times uint64) *Wallet {
	other := *w
	other.maxFee = times
	return &other
}

// raise signs a flight's transaction again with a higher fee, after nodes have asked for least. It keeps nonce and
// operations, so that one of the two takes effect, and it does not matter which. It reports false if that exceeds the
// bound.
func (p *Payer) raise(f *flight, least ledger.Amount) bool {
	fee := max(least, add(f.tx.Fee, f.tx.Fee/raisePart+1))
	if fee > f.most && least <= f.most { // a last attempt
		fee = f.most
	}
	if fee > f.most || fee <= f.tx.Fee {
		return false
	}
	raised := *f.tx
	raised.Fee = fee
	raised.Sign(p.wallet.key)
	p.mu.Lock()
	defer p.mu.Unlock()
	f.earlier[f.tx.ID()] = true
	f.need = add(f.need, fee-f.tx.Fee)
	f.tx = &raised
	if f.batch != nil {
		f.batch.tx = f.tx
	}
	return true
}

// pricedOut returns the error for a transaction that costs more than the bound.
func pricedOut(f *flight, no *ledger.OpError) error {
	return fmt.Errorf("transaction %s: the fee of %v may be raised to %v: %w; a node may still have it until height %d",
		f.tx.ID(), f.tx.Fee, f.most, no, f.tx.Expiry)
}

// ErrNothingToRaise: all transactions of a wallet have been settled.
var ErrNothingToRaise = errors.New("no transaction of this wallet waits")

// Bump sends a transaction again that Do has given up, with a higher fee: at least a tenth more, and at most most; 0
// means a bound of 100 times the least fee. A zero id means the one with the lowest nonce. Errors: ErrNothingToRaise,
// or as from Do.
func (p *Payer) Bump(ctx context.Context, id ledger.TxID, most ledger.Amount) (ledger.Receipt, error) {
	head, err := p.refresh(ctx)
	if err != nil {
		return ledger.Receipt{}, err
	}
	left := p.wallet.unpaid.read(head)
	for _, tx := range left {
		if id != (ledger.TxID{}) && tx.ID() != id {
			continue
		}
		f := &flight{tx: tx, most: most, earlier: map[ledger.TxID]bool{}, parts: []part{{}}}
		if most == 0 {
			f.most = times(head.Params.MinFee(len(tx.Marshal()), tx.Ops), bumpMaxFee)
		}
		again := *tx
		again.Expiry = head.Height + lifetime + p.salt
		f.tx = &again
		if !p.raise(f, head.Params.MinFee(len(tx.Marshal()), tx.Ops)) {
			return ledger.Receipt{}, fmt.Errorf("transaction %s: its fee is %v already, and the bound is %v: allow more", tx.ID(),
				tx.Fee, f.most)
		}
		f.earlier = map[ledger.TxID]bool{tx.ID(): true}
		receipt, _, err := p.fly(ctx, f)
		if err == nil {
			p.wallet.unpaid.forget(tx.Nonce)
			return *receipt, receipt.Err()
		}
		return ledger.Receipt{}, err
	}
	return ledger.Receipt{}, ErrNothingToRaise
}

// times returns n times a, or the greatest amount.
func times(a ledger.Amount, n uint64) ledger.Amount {
	product, err := a.Times(n)
	if err != nil {
		return ^ledger.Amount(0)
	}
	return product
}

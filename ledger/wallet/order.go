package wallet

import (
	"context"

	"walrus/ledger"
)

// order is what one call of Do wants.
type order struct {
	build Build         // called with mu held, and not after Do has returned
	done  chan struct{} // closed when the next two are known
	// receipt is the order's part of that of its transaction.
	receipt ledger.Receipt
	err     error

	batch   *batch          // the transaction it is in; nil: it waits in the queue; guarded by Payer.mu, as the rest
	gone    error           // why nobody waits for it any more
	short   bool            // it can be paid only if a transaction on its way leaves more than it may cost
	spoiled int             // transactions that failed because of others
	burnt   *ledger.Receipt // its part of the fees of those
}

// batch is the orders that go together.
type batch struct {
	cancel context.CancelCauseFunc // of its context, which lives as long as somebody waits for one of the orders

	orders  []*order // guarded by Payer.mu, as the rest
	waiting int      // orders that somebody waits for
	tx      *ledger.Tx
}

// requeue puts the orders that are not settled, and that somebody waits for, before all others.
func (p *Payer) requeue(b *batch, mark func(*order)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var again []*order
	for _, o := range b.orders {
		switch {
		case o.batch != b:
		case o.gone != nil:
			p.settleLocked(o, ledger.Receipt{}, notSent(o.gone))
		default:
			o.batch = nil
			mark(o)
			again = append(again, o)
		}
	}
	p.queue = append(again, p.queue...)
}

// settleAll ends all orders of a batch that are not settled with one error.
func (p *Payer) settleAll(b *batch, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, o := range b.orders {
		if o.batch == b {
			p.settleLocked(o, ledger.Receipt{}, err)
		}
	}
}

func (p *Payer) settle(o *order, r ledger.Receipt, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.settleLocked(o, r, err)
}

// settleLocked ends an order. Fees that it paid for nothing before are told with the receipt, or are the receipt.
func (p *Payer) settleLocked(o *order, r ledger.Receipt, err error) {
	if r.ID == (ledger.TxID{}) {
		r = o.burntReceipt()
	} else if o.burnt != nil {
		r.Fee += o.burnt.Fee
		r.Spent += o.burnt.Fee
	}
	o.receipt, o.err, o.batch = r, err, nil
	close(o.done)
}

// burn adds to what the order paid for transactions that failed because of others.
func (o *order) burn(share ledger.Receipt) {
	if o.burnt != nil {
		share.Fee += o.burnt.Fee
		share.Spent += o.burnt.Fee
	}
	o.burnt = &share
}

func (o *order) burntReceipt() ledger.Receipt {
	if o.burnt == nil {
		return ledger.Receipt{}
	}
	return *o.burnt
}

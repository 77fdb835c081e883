package wallet

import (
	"context"

	"walrus/ledger"
)

// order is one call of Do.
type order struct {
	build ledger.Build  // called with mu held, and not after Do has returned
	done  chan struct{} // closed when receipt and err are set
	// receipt is the order's part of its transaction's receipt.
	receipt ledger.Receipt
	err     error

	batch   *batch          // its transaction; nil while in the queue; guarded by Payer.mu, as are all below
	gone    error           // why its caller has given up
	short   bool            // payable only if a transaction in flight costs less than reserved
	spoiled int             // transactions that failed because of other orders
	burnt   *ledger.Receipt // its share of their fees
}

// batch is a group of orders for one transaction.
type batch struct {
	cancel context.CancelCauseFunc // ends the batch's context, once no caller waits for its orders

	orders  []*order // guarded by Payer.mu, as are all below
	waiting int      // orders whose callers still wait
	tx      *ledger.Tx
}

// requeue puts the unsettled orders whose callers still wait at the front of the queue.
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

// settleAll ends all unsettled orders of a batch with one error.
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

// settleLocked ends an order. Fees that it paid in spoiled transactions are added to the receipt, or are all of it.
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

// burn adds the order's share of a spoiled transaction's fee.
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

package wallet

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"walrus/certs"
	"walrus/ledger"
)

// flight is a transaction that was sent and has no receipt yet.
type flight struct {
	tx      *ledger.Tx           // changed by raise alone, which the goroutine of fly calls
	batch   *batch               // nil for a Bump
	earlier map[ledger.TxID]bool // IDs that it had with lower fees
	parts   []part
	need    ledger.Amount // most that it may cost
	most    ledger.Amount // bound on its fee
}

// is reports whether a transaction is this one, with whatever fee.
func (f *flight) is(id ledger.TxID) bool { return f.tx.ID() == id || f.earlier[id] }

// part is one order's share of a transaction.
type part struct {
	order *order
	first int // index of its first operation
	ops   int
	own   ledger.Amount // what these operations add to the least fee, by their bytes and work
}

// compose makes a signed transaction of a batch's orders. Orders that do not fit go back to the queue; malformed and
// unpayable ones are settled with their error. Nil if no order is left.
func (p *Payer) compose(ctx context.Context, b *batch) (*flight, error) {
	for again := false; ; again = true {
		if again {
			p.chain.CatchUp(ctx) // the node that gave the head may lag behind
		}
		head, err := p.current(ctx, again)
		if err != nil {
			return nil, err
		}
		turn, err := p.shared.take(ctx, head.Network, p.wallet.address)
		if err != nil {
			return nil, notSent(err)
		}
		f, short := p.draft(b, &head, turn.nonce(head.Account.Nonce), again)
		if f != nil {
			turn.used(f.tx.Nonce)
		}
		turn.end()
		if !short {
			return f, nil
		}
	}
}

// current returns the head, read again if it is older than headAge or if must is set.
func (p *Payer) current(ctx context.Context, must bool) (Head, error) {
	p.mu.Lock()
	head, old := p.head, time.Since(p.read) > headAge
	p.mu.Unlock()
	if must || old {
		return p.refresh(ctx)
	}
	return head, nil
}

// refresh reads the head from the chain.
func (p *Payer) refresh(ctx context.Context) (Head, error) {
	head, err := p.chain.Head(ctx, p.wallet.address)
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		return head, fmt.Errorf("read account %s: %w", p.wallet.address, err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if head.Height >= p.head.Height {
		p.head, p.read = head, time.Now()
	}
	return p.head, nil
}

// draft does compose's work with a given nonce. short means that the balance in the head does not cover all orders, so
// it must be read again. With the newest head it is never set.
func (p *Payer) draft(b *batch, head *Head, nonce uint64, newest bool) (f *flight, short bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	balance := head.Account.Balance
	for _, other := range p.flights {
		balance -= min(balance, other.need)
	}
	tx := &ledger.Tx{Network: head.Network, Nonce: nonce, Expiry: head.Height + lifetime + p.salt}
	size, need := len(tx.Marshal()), ledger.Amount(0)
	f = &flight{tx: tx, batch: b, earlier: map[ledger.TxID]bool{}}
	var later []*order
	for _, o := range b.orders {
		if o.batch != b {
			continue
		}
		if o.gone != nil {
			p.settleLocked(o, ledger.Receipt{}, notSent(o.gone))
			continue
		}
		first := len(tx.Ops)
		ops := o.build(func(op int) ledger.ObjectID { return ledger.NewObjectID(p.wallet.address, nonce, first+op) })
		bytes, cost, err := appraise(head, ops)
		if err != nil {
			p.settleLocked(o, ledger.Receipt{}, err)
			b.waiting--
			continue
		}
		sum := add(need, cost)
		switch total := add(sum, head.Params.MinFee(size+bytes, append(tx.Ops, ops...))); {
		case first+len(ops) > ledger.MaxOps || size+bytes > ledger.MaxTxSize ||
			first > 0 && head.Params.Work(size+bytes, append(tx.Ops, ops...)) > ledger.MaxBlockWork/4:
			later = append(later, o)
			continue
		case total > balance && !newest:
			return nil, true
		case total > balance && len(f.parts)+len(p.flights) > 0: // wait: others may cost less than they reserve
			o.short = true
			later = append(later, o)
			continue
		case total > balance:
			p.settleLocked(o, ledger.Receipt{}, &ledger.FundsError{Need: total, Have: balance})
			b.waiting--
			continue
		}
		f.parts = append(f.parts, part{o, first, len(ops), head.Params.OpsFee(bytes, ops)})
		tx.Ops, size, need = append(tx.Ops, ops...), size+bytes, sum
	}
	p.putOffLocked(b, later)
	if len(f.parts) == 0 {
		return nil, false
	}
	tx.Fee = head.Params.MinFee(size, tx.Ops)
	tx.Sign(p.wallet.key)
	f.need, f.most = add(need, tx.Fee), times(tx.Fee, max(p.wallet.maxFee, 1))
	p.flights = append(p.flights, f)
	b.tx = tx
	return f, false
}

// putOffLocked returns orders to the queue for the next transaction.
func (p *Payer) putOffLocked(b *batch, orders []*order) {
	for _, o := range orders {
		o.batch = nil
		b.waiting--
	}
	p.queue = append(orders, p.queue...)
}

// appraise checks an order's operations on their own, before they can spoil a shared transaction. It returns their size
// in a transaction and their cost, as far as Cost knows it.
func appraise(head *Head, ops []ledger.Op) (bytes int, cost ledger.Amount, err error) {
	tx := ledger.Tx{Ops: ops}
	raw := tx.Marshal()
	if _, err := ledger.UnmarshalTx(raw); err != nil {
		return 0, 0, fmt.Errorf("compose transaction: %w", err)
	}
	for i, op := range ops {
		if refused := stale(op, head.Epoch); refused != nil {
			refused.Op = i
			return 0, 0, refused
		}
	}
	cost, err = Cost(&head.Params, ops)
	if err != nil { // more than all WAL
		cost = math.MaxUint64
	}
	tx.Ops = nil
	return len(raw) - len(tx.Marshal()), cost, nil
}

// stale returns the ledger's reason to refuse an operation composed for an epoch that has ended; nil for others.
func stale(op ledger.Op, now uint32) *ledger.OpError {
	switch o := op.(type) {
	case ledger.BuyStorage:
		if o.Start < now {
			return &ledger.OpError{Code: ledger.CodeEpoch,
				Text: fmt.Sprintf("storage from epoch %d: the current epoch is %d", o.Start, now)}
		}
	case ledger.CertifyBlob:
		if c, err := certs.UnmarshalCertificate(o.Certificate); err == nil && c.Epoch < now {
			return &ledger.OpError{Code: ledger.CodeCertificate,
				Text: fmt.Sprintf("certificate of epoch %d: the current epoch is %d", c.Epoch, now)}
		}
	}
	return nil
}

// add returns a+b, or the greatest Amount on overflow.
func add(a, b ledger.Amount) ledger.Amount {
	sum, err := a.Add(b)
	if err != nil {
		return math.MaxUint64
	}
	return sum
}

// partOf returns the index of the part with an operation; 0 if no part has it.
func (f *flight) partOf(op int) int {
	for i := range f.parts {
		if at := f.parts[i]; op >= at.first && op < at.first+at.ops {
			return i
		}
	}
	return 0
}

// receipt returns the i-th order's part of the transaction's receipt. The parts add up to the whole.
func (f *flight) receipt(r *ledger.Receipt, i int) ledger.Receipt {
	if len(f.parts) == 1 {
		return *r
	}
	own, part := *r, f.parts[i]
	own.Fee = f.fee(r.Fee, i)
	own.Spent, own.Events = own.Fee, nil
	if r.Op >= 0 {
		own.Op = r.Op - part.first // outside of the part's range if another order's operation failed
	}
	starts := eventStarts(r.Events)
	if len(starts) != len(f.tx.Ops) { // the transaction failed
		return own
	}
	starts = append(starts, len(r.Events))
	for op := part.first; op < part.first+part.ops; op++ {
		own.Spent += f.spent(f.tx.Ops[op], &r.Events[starts[op]])
	}
	own.Events = r.Events[starts[part.first]:starts[part.first+part.ops]]
	return own
}

// eventStarts returns the index of each operation's first event. An operation has one; only one that pushes a bond out
// has another, of the bond's return.
func eventStarts(events []ledger.Event) (starts []int) {
	for i := range events {
		if events[i].Kind != ledger.EventBondReturned {
			starts = append(starts, i)
		}
	}
	return starts
}

// fee returns the i-th order's share of a fee: for its own bytes and work, plus an equal share of the rest. The first
// pays the remainder.
func (f *flight) fee(fee ledger.Amount, i int) ledger.Amount {
	rest, n := fee, ledger.Amount(len(f.parts))
	for _, other := range f.parts {
		rest -= min(rest, other.own)
	}
	own := f.parts[i].own + rest/n
	if i == 0 {
		own += rest % n
	}
	return own
}

// spent returns the WAL that an operation took from its sender, by its event.
func (f *flight) spent(op ledger.Op, e *ledger.Event) ledger.Amount {
	switch o := op.(type) {
	case ledger.Transfer:
		if o.To == f.tx.Sender.Address() {
			return 0
		}
		return e.Amount
	case ledger.ExtendBlob:
		if o.FromFunds {
			return 0
		}
		return e.Amount
	case ledger.BuyStorage, ledger.RegisterBlob, ledger.ShareBlob, ledger.FundBlob, ledger.BondMonitor:
		return e.Amount
	}
	return 0
}

// notSent reports why nothing was sent.
func notSent(why error) error { return fmt.Errorf("compose transaction: %w", why) }

// unknown returns the error for a transaction whose fate is unknown.
func unknown(tx *ledger.Tx, err error) error {
	if !errors.Is(err, ErrUnknown) {
		err = fmt.Errorf("%w: %w", ErrUnknown, err)
	}
	return fmt.Errorf("transaction %s: %w: check the wallet's history before you try again", tx.ID(), err)
}

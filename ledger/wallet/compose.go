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

// flight is a transaction on its way.
type flight struct {
	tx      *ledger.Tx
	parts   []part
	need    ledger.Amount // what it may cost
	feeByte ledger.Amount
}

// part is what one order has in a transaction.
type part struct {
	order *order
	first int // its first operation
	ops   int
	bytes int // of these operations
}

// compose makes a signed transaction of the orders of a batch. Those that do not fit go back into the queue, and those that
// cannot be paid or are malformed are settled; nil if none is left.
func (p *Payer) compose(ctx context.Context, b *batch) (*flight, error) {
	for again := false; ; again = true {
		head, fresh, err := p.current(ctx, again)
		if err != nil {
			return nil, err
		}
		turn, err := p.shared.take(ctx, head.Network, p.wallet.address)
		if err != nil {
			return nil, notSent(err)
		}
		f, short := p.draft(b, &head, turn.nonce(head.Account.Nonce), fresh)
		if f != nil {
			turn.used(f.tx.Nonce)
		}
		turn.end()
		if !short {
			return f, nil
		}
	}
}

// current is the head, read again if it is old or must be fresh.
func (p *Payer) current(ctx context.Context, must bool) (head Head, fresh bool, err error) {
	p.mu.Lock()
	head, fresh = p.head, must || time.Since(p.read) > headAge
	p.mu.Unlock()
	if fresh {
		head, err = p.refresh(ctx)
	}
	return head, fresh, err
}

// refresh reads the head.
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

// draft is compose with a nonce. short says that the balance seems not to be enough for all, and must be read: unless the
// head is fresh.
func (p *Payer) draft(b *batch, head *Head, nonce uint64, fresh bool) (f *flight, short bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	balance := head.Account.Balance
	for _, other := range p.flights {
		balance -= min(balance, other.need)
	}
	tx := &ledger.Tx{Network: head.Network, Nonce: nonce, Expiry: head.Height + lifetime + p.salt}
	size, need := len(tx.Marshal()), ledger.Amount(0)
	f = &flight{tx: tx, feeByte: head.Params.FeeByte}
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
		switch total := add(sum, head.Params.MinFee(size+bytes)); {
		case first+len(ops) > ledger.MaxOps || size+bytes > ledger.MaxTxSize:
			later = append(later, o)
			continue
		case total > balance && !fresh:
			return nil, true
		case total > balance && len(f.parts)+len(p.flights) > 0: // unless others cost less, or one of them fails
			o.short = true
			later = append(later, o)
			continue
		case total > balance:
			p.settleLocked(o, ledger.Receipt{}, &ledger.FundsError{Need: total, Have: balance})
			b.waiting--
			continue
		}
		f.parts = append(f.parts, part{o, first, len(ops), bytes})
		tx.Ops, size, need = append(tx.Ops, ops...), size+bytes, sum
	}
	p.putOffLocked(b, later)
	if len(f.parts) == 0 {
		return nil, false
	}
	tx.Fee = head.Params.MinFee(size)
	tx.Sign(p.wallet.key)
	f.need = add(need, tx.Fee)
	p.flights = append(p.flights, f)
	b.tx = tx
	return f, false
}

// putOffLocked leaves orders for the next transaction.
func (p *Payer) putOffLocked(b *batch, orders []*order) {
	for _, o := range orders {
		o.batch = nil
		b.waiting--
	}
	p.queue = append(orders, p.queue...)
}

// appraise checks operations by themselves, before they can spoil a transaction for others, and tells their size in it and
// what they cost as far as that is known.
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
	if err != nil { // it is more than there can be
		cost = math.MaxUint64
	}
	tx.Ops = nil
	return len(raw) - len(tx.Marshal()), cost, nil
}

// stale is why the ledger would refuse an operation that was made for an epoch that has ended.
func stale(op ledger.Op, now uint32) *ledger.OpError {
	switch o := op.(type) {
	case ledger.BuyStorage:
		if o.Start < now {
			return &ledger.OpError{Code: ledger.CodeEpoch, Text: fmt.Sprintf("storage from epoch %d: this is epoch %d", o.Start, now)}
		}
	case ledger.CertifyBlob:
		if c, err := certs.UnmarshalCertificate(o.Certificate); err == nil && c.Epoch < now {
			return &ledger.OpError{Code: ledger.CodeCertificate, Text: fmt.Sprintf("a certificate of epoch %d: this is epoch %d", c.Epoch, now)}
		}
	}
	return nil
}

// add is the sum, or the most there can be.
func add(a, b ledger.Amount) ledger.Amount {
	sum, err := a.Add(b)
	if err != nil {
		return math.MaxUint64
	}
	return sum
}

// partOf is the part that has an operation; the first for none.
func (f *flight) partOf(op int) int {
	for i := range f.parts {
		if at := f.parts[i]; op >= at.first && op < at.first+at.ops {
			return i
		}
	}
	return 0
}

// receipt is the i-th order's part of the transaction's receipt. The parts add up to the whole.
func (f *flight) receipt(r *ledger.Receipt, i int) ledger.Receipt {
	if len(f.parts) == 1 {
		return *r
	}
	own, part := *r, f.parts[i]
	own.Fee = f.fee(r.Fee, i)
	own.Spent, own.Events = own.Fee, nil
	if r.Op >= 0 {
		own.Op = r.Op - part.first // of another order: below zero, or beyond
	}
	if len(r.Events) != len(f.tx.Ops) { // it failed
		return own
	}
	own.Events = r.Events[part.first : part.first+part.ops]
	for at, e := range own.Events { // each operation has one
		own.Spent += f.spent(f.tx.Ops[part.first+at], &e)
	}
	return own
}

// fee is the i-th order's part of a fee: its own bytes, and the same part of the rest as the others, the first a little more.
func (f *flight) fee(fee ledger.Amount, i int) ledger.Amount {
	rest, n := fee, ledger.Amount(len(f.parts))
	for _, other := range f.parts {
		rest -= min(rest, f.feeByte*ledger.Amount(other.bytes))
	}
	own := f.feeByte*ledger.Amount(f.parts[i].bytes) + rest/n
	if i == 0 {
		own += rest % n
	}
	return own
}

// spent is what an operation took from its sender, by its event.
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
	case ledger.BuyStorage, ledger.RegisterBlob, ledger.ShareBlob, ledger.FundBlob:
		return e.Amount
	}
	return 0
}

// notSent is why nothing was sent.
func notSent(why error) error { return fmt.Errorf("compose transaction: %w", why) }

// unknown is what to say of a transaction whose fate is not known.
func unknown(tx *ledger.Tx, err error) error {
	if !errors.Is(err, ErrUnknown) {
		err = fmt.Errorf("%w: %w", ErrUnknown, err)
	}
	return fmt.Errorf("transaction %s: %w: look for it in the wallet's history before you try again", tx.ID(), err)
}

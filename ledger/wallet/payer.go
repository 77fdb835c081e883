package wallet

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"walrus/internal/pause"
	"walrus/ledger"
)

const (
	// lifetime is the number of heights for which a transaction may wait: minutes, even with the fastest blocks.
	lifetime = 1000
	// maxSalt bounds the heights that a payer adds to lifetime, chosen once at random. Without them two processes
	// that make the same payment from one wallet at once would compose the same transaction, and pay once.
	maxSalt = 1024
	// headAge: a head this old is read again before composing. The ledger grows by far less than lifetime in that
	// time.
	headAge = 10 * time.Second
	// maxFlights bounds the transactions in flight. A receipt takes two blocks, so each block can have one.
	maxFlights = 2
	// maxOrders bounds the orders in one transaction, beside its own limits: a failing order wastes its neighbours'
	// fees.
	maxOrders = 100
	// maxSpoiled: after this many transactions spoiled by others, an order goes alone.
	maxSpoiled = 2
)

// Payer runs operations on one ledger and pays for them with one wallet. It is safe for concurrent use. It has two
// transactions in flight at a time; orders that come meanwhile share the next one. Processes on one machine take
// nonces in turn, through a file beside the wallet's. Between machines, one of two transactions with the same nonce
// wins, and the other is composed again once that is proven.
type Payer struct {
	wallet *Wallet // constant, as are the next four
	chain  Chain
	salt   uint64 // heights added to lifetime; below maxSalt
	most   int    // limit on workers, and so on flights
	shared *shared

	mu      sync.Mutex
	queue   []*order // waiting for the next transaction; guarded by mu, as are all below
	workers int      // running calls of work
	flights []*flight
	head    Head      // as read, then updated from receipts
	read    time.Time // when head was last true; zero if it must be read
	lost    int       // nonces in a row that others took
}

// NewPayer makes a payer. It reads nothing yet.
func NewPayer(w *Wallet, chain Chain) *Payer {
	return &Payer{wallet: w, chain: chain, salt: rand.Uint64N(maxSalt), most: maxFlights, shared: newShared(w.lockPath)}
}

// Address of the account that pays.
func (p *Payer) Address() ledger.Address { return p.wallet.address }

// SignToken signs an upload token as the account.
func (p *Payer) SignToken(t *ledger.UploadToken) { t.Sign(p.wallet.key) }

// Do runs operations and waits for the receipt. They go alone or share a transaction with concurrent calls, at the
// least fee. The receipt is this call's part: its own events and costs, with operations counted from its own first.
// Other calls do not matter: if an operation of theirs fails, the rest goes into a new transaction. Do retries until
// ctx ends. Errors:
//   - *ledger.FundsError: the account does not have enough; nothing was sent
//   - *ledger.OpError: the ledger refused the transaction, or it failed; if it failed, the receipt is returned as well,
//     because the fee is paid
//   - ErrUnknown: there was no answer; it may have taken effect, or may until it expires
//   - an error of Chain: the transaction reached no node
//   - ledger.ErrFormat, wrapped: the operations are malformed
func (p *Payer) Do(ctx context.Context, build ledger.Build) (ledger.Receipt, error) {
	if ctx.Err() != nil { // a worker could be faster than the select below
		return ledger.Receipt{}, notSent(context.Cause(ctx))
	}
	o := &order{build: build, done: make(chan struct{})}
	p.mu.Lock()
	p.queue = append(p.queue, o)
	more := p.workers < p.most
	if more {
		p.workers++
	}
	p.mu.Unlock()
	if more {
		go p.work(context.WithoutCancel(ctx))
	}
	select {
	case <-o.done:
		return o.receipt, o.err
	case <-ctx.Done():
		return p.leave(o, context.Cause(ctx))
	}
}

// leave gives up an order. The last caller to leave a transaction cancels it.
func (p *Payer) leave(o *order, why error) (ledger.Receipt, error) {
	p.mu.Lock()
	o.gone = why
	b := o.batch
	if b == nil { // settled, or still in the queue
		p.queue = slices.DeleteFunc(p.queue, func(other *order) bool { return other == o })
		p.mu.Unlock()
		select {
		case <-o.done:
			return o.receipt, o.err
		default:
			return o.burntReceipt(), notSent(why)
		}
	}
	tx := b.tx
	b.waiting--
	last := b.waiting == 0
	p.mu.Unlock()
	switch {
	case last:
		b.cancel(why)
		<-o.done
		return o.receipt, o.err
	case tx == nil:
		return ledger.Receipt{}, notSent(why)
	}
	return ledger.Receipt{}, unknown(tx, why)
}

// work sends transactions until the queue is empty.
func (p *Payer) work(ctx context.Context) {
	for {
		ctx, cancel := context.WithCancelCause(ctx)
		b := p.next(cancel)
		if b == nil {
			cancel(nil)
			return
		}
		p.run(ctx, b)
		cancel(nil)
	}
}

// next takes the orders of the next transaction from the queue. It returns nil, which ends the worker, if the queue
// is empty or waits for WAL that transactions in flight may leave.
func (p *Payer) next(cancel context.CancelCauseFunc) *batch {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.queue) == 0 || p.queue[0].short && len(p.flights) > 0 {
		p.workers--
		return nil
	}
	n := 1
	if p.queue[0].spoiled < maxSpoiled {
		for n < len(p.queue) && n < maxOrders && p.queue[n].spoiled < maxSpoiled {
			n++
		}
	}
	b := &batch{cancel: cancel, orders: slices.Clone(p.queue[:n]), waiting: n}
	p.queue = slices.Delete(p.queue, 0, n)
	for _, o := range b.orders {
		o.batch, o.short = b, false
	}
	return b
}

// run sends one transaction and settles or requeues its orders.
func (p *Payer) run(ctx context.Context, b *batch) {
	f, err := p.compose(ctx, b)
	if f == nil {
		p.settleAll(b, err)
		return
	}
	receipt, fate, err := p.fly(ctx, f)
	p.end(f, receipt)
	switch {
	case fate == landed:
		p.land(b, f, receipt)
	case fate == overtaken:
		p.retry(ctx, b, err)
	case fate == refused && len(f.parts) > 1: // one of them may be the reason
		p.requeue(b, func(o *order) { o.spoiled = maxSpoiled })
	default:
		p.settleAll(b, err)
	}
}

// end removes a transaction from those in flight. A receipt updates the head. Without one, or if the transaction
// failed, the head must be read again: there may be a new epoch, or less WAL than assumed.
func (p *Payer) end(f *flight, r *ledger.Receipt) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.flights = slices.DeleteFunc(p.flights, func(other *flight) bool { return other == f })
	if r == nil {
		p.read = time.Time{}
		return
	}
	p.lost = 0
	p.head.Account.Nonce = max(p.head.Account.Nonce, f.tx.Nonce+1)
	// A balance read after the transaction has this subtracted twice; before an order is refused for funds, it is
	// read again.
	p.head.Account.Balance -= min(p.head.Account.Balance, r.Spent)
	if r.Height > p.head.Height {
		p.head.Height, p.read = r.Height, time.Now()
	}
	if r.Code != ledger.CodeOK {
		p.read = time.Time{}
	}
}

const (
	// minBackoff and maxBackoff bound the random pause before an overtaken transaction is composed again. It doubles
	// with each nonce in a row that others took, so that one of two competing payers comes first.
	minBackoff = 20 * time.Millisecond
	maxBackoff = 2 * time.Second
)

// retry requeues the orders of a transaction whose nonce another one used.
func (p *Payer) retry(ctx context.Context, b *batch, why error) {
	p.mu.Lock()
	b.tx = nil // these orders no longer have a transaction in flight
	most := maxBackoff
	if p.lost < 7 {
		most = min(minBackoff<<p.lost, maxBackoff)
	}
	p.lost++
	lost := p.lost
	p.mu.Unlock()
	if !pause.For(ctx, rand.N(most)) {
		p.settleAll(b, fmt.Errorf("other transactions took the nonce %d times in a row, last: %w: %w", lost, why,
			notSent(context.Cause(ctx))))
		return
	}
	p.requeue(b, func(*order) {})
}

// land settles the orders of a committed transaction. If it failed, it settles the guilty one and requeues the
// others.
func (p *Payer) land(b *batch, f *flight, r *ledger.Receipt) {
	if r.Code == ledger.CodeOK || len(f.parts) == 1 {
		for i := range f.parts {
			p.settle(f.parts[i].order, f.receipt(r, i), r.Err())
		}
		return
	}
	guilty := f.partOf(r.Op)
	for i := range f.parts {
		share := f.receipt(r, i)
		if o := f.parts[i].order; i == guilty {
			p.settle(o, share, share.Err())
		} else {
			p.mu.Lock()
			o.burn(share)
			p.mu.Unlock()
		}
	}
	p.requeue(b, func(o *order) { o.spoiled++ })
}

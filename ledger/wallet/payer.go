package wallet

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"walrus/ledger"
)

const (
	// lifetime is for how many heights a transaction may wait: minutes, even of the fastest blocks.
	lifetime = 1000
	// maxSalt bounds how many heights more a payer adds, chosen once at random: two processes that pay the same with one
	// wallet at the same time would otherwise compose the very same transaction, and pay once.
	maxSalt = 1024
	// headAge is how long a height is good for composing: the ledger goes on by far less than lifetime.
	headAge = 10 * time.Second
	// maxFlights bounds the transactions on their way: a receipt takes two blocks, so each block can have one.
	maxFlights = 2
	// maxOrders bounds what goes into one transaction, beside its own bounds: one that fails takes its neighbours' fees along.
	maxOrders = 100
	// maxSpoiled is how often an order goes with others again after one of them failed; then it goes alone.
	maxSpoiled = 2
)

// Payer runs operations on one ledger and pays for them with one wallet. It is safe for concurrent use. Two transactions
// are on their way at a time; what is asked for meanwhile goes into the next one, together. Processes on one machine take
// nonces in turn, by a file beside the wallet's. Where that is not possible, as between machines, one of two transactions
// with the same nonce wins, and the other one is composed anew once that is proven.
type Payer struct {
	wallet *Wallet // constant, as the next four
	chain  Chain
	salt   uint64 // below maxSalt
	most   int    // transactions on their way
	shared *shared

	mu      sync.Mutex
	queue   []*order // that wait for the next transaction; guarded by mu, as the rest
	workers int      // that run work
	flights []*flight
	head    Head      // as read, or brought forward by receipts
	read    time.Time // when head was true last; zero when it must be read
	lost    int       // nonces that others took in a row
}

// NewPayer makes a payer. It reads nothing yet.
func NewPayer(w *Wallet, chain Chain) *Payer {
	return &Payer{wallet: w, chain: chain, salt: rand.Uint64N(maxSalt), most: maxFlights, shared: newShared(w.lockPath)}
}

// Address of the account that pays.
func (p *Payer) Address() ledger.Address { return p.wallet.address }

// Do runs the operations, alone or in one transaction with those of others who call it at the same time, with the least
// fee, and waits for the receipt: of a common transaction, this call's part, with its own events and costs, and operations
// counted from its own first. What others have in the transaction does not matter: if one of theirs fails, the rest goes
// into another one. Do goes on until ctx ends. It fails with
//   - *ledger.FundsError if the account has not enough; nothing was sent
//   - *ledger.OpError if the ledger refused the transaction, or if it failed; then the receipt is returned too, since
//     the fee is paid
//   - ErrUnknown if there was no answer: it may have taken effect, or may until it expires
//   - what Chain fails with, if the transaction reached nobody
//   - an error wrapping ledger.ErrFormat if the operations make no transaction
func (p *Payer) Do(ctx context.Context, build Build) (ledger.Receipt, error) {
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

// leave gives up an order. If nobody else waits for the transaction it is in, that is given up too.
func (p *Payer) leave(o *order, why error) (ledger.Receipt, error) {
	p.mu.Lock()
	o.gone = why
	b := o.batch
	if b == nil { // it is settled, or waits in the queue
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

// work sends transactions until nothing waits.
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

// next takes from the queue what goes together. Nil ends the worker: when nothing waits, or only for WAL that the
// transactions of other workers may leave.
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

// run sends one transaction to its end.
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
	case fate == refused && len(f.parts) > 1: // perhaps because of one of them
		p.requeue(b, func(o *order) { o.spoiled = maxSpoiled })
	default:
		p.settleAll(b, err)
	}
}

// end takes a transaction from those on their way. A receipt brings the head forward; without one, or if it failed, the
// head is to be read again: there may be a new epoch, or less WAL than was thought.
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
	// If the balance was read after that already, it is read again before anything is called too dear.
	p.head.Account.Balance -= min(p.head.Account.Balance, r.Spent)
	if r.Height > p.head.Height {
		p.head.Height, p.read = r.Height, time.Now()
	}
	if r.Code != ledger.CodeOK {
		p.read = time.Time{}
	}
}

const (
	// minBackoff and maxBackoff bound the random pause before a transaction is composed anew, which doubles with each nonce
	// that others took: of two payers one is first next time.
	minBackoff = 20 * time.Millisecond
	maxBackoff = 2 * time.Second
)

// retry composes anew what lost its nonce to another transaction.
func (p *Payer) retry(ctx context.Context, b *batch, why error) {
	p.mu.Lock()
	b.tx = nil // nothing of these orders is under way any more
	most := maxBackoff
	if p.lost < 7 {
		most = min(minBackoff<<p.lost, maxBackoff)
	}
	p.lost++
	lost := p.lost
	p.mu.Unlock()
	if sleep(ctx, rand.N(most)) != nil {
		p.settleAll(b, fmt.Errorf("others took the nonce %d times, the last time: %w: %w", lost, why, notSent(context.Cause(ctx))))
		return
	}
	p.requeue(b, func(*order) {})
}

// land tells the orders of a transaction what became of them.
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

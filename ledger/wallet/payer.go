package wallet

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
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
	// maxFlights bounds the transactions that wait for their receipts at once. A node holds some 256 of an account.
	maxFlights = 64
	// maxComposed bounds how often operations are composed anew because others took their nonce.
	maxComposed = 10
)

// Payer runs operations on one ledger and pays for them with one wallet. It is safe for concurrent use: transactions
// follow each other without waiting for receipts. Of two payers with the same key, in two processes, one is told from
// time to time that its nonce is used, and composes its transaction anew.
type Payer struct {
	wallet *Wallet // constant, as is chain
	chain  Chain
	salt   uint64 // constant, below maxSalt

	turn    chan struct{} // full while somebody has what follows
	head    Head          // as read, or brought forward by receipts
	read    time.Time     // when head was true last; zero before it was read
	departs time.Time     // when the last flight departs
	flights []*flight     // by nonce
}

// flight is a transaction on its way.
type flight struct {
	tx      *ledger.Tx
	need    ledger.Amount
	departs time.Time     // not before that
	done    chan struct{} // closed when it is no more on its way
}

// NewPayer makes a payer. It reads nothing yet.
func NewPayer(w *Wallet, chain Chain) *Payer {
	return &Payer{wallet: w, chain: chain, salt: rand.Uint64N(maxSalt), turn: make(chan struct{}, 1)}
}

// Address of the account that pays.
func (p *Payer) Address() ledger.Address { return p.wallet.address }

// Do composes a transaction with the least fee, sends it and waits for its receipt. It fails with
//   - *ledger.FundsError if the account has not enough; nothing was sent
//   - *ledger.OpError if the ledger refused the transaction, or if it failed; then the receipt is returned too, since
//     the fee is paid
//   - ErrUnknown if there was no answer: it may have taken effect, or may until it expires
//   - what Chain fails with, if the transaction reached nobody
//   - an error wrapping ledger.ErrFormat if the operations make no transaction
func (p *Payer) Do(ctx context.Context, build Build) (ledger.Receipt, error) {
	var refused error
	for range maxComposed {
		f, err := p.compose(ctx, build)
		if err != nil {
			return ledger.Receipt{}, err
		}
		receipt, again, err := p.send(ctx, f)
		if !again {
			return receipt, err
		}
		refused = err
	}
	return ledger.Receipt{}, fmt.Errorf("other transactions of %s keep taking the nonce: is the wallet used twice?: %w", p.wallet.address, refused)
}

// hold waits for the turn, which release gives back.
func (p *Payer) hold(ctx context.Context) error {
	select {
	case p.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (p *Payer) release() { <-p.turn }

// compose makes a signed transaction of its own nonce and counts it among the flights.
func (p *Payer) compose(ctx context.Context, build Build) (*flight, error) {
	for {
		if err := p.hold(ctx); err != nil {
			return nil, fmt.Errorf("compose transaction: %w", err)
		}
		f, wait, err := p.tryCompose(ctx, build)
		p.release()
		if f != nil || err != nil {
			return f, err
		}
		select {
		case <-wait:
		case <-ctx.Done():
			return nil, fmt.Errorf("compose transaction: %w", ctx.Err())
		}
	}
}

// tryCompose is compose by who has the turn. It may say to wait for another flight to end before trying again.
func (p *Payer) tryCompose(ctx context.Context, build Build) (f *flight, wait chan struct{}, err error) {
	if len(p.flights) >= maxFlights {
		return nil, p.flights[0].done, nil
	}
	if time.Since(p.read) > headAge {
		if err := p.refresh(ctx); err != nil {
			return nil, nil, err
		}
	}
	f, err = p.draft(build)
	if err != nil {
		return nil, nil, err
	}
	if p.short(f) { // unless WAL came in since
		if err := p.refresh(ctx); err != nil {
			return nil, nil, err
		}
		if f, err = p.draft(build); err != nil {
			return nil, nil, err
		}
		if p.short(f) && len(p.flights) > 0 { // unless one of them fails, or is in the balance already
			return nil, p.flights[0].done, nil
		}
		if p.short(f) {
			return nil, nil, &ledger.FundsError{Need: f.need, Have: p.head.Account.Balance}
		}
	}
	now := time.Now()
	if f.departs = p.departs.Add(spacing); f.departs.Before(now) {
		f.departs = now
	}
	p.departs = f.departs
	at, _ := p.find(f.tx.Nonce)
	p.flights = slices.Insert(p.flights, at, f)
	return f, nil, nil
}

// refresh reads the head.
func (p *Payer) refresh(ctx context.Context) error {
	head, err := p.chain.Head(ctx, p.wallet.address)
	if err != nil {
		return fmt.Errorf("read account %s: %w", p.wallet.address, err)
	}
	p.head, p.read = head, time.Now()
	return nil
}

// draft makes the transaction for the least nonce that is free.
func (p *Payer) draft(build Build) (*flight, error) {
	nonce := p.head.Account.Nonce
	for _, f := range p.flights {
		if f.tx.Nonce == nonce {
			nonce++
		}
	}
	ops := build(func(op int) ledger.ObjectID { return ledger.NewObjectID(p.wallet.address, nonce, op) })
	tx := &ledger.Tx{Network: p.head.Network, Nonce: nonce, Expiry: p.head.Height + lifetime + p.salt, Ops: ops}
	tx.Fee = p.head.Params.MinFee(len(tx.Marshal())) // which is as long with any fee and signature
	tx.Sign(p.wallet.key)
	if err := tx.Validate(); err != nil {
		return nil, fmt.Errorf("compose transaction: %w", err)
	}
	need, err := Cost(&p.head.Params, ops)
	if err == nil {
		need, err = need.Add(tx.Fee)
	}
	if err != nil { // it is more than there can be
		need = math.MaxUint64
	}
	return &flight{tx: tx, need: need, done: make(chan struct{})}, nil
}

// short says whether the balance does not cover f and what is on its way.
func (p *Payer) short(f *flight) bool {
	left := p.head.Account.Balance
	for _, other := range p.flights {
		left -= min(left, other.need)
	}
	return f.need > left
}

// find is where among the flights that of nonce is, or would be.
func (p *Payer) find(nonce uint64) (at int, ok bool) {
	return slices.BinarySearchFunc(p.flights, nonce, func(f *flight, nonce uint64) int {
		switch {
		case f.tx.Nonce < nonce:
			return -1
		case f.tx.Nonce > nonce:
			return 1
		}
		return 0
	})
}

// land ends a flight. A receipt brings the head forward; without one it is to be read again.
func (p *Payer) land(f *flight, receipt *ledger.Receipt) {
	p.turn <- struct{}{} // never held for longer than a read of the head, which ends with its caller's context
	defer p.release()
	if at, ok := p.find(f.tx.Nonce); ok && p.flights[at] == f {
		p.flights = slices.Delete(p.flights, at, at+1)
	}
	close(f.done)
	if receipt == nil {
		p.read = time.Time{}
		return
	}
	p.head.Account.Nonce = max(p.head.Account.Nonce, f.tx.Nonce+1)
	// If the balance was read after that already, it is read again before anything is called too dear.
	p.head.Account.Balance -= min(p.head.Account.Balance, receipt.Spent)
	if receipt.Height > p.head.Height {
		p.head.Height, p.read = receipt.Height, time.Now()
	}
}

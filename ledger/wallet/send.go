package wallet

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"walrus/ledger"
)

const (
	// firstPause doubles each time, up to maxPause; half of a pause is random.
	firstPause = 10 * time.Millisecond
	maxPause   = 500 * time.Millisecond
	// gapPatience is how long the transaction before ours may be missing: another process took its nonce, and seems to have
	// ended before it sent anything.
	gapPatience = 2 * time.Second
	// nextGapPatience is the same for the one after, if that one was missing.
	nextGapPatience = gapPatience / 4
	// fillTime bounds the sending of a transaction in its place.
	fillTime = 10 * time.Second
)

// fate is what became of a transaction.
type fate int

const (
	undecided fate = iota // it has failed or was given up: whether it has effect is what its error says
	landed                // there is a receipt
	refused               // it is in no block that is known of, and will be in none
	overtaken             // it will be in no block: another transaction is proven to have its nonce, or it has expired
)

// fly sends a transaction until its fate is known or ctx ends.
//
// A nonce is used once, so nothing is done twice as long as operations are composed anew only when another transaction is
// proven to have used the nonce, or the expiry is proven to be over. That nodes refuse a transaction proves nothing: one of
// them may keep it and hand it in later.
func (p *Payer) fly(ctx context.Context, f *flight) (*ledger.Receipt, fate, error) {
	if ctx.Err() != nil {
		p.shared.giveBack(ctx, f.tx)
		return nil, undecided, notSent(context.Cause(ctx))
	}
	var gap gap
	for pause := firstPause; ; pause = min(2*pause, maxPause) {
		receipt, err := p.chain.Submit(ctx, f.tx)
		no := refusal(&receipt, err)
		if no == nil && err != nil {
			if err = failed(ctx, f.tx, err); !errors.Is(err, ErrUnknown) { // nobody has it
				p.shared.giveBack(ctx, f.tx)
			}
			return nil, undecided, err
		}
		if no == nil {
			return &receipt, landed, nil
		}
		err = fmt.Errorf("transaction %s: %w", f.tx.ID(), no)
		switch no.Code {
		case ledger.CodeNonce, ledger.CodeExpired: // perhaps it is in a block, or will be
			found, fate, head, lookErr := p.look(ctx, f.tx)
			if lookErr != nil {
				return nil, undecided, unknown(f.tx, lookErr)
			}
			if fate != undecided {
				return found, fate, err
			}
			if gap.seen(head.Account.Nonce, f.tx.Nonce) {
				p.fill(ctx, &head)
			}
		case ledger.CodeLimit: // too many wait
		default:
			p.shared.giveBack(ctx, f.tx)
			return nil, refused, err
		}
		// It overtook the one before it, or a node is behind, or holds another transaction of the same nonce.
		if sleep(ctx, pause/2+rand.N(pause/2)) != nil {
			return nil, undecided, unknown(f.tx, fmt.Errorf("%w; the last answer was: %w", context.Cause(ctx), no))
		}
	}
}

// sleep lasts for d; it fails if ctx ends before.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return ctx.Err()
	case <-ctx.Done():
		return ctx.Err()
	}
}

// failed is what to say of a transaction that has no receipt because of err.
func failed(ctx context.Context, tx *ledger.Tx, err error) error {
	switch {
	case ctx.Err() != nil:
		return unknown(tx, fmt.Errorf("%w: %w", context.Cause(ctx), err))
	case errors.Is(err, ErrUnknown), errors.Is(err, context.DeadlineExceeded):
		return unknown(tx, err)
	}
	return fmt.Errorf("send transaction %s: %w", tx.ID(), err)
}

// look finds out why a transaction was refused: it is in a block all the same, or it never will be, or neither is known.
func (p *Payer) look(ctx context.Context, tx *ledger.Tx) (*ledger.Receipt, fate, Head, error) {
	head, err := p.refresh(ctx)
	if err != nil {
		return nil, undecided, head, err
	}
	switch {
	case head.Account.Nonce > tx.Nonce:
		receipt, err := p.chain.Used(ctx, p.wallet.address, tx.Nonce)
		if err != nil && ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		if err != nil {
			return nil, undecided, head, err
		}
		if receipt.ID != tx.ID() {
			return nil, overtaken, head, nil
		}
		return &receipt, landed, head, nil
	case head.Height >= tx.Expiry:
		p.shared.giveBack(ctx, tx)
		return nil, overtaken, head, nil
	}
	return nil, undecided, head, nil
}

// gap is a nonce that the account waits for, before that of our transaction.
type gap struct {
	nonce  uint64
	since  time.Time
	filled bool // one before it
}

// seen notes the account's nonce and ours, and says whether the former has been missing for too long.
func (g *gap) seen(account, ours uint64) bool {
	if account >= ours {
		*g = gap{}
		return false
	}
	if g.nonce != account || g.since.IsZero() {
		g.nonce, g.since = account, time.Now()
	}
	patience := gapPatience
	if g.filled {
		patience = nextGapPatience
	}
	if time.Since(g.since) < patience {
		return false
	}
	g.since, g.filled = time.Time{}, true
	return true
}

// fill uses the account's nonce for a transaction that does nothing, so that those behind it get their turn: none of them
// could be composed anew without the risk that both are done. Whoever took the nonce first may still be faster. Whether it
// works shows in the account.
func (p *Payer) fill(ctx context.Context, head *Head) {
	ctx, cancel := context.WithTimeout(ctx, fillTime)
	defer cancel()
	nothing := []ledger.Op{ledger.Transfer{To: p.wallet.address}}
	tx := &ledger.Tx{Network: head.Network, Nonce: head.Account.Nonce, Expiry: head.Height + lifetime + p.salt, Ops: nothing}
	tx.Fee = head.Params.MinFee(len(tx.Marshal()))
	tx.Sign(p.wallet.key)
	_, _ = p.chain.Submit(ctx, tx)
}

// refusal is what err or receipt say of a transaction that had no effect, or nil.
func refusal(receipt *ledger.Receipt, err error) *ledger.OpError {
	if err == nil && receipt.Op < 0 && receipt.Code <= ledger.CodeFee { // in a block that should not have taken it
		err = receipt.Err()
	}
	var no *ledger.OpError
	if errors.As(err, &no) {
		return no
	}
	return nil
}

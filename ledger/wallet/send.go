package wallet

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"walrus/internal/pause"
	"walrus/ledger"
)

const (
	// firstPause is the first pause between attempts. Pauses double up to maxPause; half of each is random.
	firstPause = 10 * time.Millisecond
	maxPause   = 500 * time.Millisecond
	// gapPatience bounds the wait for the nonce before ours. After that, the process that took it probably ended
	// before it sent a transaction.
	gapPatience = 2 * time.Second
	// nextGapPatience bounds the wait for the next missing nonce after a first one.
	nextGapPatience = gapPatience / 4
	// fillTime bounds the sending of a filler for a missing nonce.
	fillTime = 10 * time.Second
)

// fate is the outcome of a transaction.
type fate int

const (
	undecided fate = iota // it failed or was given up; its error says whether it may still take effect
	landed                // it has a receipt
	refused               // it is in no known block and never will be
	overtaken             // it will never be in a block: another one provably used its nonce, or it expired
)

// fly sends a transaction until its fate is known or ctx ends.
//
// A nonce is used once. So nothing is done twice, provided that operations are composed again only when another
// transaction has provably used the nonce, or the expiry has provably passed. A refusal proves nothing: a node may keep
// the transaction and submit it later.
func (p *Payer) fly(ctx context.Context, f *flight) (*ledger.Receipt, fate, error) {
	if ctx.Err() != nil {
		p.shared.giveBack(ctx, f.tx)
		return nil, undecided, notSent(context.Cause(ctx))
	}
	var gap gap
	for delay := firstPause; ; delay = min(2*delay, maxPause) {
		receipt, err := p.chain.Submit(ctx, f.tx)
		no := refusal(&receipt, err)
		if no == nil && err != nil {
			if err = failed(ctx, f.tx, err); !errors.Is(err, ErrUnknown) { // no node has it
				p.shared.giveBack(ctx, f.tx)
			} else {
				p.wallet.unpaid.note(f.tx)
			}
			return nil, undecided, err
		}
		if no == nil {
			return &receipt, landed, nil
		}
		err = fmt.Errorf("transaction %s: %w", f.tx.ID(), no)
		if no.PricedOut() {
			if p.raise(f, no.Least) {
				delay = firstPause
				continue
			}
			p.wallet.unpaid.note(f.tx)
			p.shared.giveBack(ctx, f.tx) // the next transaction may have the nonce: one of the two takes effect
			return nil, undecided, pricedOut(f, no)
		}
		switch no.Code {
		case ledger.CodeNonce, ledger.CodeExpired: // a block may have it, or still get it
			found, fate, head, lookErr := p.look(ctx, f)
			if lookErr != nil {
				return nil, undecided, unknown(f.tx, lookErr)
			}
			if fate != undecided {
				return found, fate, err
			}
			if gap.seen(head.Account.Nonce, f.tx.Nonce) {
				p.fill(ctx, &head)
			}
		case ledger.CodeLimit: // too many are waiting
		default:
			p.shared.giveBack(ctx, f.tx)
			return nil, refused, err
		}
		// It arrived before its predecessor, or a node is behind, or has another transaction with the same nonce.
		if !pause.For(ctx, delay/2+rand.N(delay/2)) {
			return nil, undecided, unknown(f.tx, fmt.Errorf("%w; last answer: %w", context.Cause(ctx), no))
		}
	}
}

// failed returns the error for a transaction that has no receipt because of err.
func failed(ctx context.Context, tx *ledger.Tx, err error) error {
	switch {
	case ctx.Err() != nil:
		return unknown(tx, fmt.Errorf("%w: %w", context.Cause(ctx), err))
	case errors.Is(err, ErrUnknown), errors.Is(err, context.DeadlineExceeded):
		return unknown(tx, err)
	}
	return fmt.Errorf("send transaction %s: %w", tx.ID(), err)
}

// look determines the fate of a transaction refused for its nonce or expiry: landed, overtaken, or still undecided.
func (p *Payer) look(ctx context.Context, f *flight) (*ledger.Receipt, fate, Head, error) {
	tx := f.tx
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
		if !f.is(receipt.ID) {
			return nil, overtaken, head, nil
		}
		return &receipt, landed, head, nil
	case head.Height >= tx.Expiry:
		p.shared.giveBack(ctx, tx)
		return nil, overtaken, head, nil
	}
	return nil, undecided, head, nil
}

// gap tracks the missing nonce that the account waits for, before ours.
type gap struct {
	nonce  uint64
	since  time.Time
	filled bool // an earlier gap was filled
}

// seen notes the account's nonce and ours, and reports whether a nonce has been missing for too long.
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

// fill uses the account's next nonce for a transaction that does nothing, so that the transactions after it get their
// turn. They cannot be composed again instead, because both versions might take effect. The process that took the nonce
// may still be faster. The account's nonce shows whether fill worked.
func (p *Payer) fill(ctx context.Context, head *Head) {
	ctx, cancel := context.WithTimeout(ctx, fillTime)
	defer cancel()
	nothing := []ledger.Op{ledger.Transfer{To: p.wallet.address}}
	tx := &ledger.Tx{Network: head.Network, Nonce: head.Account.Nonce, Expiry: head.Height + lifetime + p.salt,
		Ops: nothing}
	least := head.Params.MinFee(len(tx.Marshal()), tx.Ops)
	f := &flight{tx: tx, earlier: map[ledger.TxID]bool{}, most: times(least, p.wallet.maxFee)}
	tx.Fee = least
	tx.Sign(p.wallet.key)
	for {
		receipt, err := p.chain.Submit(ctx, f.tx)
		if no := refusal(&receipt, err); no == nil || !no.PricedOut() || !p.raise(f, no.Least) {
			return
		}
	}
}

// refusal returns the refusal in err or receipt of a transaction that had no effect; nil if there is none.
func refusal(receipt *ledger.Receipt, err error) *ledger.OpError {
	if err == nil && receipt.Op < 0 && receipt.Code <= ledger.CodeFee { // in a block, without effect
		err = receipt.Err()
	}
	var no *ledger.OpError
	if errors.As(err, &no) {
		return no
	}
	return nil
}

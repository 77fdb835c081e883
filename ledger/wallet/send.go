package wallet

import (
	"context"
	"errors"
	"fmt"
	"time"

	"walrus/ledger"
)

const (
	// maxLooked bounds how often a transaction is sent whose time is now; the pauses between add up to some seconds.
	maxLooked = 12
	// firstPause doubles each time, up to maxPause.
	firstPause = 5 * time.Millisecond
	maxPause   = 500 * time.Millisecond
	// overtaken is the longest pause of a transaction that reached its node before the one before it.
	overtaken = 80 * time.Millisecond
	// spacing is between transactions of a payer, so that they reach their node in order.
	spacing = 2 * time.Millisecond
)

// send ends the flight with its receipt. again says that the transaction is and will be without effect, because of err,
// and may be composed anew.
//
// A nonce is used once. So what is composed anew is done twice in one case only: its nonce was ahead of the account's,
// the node that refused it kept it in secret, and hands it in when the nonce comes up, within lifetime.
func (p *Payer) send(ctx context.Context, f *flight) (receipt ledger.Receipt, again bool, err error) {
	var landed *ledger.Receipt
	defer func() { p.land(f, landed) }()
	if err := sleep(ctx, nil, time.Until(f.departs)); err != nil {
		return ledger.Receipt{}, false, fmt.Errorf("send transaction: %w", err)
	}
	pause := firstPause
	for looked := 0; looked < maxLooked; {
		receipt, err = p.chain.Submit(ctx, f.tx)
		refused := refusal(&receipt, err)
		if refused == nil && err != nil {
			return ledger.Receipt{}, false, lost(ctx, f, err)
		}
		if refused == nil {
			landed = &receipt
			return receipt, false, receipt.Err()
		}
		err = fmt.Errorf("transaction %s: %w", f.tx.ID(), refused)
		if refused.Code != ledger.CodeNonce && refused.Code != ledger.CodeExpired {
			return ledger.Receipt{}, false, err
		}
		earlier, waitErr := p.earlier(ctx, f)
		if waitErr != nil {
			return ledger.Receipt{}, false, unknown(f, waitErr)
		}
		if earlier == nil { // then its time is now
			looked++
			found, gone, lookErr := p.look(ctx, f)
			if lookErr != nil {
				return ledger.Receipt{}, false, unknown(f, lookErr)
			}
			if found != nil {
				landed = found
				return *found, false, found.Err()
			}
			if gone {
				return ledger.Receipt{}, true, err
			}
		} else {
			pause = min(pause, overtaken)
		}
		// It overtook the one before it, or a node is behind, or holds another transaction of the same nonce.
		if err := sleep(ctx, earlier, pause); err != nil {
			return ledger.Receipt{}, false, unknown(f, err)
		}
		pause = min(2*pause, maxPause)
	}
	return ledger.Receipt{}, false, fmt.Errorf("an earlier transaction of %s seems to wait for its block still: try again when it is in one: %w", p.wallet.address, err)
}

// sleep lasts for d, or until wake is closed; it fails if ctx ends before.
func sleep(ctx context.Context, wake <-chan struct{}, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-wake:
	case <-timer.C:
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}

// earlier is closed when the flight before f lands; nil if there is none.
func (p *Payer) earlier(ctx context.Context, f *flight) (<-chan struct{}, error) {
	if err := p.hold(ctx); err != nil {
		return nil, err
	}
	defer p.release()
	if at, _ := p.find(f.tx.Nonce); at > 0 {
		return p.flights[at-1].done, nil
	}
	return nil, nil
}

// lost is what to say of a transaction that has no receipt because of err.
func lost(ctx context.Context, f *flight, err error) error {
	if errors.Is(err, ErrUnknown) || ctx.Err() != nil || errors.Is(err, context.DeadlineExceeded) {
		return unknown(f, err)
	}
	return fmt.Errorf("send transaction %s: %w", f.tx.ID(), err)
}

func unknown(f *flight, err error) error {
	if !errors.Is(err, ErrUnknown) {
		err = fmt.Errorf("%w: %w", ErrUnknown, err)
	}
	return fmt.Errorf("transaction %s: %w: look for it in the wallet's history before you try again", f.tx.ID(), err)
}

// look finds out why f was refused although all transactions before it are decided: it is in a block all the same
// (found), or it is gone for good: another one used its nonce, that never comes up, or it expired.
func (p *Payer) look(ctx context.Context, f *flight) (found *ledger.Receipt, gone bool, err error) {
	head, err := p.chain.Head(ctx, p.wallet.address)
	if err != nil {
		return nil, false, err
	}
	if head.Account.Nonce > f.tx.Nonce {
		receipt, err := p.chain.Used(ctx, p.wallet.address, f.tx.Nonce)
		switch {
		case err != nil:
			return nil, false, err
		case receipt.ID != f.tx.ID():
			return nil, true, nil
		}
		return &receipt, false, nil
	}
	return nil, head.Account.Nonce < f.tx.Nonce || head.Height >= f.tx.Expiry, nil
}

// refusal is what err or receipt say of a transaction that had no effect, or nil.
func refusal(receipt *ledger.Receipt, err error) *ledger.OpError {
	if err == nil && receipt.Op < 0 && receipt.Code <= ledger.CodeFee { // in a block that should not have taken it
		err = receipt.Err()
	}
	var refused *ledger.OpError
	if errors.As(err, &refused) {
		return refused
	}
	return nil
}

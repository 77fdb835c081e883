package wallet

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"walrus/ledger"
)

// together has n calls of Do wait while a first transaction is in flight, so that they share the next one.
func together(t *testing.T, chain *fakeChain, p *Payer, n int, do func(i int)) {
	t.Helper()
	p.most = 1
	chain.gate = make(chan struct{})
	var group sync.WaitGroup
	group.Go(func() {
		if _, err := p.Do(t.Context(), pay(1_000_000)); err != nil {
			t.Errorf("the first: %v", err)
		}
	})
	synctest.Wait()
	for i := range n {
		group.Go(func() { do(i) })
		synctest.Wait()
	}
	close(chain.gate)
	group.Wait()
}

// failOn makes a transaction fail at the first operation that pays one of these amounts.
func failOn(bad ...ledger.Amount) func(*ledger.Tx) ledger.Result {
	return func(tx *ledger.Tx) ledger.Result {
		r := ledger.Result{Op: -1, Fee: tx.Fee, Spent: tx.Fee}
		for i, op := range tx.Ops {
			o := op.(ledger.Transfer)
			for _, b := range bad {
				if o.Amount == b {
					return ledger.Result{Code: ledger.CodeNotFound, Op: i, Log: "no such account", Fee: tx.Fee, Spent: tx.Fee}
				}
			}
			r.Events = append(r.Events, ledger.Event{Kind: ledger.EventTransferred, To: o.To, Amount: o.Amount})
		}
		return r
	}
}

// TestBatch: orders that wait while a transaction is in flight share the next one. A failing one fails alone, and the
// costs told to all add up to what left the account.
func TestBatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		chain := newChain(t, ledger.WAL)
		chain.execute = failOn(3, 17)
		before := chain.head.Account.Balance
		p := NewPayer(newWallet(t), chain)
		var mu sync.Mutex
		var told ledger.Amount
		together(t, chain, p, 30, func(i int) {
			r, err := p.Do(t.Context(), pay(ledger.Amount(i)))
			var no *ledger.OpError
			if bad := i == 3 || i == 17; bad != (err != nil) || bad &&
				(!errors.As(err, &no) || no.Code != ledger.CodeNotFound || no.Op != 0) {
				t.Errorf("payment %d: %v", i, err)
			}
			if err == nil && (len(r.Events) != 1 || r.Events[0].Amount != ledger.Amount(i)) {
				t.Errorf("payment %d has the events %+v", i, r.Events)
			}
			mu.Lock()
			told += r.Spent
			mu.Unlock()
		})
		first := chain.receipts[chain.committed[0].ID()].Spent
		if gone := before - chain.head.Account.Balance; gone != first+told {
			t.Errorf("%d left the account, %d were told", uint64(gone), uint64(first+told))
		}
		paid := map[ledger.Amount]int{}
		for _, tx := range chain.committed {
			if chain.receipts[tx.ID()].Code == ledger.CodeOK {
				for _, op := range tx.Ops {
					paid[op.(ledger.Transfer).Amount]++
				}
			}
		}
		for i := range ledger.Amount(30) {
			if want := 1 - min(1, paid[i]); (i == 3 || i == 17) != (want == 1) || paid[i] > 1 {
				t.Errorf("payment %d was made %d times", i, paid[i])
			}
		}
		// 30, then 29 without the third, then each order that was spoiled twice alone
		if n := len(chain.committed); n > 1+2+28 {
			t.Errorf("%d transactions", n)
		}
	})
}

// TestBatchCancelled: one caller of a common transaction gives up. The transaction still commits; that caller gets
// ErrUnknown.
func TestBatchCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		chain := newChain(t, ledger.WAL)
		p := NewPayer(newWallet(t), chain)
		together(t, chain, p, 3, func(i int) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			if i == 1 {
				time.AfterFunc(blockTime+blockTime/2, cancel) // then the first is in a block, theirs is not
			}
			_, err := p.Do(ctx, pay(ledger.Amount(i)))
			if i != 1 && err != nil || i == 1 && (!errors.Is(err, ErrUnknown) || !errors.Is(err, context.Canceled)) {
				t.Errorf("payment %d: %v", i, err)
			}
		})
		if len(chain.committed) != 2 || len(chain.committed[1].Ops) != 3 {
			t.Errorf("%d transactions", len(chain.committed))
		}
	})
}

// TestBatchLeft: a caller that gives up before the transaction is composed pays nothing.
func TestBatchLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		chain := newChain(t, ledger.WAL)
		p := NewPayer(newWallet(t), chain)
		together(t, chain, p, 3, func(i int) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			if i == 1 {
				cancel()
			}
			if _, err := p.Do(ctx, pay(ledger.Amount(i))); (i == 1) != (err != nil) || errors.Is(err, ErrUnknown) {
				t.Errorf("payment %d: %v", i, err)
			}
		})
		if len(chain.committed) != 2 || len(chain.committed[1].Ops) != 2 {
			t.Errorf("%d transactions", len(chain.committed))
		}
	})
}

// TestBatchFunds: a call that needs more WAL than there is fails with that error, and the others are paid.
func TestBatchFunds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		chain := newChain(t, 10_000_000)
		p := NewPayer(newWallet(t), chain)
		together(t, chain, p, 10, func(i int) {
			amount := ledger.Amount(100)
			if i%5 == 3 {
				amount = ledger.WAL
			}
			_, err := p.Do(t.Context(), pay(amount))
			var poor *ledger.FundsError
			if i%5 == 3 && !errors.As(err, &poor) || i%5 != 3 && err != nil {
				t.Errorf("payment %d: %v", i, err)
			}
		})
		for _, tx := range chain.committed {
			if r := chain.receipts[tx.ID()]; r.Code != ledger.CodeOK {
				t.Errorf("a fee was paid for nothing: %+v", r)
			}
		}
	})
}

// TestBatchMalformed: malformed operations spoil no other order's transaction.
func TestBatchMalformed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		chain := newChain(t, ledger.WAL)
		chain.head.Epoch = 5
		p := NewPayer(newWallet(t), chain)
		builds := []ledger.Build{
			pay(1), ledger.Fixed(), ledger.Fixed(
				ledger.SetAttributes{Set: []ledger.Attribute{{Key: strings.Repeat("x", 1000)}}}), pay(2),
			ledger.Fixed(make([]ledger.Op, 0)...), ledger.Fixed(ledger.BuyStorage{Bytes: 1, Start: 4, End: 9}), pay(3),
		}
		together(t, chain, p, len(builds), func(i int) {
			_, err := p.Do(t.Context(), builds[i])
			var no *ledger.OpError
			switch bad := i != 0 && i != 3 && i != 6; {
			case bad != (err != nil), bad && i != 5 && !errors.Is(err, ledger.ErrFormat):
				t.Errorf("%d: %v", i, err)
			case i == 5 && (!errors.As(err, &no) || no.Code != ledger.CodeEpoch): // its epoch is over
				t.Errorf("%d: %v", i, err)
			}
		})
		if len(chain.committed) != 2 || len(chain.committed[1].Ops) != 3 {
			t.Errorf("%d transactions", len(chain.committed))
		}
	})
}

// TestBatchBounds: orders that do not fit go into the next transaction.
func TestBatchBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		chain := newChain(t, ledger.WAL)
		p := NewPayer(newWallet(t), chain)
		many := make([]ledger.Op, 100)
		for i := range many {
			many[i] = ledger.Transfer{To: ledger.Address{1}, Amount: 1}
		}
		long := ledger.SetAttributes{}
		for i := range 15 {
			long.Set = append(long.Set, ledger.Attribute{Key: fmt.Sprintf("%02d", i), Value: strings.Repeat("v", 1000)})
		}
		together(t, chain, p, 12, func(i int) {
			build := ledger.Fixed(many...)
			if i%2 == 0 {
				build = ledger.Fixed(long)
			}
			if _, err := p.Do(t.Context(), build); err != nil {
				t.Errorf("%d: %v", i, err)
			}
		})
		ops := 0
		for _, tx := range chain.committed {
			ops += len(tx.Ops)
			if err := tx.Validate(); err != nil {
				t.Error(err)
			}
		}
		if ops != 1+6*100+6 || len(chain.committed) < 4 {
			t.Errorf("%d operations in %d transactions", ops, len(chain.committed))
		}
	})
}

// TestPushedOut: an operation with two events does not shift the events of the others in its transaction.
func TestPushedOut(t *testing.T) {
	pays := func(amount ledger.Amount) ledger.Op { return ledger.Transfer{To: ledger.Address{1}, Amount: amount} }
	f := &flight{tx: &ledger.Tx{Ops: []ledger.Op{pays(1), ledger.BondMonitor{Amount: 200}, pays(2)}},
		parts: []part{{first: 0, ops: 1}, {first: 1, ops: 1}, {first: 2, ops: 1}}}
	r := &ledger.Receipt{Result: ledger.Result{Op: -1, Events: []ledger.Event{
		{Kind: ledger.EventTransferred, Amount: 1}, {Kind: ledger.EventBonded, Amount: 200},
		{Kind: ledger.EventBondReturned, Amount: 100}, {Kind: ledger.EventTransferred, Amount: 2},
	}}}
	for i, want := range []struct {
		events int
		spent  ledger.Amount
	}{{1, 1}, {2, 200}, {1, 2}} {
		if got := f.receipt(r, i); len(got.Events) != want.events || got.Spent != want.spent {
			t.Errorf("order %d: %d events, spent %d, want %+v", i, len(got.Events), got.Spent, want)
		}
	}
}

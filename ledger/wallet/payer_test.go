package wallet

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"walrus/ledger"
)

// pay makes a transfer that is told apart by its amount.
func pay(amount ledger.Amount) ledger.Build {
	return ledger.Fixed(ledger.Transfer{To: ledger.Address{1}, Amount: amount})
}

func TestDo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		chain := newChain(t, ledger.WAL)
		w := newWallet(t)
		p := NewPayer(w, chain)
		if p.Address() != w.Address() {
			t.Errorf("address %s, want %s", p.Address(), w.Address())
		}
		receipt, err := p.Do(t.Context(), func(object func(int) ledger.ObjectID) []ledger.Op {
			return []ledger.Op{ledger.BuyStorage{Bytes: 1, Start: 1, End: 3}, ledger.RegisterBlob{Storage: object(0)},
				ledger.CertifyBlob{Object: object(1)}}
		})
		if err != nil || receipt.Height != 101 {
			t.Fatalf("%+v, %v", receipt, err)
		}
		tx := chain.committed[0]
		if tx.Network != chain.head.Network || tx.Nonce != 5 || tx.Expiry != 1100+p.salt ||
			tx.Sender.Address() != w.Address() {
			t.Errorf("sent %+v", tx)
		}
		if size := len(tx.Marshal()); tx.Fee != ledger.Amount(1000+10*size) {
			t.Errorf("a fee of %d for %d bytes", tx.Fee, size)
		}
		if got, want := tx.Ops[1].(ledger.RegisterBlob).Storage, ledger.NewObjectID(w.Address(), 5, 0); got != want {
			t.Errorf("object %s, want %s", got, want)
		}
		if got, want := tx.Ops[2].(ledger.CertifyBlob).Object, ledger.NewObjectID(w.Address(), 5, 1); got != want {
			t.Errorf("object %s, want %s", got, want)
		}
		for range 3 { // receipts update the head
			if _, err := p.Do(t.Context(), pay(1)); err != nil {
				t.Fatal(err)
			}
		}
		if last := chain.committed[3]; last.Nonce != 8 || last.Expiry != 1103+p.salt || chain.reads != 1 {
			t.Errorf("nonce %d, expiry %d after %d reads", last.Nonce, last.Expiry, chain.reads)
		}
		chain.change(func() { chain.head.Height += 5000 })
		time.Sleep(headAge + time.Second)
		if _, err := p.Do(t.Context(), pay(1)); err != nil || chain.reads != 2 {
			t.Errorf("after a while: %v, %d reads", err, chain.reads)
		}
		if _, err := p.Do(t.Context(), ledger.Fixed()); !errors.Is(err, ledger.ErrFormat) || chain.sent != 5 {
			t.Errorf("nothing to do: %v, %d sent", err, chain.sent)
		}
	})
}

// TestMany sends from two payers at once to a node that transactions reach in any order: each takes effect once.
func TestMany(t *testing.T) {
	for _, payers := range []int{1, 2} {
		for _, delay := range []time.Duration{0, 10 * time.Millisecond, 3 * blockTime} {
			t.Run(fmt.Sprintf("payers=%d/delay=%s", payers, delay), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { testMany(t, payers, delay) })
			})
		}
	}
}

func testMany(t *testing.T, payers int, delay time.Duration) {
	const each = 300
	chain := newChain(t, ledger.WAL)
	chain.delay = delay
	w := newWallet(t)
	start := time.Now()
	var group sync.WaitGroup
	for i := range payers {
		p := NewPayer(w, chain)
		for j := range each {
			group.Go(func() {
				receipt, err := p.Do(t.Context(), pay(ledger.Amount(i*each+j)))
				if err != nil {
					t.Error(err)
				}
				if want := ledger.Amount(i*each+j) + receipt.Fee; receipt.Spent != want {
					t.Errorf("spent %d, want %d", uint64(receipt.Spent), uint64(want))
				}
			})
		}
	}
	group.Wait()
	seen := map[ledger.Amount]int{}
	for i, tx := range chain.committed {
		for _, op := range tx.Ops {
			seen[op.(ledger.Transfer).Amount]++
		}
		if tx.Nonce != uint64(5+i) {
			t.Errorf("nonce %d in place %d", tx.Nonce, i)
		}
	}
	for i := range payers * each {
		if n := seen[ledger.Amount(i)]; n != 1 {
			t.Errorf("transaction %d took effect %d times", i, n)
		}
	}
	// The first few go alone, the others a hundred at a time.
	if took := time.Since(start); payers == 1 && (len(chain.committed) > 9 || delay == 0 && took > 4*blockTime) {
		t.Errorf("%d at once took %d transactions and %s", each, len(chain.committed), took)
	}
	t.Logf("%d transactions in %s, sent %d times, %d reads of the head", len(chain.committed), time.Since(start),
		chain.sent, chain.reads)
}

func TestFunds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		chain := newChain(t, 10_000)
		p := NewPayer(newWallet(t), chain)
		var poor *ledger.FundsError
		_, err := p.Do(t.Context(), pay(ledger.WAL))
		if !errors.As(err, &poor) || poor.Have != 10_000 || poor.Need != ledger.WAL+2950 ||
			!strings.Contains(err.Error(), "walrus wallet faucet") {
			t.Fatalf("%v, want a FundsError", err)
		}
		if _, err := p.Do(t.Context(), pay(math.MaxUint64)); !errors.As(err, &poor) || poor.Need != math.MaxUint64 {
			t.Errorf("more than 64 bits: %v, want a FundsError", err)
		}
		if chain.sent != 0 {
			t.Errorf("%d sent", chain.sent)
		}
		newer := chain.head // the node that was asked lags behind
		newer.Height, newer.Account.Balance = newer.Height+1, 2*ledger.WAL
		chain.caughtUp = &newer
		if _, err := p.Do(t.Context(), pay(ledger.WAL)); err != nil {
			t.Errorf("paid a moment ago: %v", err)
		}
		chain.caughtUp = nil
		chain.change(func() { chain.head.Account.Balance = 2 * ledger.WAL })
		if _, err := p.Do(t.Context(), pay(ledger.WAL)); err != nil {
			t.Errorf("after WAL came in: %v", err)
		}
	})
}

// TestFundsOnTheWay: WAL reserved by transactions in flight cannot be spent again until they have failed.
func TestFundsOnTheWay(t *testing.T) {
	for _, fails := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			chain := newChain(t, 10_000)
			if fails {
				chain.execute = func(tx *ledger.Tx) ledger.Result {
					result := ledger.Result{Op: -1, Fee: 1000, Spent: 1000}
					if tx.Nonce == 5 {
						result.Code, result.Op = ledger.CodeNotFound, 0
					}
					return result
				}
			}
			p := NewPayer(newWallet(t), chain)
			var errs [2]chan error
			for i := range errs {
				errs[i] = make(chan error, 1)
				go func() { _, err := p.Do(t.Context(), pay(5000)); errs[i] <- err }()
				synctest.Wait()
			}
			var failed *ledger.OpError
			var poor *ledger.FundsError
			first, second := <-errs[0], <-errs[1]
			if fails && (!errors.As(first, &failed) || second != nil) {
				t.Errorf("the first fails: %v, then %v", first, second)
			}
			if !fails && (first != nil || !errors.As(second, &poor)) {
				t.Errorf("the first takes it: %v, then %v", first, second)
			}
		})
	}
}

func TestFailedReceipt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		chain := newChain(t, ledger.WAL)
		chain.execute = func(tx *ledger.Tx) ledger.Result {
			return ledger.Result{Code: ledger.CodeNotOwner, Op: 1, Log: "it is somebody else's", Fee: tx.Fee, Spent: tx.Fee}
		}
		p := NewPayer(newWallet(t), chain)
		for nonce := range uint64(3) { // each used its nonce and paid its fee
			receipt, err := p.Do(t.Context(), pay(1))
			var failed *ledger.OpError
			if !errors.As(err, &failed) || failed.Code != ledger.CodeNotOwner || failed.Op != 1 || receipt.Fee == 0 {
				t.Fatalf("%+v, %v: want an OpError beside the receipt", receipt, err)
			}
			if tx := chain.committed[nonce]; tx.Nonce != 5+nonce || len(chain.committed) != int(nonce)+1 {
				t.Errorf("nonce %d, %d in all", tx.Nonce, len(chain.committed))
			}
		}
	})
}

// TestRefused: the nonce of a refused transaction goes to others, also to those composed meanwhile.
func TestRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		chain := newChain(t, ledger.WAL)
		chain.refuse = func(tx *ledger.Tx) error {
			for _, op := range tx.Ops {
				if op.(ledger.Transfer).Amount == 0 {
					return refusedFor(ledger.CodeFee)
				}
			}
			return nil
		}
		p := NewPayer(newWallet(t), chain)
		var group sync.WaitGroup
		for i := range 20 {
			group.Go(func() {
				_, err := p.Do(t.Context(), pay(ledger.Amount(i)))
				var refused *ledger.OpError
				if i == 0 && (!errors.As(err, &refused) || refused.Code != ledger.CodeFee) {
					t.Errorf("%v, want CodeFee", err)
				}
				if i > 0 && err != nil {
					t.Errorf("transaction %d: %v", i, err)
				}
			})
			synctest.Wait()
		}
		group.Wait()
		paid := 0
		for _, tx := range chain.committed {
			paid += len(tx.Ops)
		}
		if paid != 19 {
			t.Errorf("%d are in blocks", paid)
		}
	})
}

// TestNoAnswer: the fate of a transaction is unknown; the next one finds out by its nonce.
func TestNoAnswer(t *testing.T) {
	for name, tt := range map[string]struct {
		refuse, after func(*ledger.Tx) error
		unknown       bool
		committed     int
	}{
		"reached nobody":    {refuse: once(errDown), committed: 1},
		"in a block":        {after: once(fmt.Errorf("%w: %w", ErrUnknown, errDown)), unknown: true, committed: 2},
		"timeout of a node": {after: once(context.DeadlineExceeded), unknown: true, committed: 2},
		// no caller knows that it is lost; the next transaction takes its nonce and so keeps it from coming back
		"lost, or still on a node": {refuse: once(fmt.Errorf("%w: %w", ErrUnknown, errDown)), unknown: true, committed: 2},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				chain := newChain(t, ledger.WAL)
				chain.refuse, chain.after = tt.refuse, tt.after
				p := NewPayer(newWallet(t), chain)
				_, err := p.Do(t.Context(), pay(1))
				if err == nil || errors.Is(err, ErrUnknown) != tt.unknown || !strings.Contains(err.Error(), "transaction 0x") {
					t.Errorf("%v: unknown %t", err, tt.unknown)
				}
				if _, err := p.Do(t.Context(), pay(2)); err != nil {
					t.Errorf("the next: %v", err)
				}
				if len(chain.committed) != tt.committed {
					t.Errorf("%d in blocks, want %d", len(chain.committed), tt.committed)
				}
			})
		})
	}
}

// TestPaidOnce: a node refuses a transaction for its nonce, though a block has it, by way of another node.
func TestPaidOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		chain := newChain(t, ledger.WAL)
		chain.after = once(refusedFor(ledger.CodeNonce))
		p := NewPayer(newWallet(t), chain)
		receipt, err := p.Do(t.Context(), pay(1))
		if err != nil || receipt.Height != 101 || len(chain.committed) != 1 {
			t.Errorf("%+v, %v: %d in blocks", receipt, err, len(chain.committed))
		}
		if _, err := p.Do(t.Context(), pay(2)); err != nil || chain.committed[1].Nonce != 6 {
			t.Errorf("the next: %v", err)
		}
	})
}

// TestSamePayment: two processes make the same payment from one wallet at once. It is paid twice, as intended.
func TestSamePayment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		chain := newChain(t, ledger.WAL)
		w := newWallet(t)
		var group sync.WaitGroup
		for i := range 2 {
			p := NewPayer(w, chain)
			p.salt = uint64(i)
			group.Go(func() {
				if _, err := p.Do(t.Context(), pay(1)); err != nil {
					t.Error(err)
				}
			})
		}
		group.Wait()
		if len(chain.committed) != 2 {
			t.Errorf("paid %d times", len(chain.committed))
		}
	})
}

// TestNotPaidTwice: if no node can prove which transaction used the nonce, it may have been this one: do not pay
// again.
func TestNotPaidTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		chain := newChain(t, ledger.WAL)
		chain.after, chain.forgets = once(refusedFor(ledger.CodeNonce)), true
		_, err := NewPayer(newWallet(t), chain).Do(t.Context(), pay(1))
		if !errors.Is(err, ErrUnknown) || len(chain.committed) != 1 {
			t.Errorf("%v, want ErrUnknown: %d in blocks", err, len(chain.committed))
		}
	})
}

// TestUsedByAnother: a transaction of another process used the nonce.
func TestUsedByAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		chain := newChain(t, ledger.WAL)
		p := NewPayer(newWallet(t), chain)
		if _, err := p.Do(t.Context(), pay(1)); err != nil {
			t.Fatal(err)
		}
		chain.change(func() { chain.head.Account.Nonce = 50 })
		if _, err := p.Do(t.Context(), pay(2)); err != nil || chain.committed[1].Nonce != 50 {
			t.Errorf("%v: %+v", err, chain.committed)
		}
	})
}

func TestExpired(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		chain := newChain(t, ledger.WAL)
		p := NewPayer(newWallet(t), chain)
		if _, err := p.Do(t.Context(), pay(1)); err != nil {
			t.Fatal(err)
		}
		chain.change(func() { chain.head.Height += 5000 }) // faster than any real ledger
		if _, err := p.Do(t.Context(), pay(2)); err != nil || chain.committed[1].Expiry != 6101+p.salt {
			t.Errorf("%v: %+v", err, chain.committed)
		}
	})
}

// TestRefusedInBlock: a block contains the transaction without effect, which counts as refused.
func TestRefusedInBlock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		chain := newChain(t, ledger.WAL)
		first := true
		chain.execute = func(tx *ledger.Tx) ledger.Result {
			if first {
				first = false
				chain.head.Account.Nonce-- // the nonce was not used
				return ledger.Result{Code: ledger.CodeFee, Op: -1}
			}
			return ledger.Result{Op: -1, Fee: tx.Fee, Spent: tx.Fee}
		}
		p := NewPayer(newWallet(t), chain)
		var refused *ledger.OpError
		if _, err := p.Do(t.Context(), pay(1)); !errors.As(err, &refused) || refused.Code != ledger.CodeFee {
			t.Errorf("%v, want CodeFee", err)
		}
		if _, err := p.Do(t.Context(), pay(2)); err != nil || chain.committed[1].Nonce != 5 || chain.sent != 2 {
			t.Errorf("the next: %v, %d sent", err, chain.sent)
		}
	})
}

// TestCancel ends the context at every moment of a hundred transactions; the wallet still works afterwards.
func TestCancel(t *testing.T) {
	for after := time.Duration(0); after < 4*blockTime; after += 7 * time.Millisecond {
		synctest.Test(t, func(t *testing.T) {
			chain := newChain(t, ledger.WAL)
			chain.delay = blockTime
			p := NewPayer(newWallet(t), chain)
			ctx, cancel := context.WithTimeout(t.Context(), after)
			defer cancel()
			var group sync.WaitGroup
			for range maxOrders + 20 {
				group.Go(func() {
					if _, err := p.Do(ctx, pay(1)); err != nil && !errors.Is(err, context.DeadlineExceeded) {
						t.Errorf("after %s: %v", after, err)
					}
				})
			}
			group.Wait()
			synctest.Wait()
			if p.workers != 0 || len(p.queue) != 0 || len(p.flights) != 0 {
				t.Fatalf("after %s: %d are said to wait, %d to be on their way, %d at work", after, len(p.queue),
					len(p.flights), p.workers)
			}
			if _, err := p.Do(t.Context(), pay(2)); err != nil {
				t.Errorf("after %s, the next: %v", after, err)
			}
		})
	}
}

func TestHeadFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		chain := newChain(t, ledger.WAL)
		if _, err := NewPayer(newWallet(t), chain).Do(ctx, pay(1)); !errors.Is(err, context.Canceled) ||
			errors.Is(err, ErrUnknown) || chain.sent != 0 {
			t.Errorf("%v, %d sent", err, chain.sent)
		}
	})
}

func TestCost(t *testing.T) {
	p := &ledger.Params{Shards: 10, StoragePrice: 100, WritePrice: 20}
	for name, tt := range map[string]struct {
		op   ledger.Op
		want ledger.Amount
		err  error
	}{
		"transfer":     {ledger.Transfer{Amount: 5}, 5, nil},
		"share":        {ledger.ShareBlob{Amount: 6}, 6, nil},
		"fund":         {ledger.FundBlob{Amount: 7}, 7, nil},
		"buy":          {ledger.BuyStorage{Bytes: 2<<20 + 1, Start: 3, End: 5}, 3 * 100 * 2, nil},
		"buy nothing":  {ledger.BuyStorage{Bytes: 1, Start: 5, End: 3}, 0, nil},
		"buy too much": {ledger.BuyStorage{Bytes: math.MaxUint64, Start: 0, End: math.MaxUint32}, 0, ledger.ErrOverflow},
		"register":     {ledger.RegisterBlob{Size: 17}, 20, nil},
		"large":        {ledger.RegisterBlob{Size: 1 << 30}, 20 * 4023, nil},
		"too large":    {ledger.RegisterBlob{Size: math.MaxUint64}, 0, nil},
		"delete":       {ledger.DeleteBlob{}, 0, nil},
	} {
		if got, err := Cost(p, []ledger.Op{tt.op}); got != tt.want || !errors.Is(err, tt.err) {
			t.Errorf("%s costs %d, %v: want %d, %v", name, uint64(got), err, uint64(tt.want), tt.err)
		}
	}
	most := ledger.Transfer{Amount: math.MaxUint64}
	if _, err := Cost(p, []ledger.Op{most, ledger.Transfer{Amount: 1}}); !errors.Is(err, ledger.ErrOverflow) {
		t.Errorf("%v, want ErrOverflow", err)
	}
}

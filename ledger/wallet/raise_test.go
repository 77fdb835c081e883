package wallet

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"

	"walrus/ledger"
)

// asking makes nodes ask for a fee.
func asking(least ledger.Amount) func(*ledger.Tx) error {
	return func(tx *ledger.Tx) error {
		if tx.Fee < least {
			return &ledger.OpError{Code: ledger.CodeFee, Op: -1, Least: least, Text: "priced out"}
		}
		return nil
	}
}

var payBob = ledger.Fixed(ledger.Transfer{To: ledger.Address{2}, Amount: 5})

// TestRaise: a payer pays what nodes ask for, up to its bound.
func TestRaise(t *testing.T) {
	for _, tt := range []struct {
		name  string
		times uint64 // what nodes ask for
		bound uint64
		paid  bool
	}{
		{"twice", 2, DefaultMaxFee, true}, {"as much as allowed", 10, DefaultMaxFee, true},
		{"more than allowed", 11, DefaultMaxFee, false}, {"nothing is allowed", 2, 1, false},
		{"a higher bound", 11, 20, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newChain(t, ledger.WAL)
				w, err := New()
				if err != nil {
					t.Fatal(err)
				}
				p := NewPayer(w.MaxFee(tt.bound), c)
				first, err := p.Do(t.Context(), payBob)
				if err != nil {
					t.Fatal(err)
				}
				c.change(func() { c.refuse = asking(ledger.Amount(tt.times) * first.Fee) })
				r, err := p.Do(t.Context(), payBob)
				var no *ledger.OpError
				switch {
				case tt.paid && (err != nil || r.Fee < ledger.Amount(tt.times)*first.Fee ||
					r.Fee > ledger.Amount(tt.bound)*first.Fee):
					t.Errorf("%v, receipt %+v", err, r)
				case !tt.paid && (!errors.As(err, &no) || !no.PricedOut() || !strings.Contains(err.Error(), "until height")):
					t.Errorf("%v, want it priced out", err)
				}
				c.change(func() { c.refuse = nil })
				if _, err := p.Do(t.Context(), payBob); err != nil { // the nonce is used again
					t.Error(err)
				}
			})
		})
	}
}

// TestRaisedBefore: the transaction with the lower fee comes into a block after all. It is paid once.
func TestRaisedBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newChain(t, ledger.WAL)
		w, err := New()
		if err != nil {
			t.Fatal(err)
		}
		p := NewPayer(w, c)
		c.refuse = func(tx *ledger.Tx) error {
			if len(c.waiting) == 0 && len(c.committed) == 0 { // a node tells of a full pool, and yet commits it
				c.waiting = append(c.waiting, tx)
				c.block = make(chan struct{})
				go c.commit()
				return &ledger.OpError{Code: ledger.CodeFee, Op: -1, Least: 2 * tx.Fee, Text: "priced out"}
			}
			return nil
		}
		r, err := p.Do(t.Context(), payBob)
		if err != nil || len(c.committed) != 1 || r.ID != c.committed[0].ID() {
			t.Errorf("%v, receipt %s; %d committed", err, r.ID, len(c.committed))
		}
	})
}

// TestBump raises a transaction that was given up, in another process.
func TestBump(t *testing.T) {
	path := filepath.Join(t.TempDir(), "wallet.yaml")
	w, err := New()
	if err == nil {
		err = w.Create(path)
	}
	load := func() *Wallet {
		w, err := Load(path)
		if err != nil {
			t.Fatal(err)
		}
		return w
	}
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		c := newChain(t, ledger.WAL)
		c.refuse = asking(50_000)
		if _, err := NewPayer(load(), c).Bump(t.Context(), ledger.TxID{}, 0); !errors.Is(err, ErrNothingToRaise) {
			t.Errorf("nothing was sent: %v", err)
		}
		if _, err := NewPayer(load(), c).Do(t.Context(), payBob); err == nil {
			t.Fatal("paid more than allowed")
		}
		if _, err := NewPayer(load(), c).Bump(t.Context(), ledger.TxID{}, 40_000); err == nil {
			t.Error("raised beyond the bound")
		}
		r, err := NewPayer(load(), c).Bump(t.Context(), ledger.TxID{}, 0)
		if err != nil || r.Fee < 50_000 || len(c.committed) != 1 || c.committed[0].Ops[0] != payBob(nil)[0] {
			t.Errorf("%v, receipt %+v", err, r)
		}
		if _, err := NewPayer(load(), c).Bump(t.Context(), ledger.TxID{}, 0); !errors.Is(err, ErrNothingToRaise) {
			t.Errorf("all is paid: %v", err)
		}
		cut, cancel := context.WithCancel(t.Context())
		c.change(func() { c.refuse = func(*ledger.Tx) error { cancel(); return nil } })
		if _, err := NewPayer(load(), c).Do(cut, payBob); !errors.Is(err, ErrUnknown) {
			t.Errorf("broken off: %v", err)
		}
		if left := load().unpaid.load(); len(left) != 1 {
			t.Errorf("%d transactions may be raised, want the one that was broken off", len(left))
		}
	})
}

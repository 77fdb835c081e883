package machine

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"walrus/ledger"
)

// TestCheckAcceptsProposals proposes blocks from random mempools, with transactions in conflict, payers that run dry
// within the block, and rubbish. Every proposal passes the check, and comes to the same outcome as when it is decided.
// With one more transaction that has no effect, it does not.
func TestCheckAcceptsProposals(t *testing.T) {
	seed := rand.Uint64()
	t.Log("seed", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	var wallets []wallet
	for i := range 6 {
		wallets = append(wallets, newWallet(fmt.Sprint("account ", i)))
	}
	n, wrong := registered(t, newWallet("writer"), "one", "two")
	fund := n.sign(walletOf(testIdentities[0]), 0)
	for _, w := range wallets[1:] {
		fund.Ops = append(fund.Ops, ledger.Transfer{To: w.address, Amount: 400_000})
	}
	params := n.genesis.Params()
	fund.Fee = params.MinFee(len(fund.Marshal()), fund.Ops)
	fund.Sign(testIdentities[0])
	if got := n.commit(t, Options{}, fund.Marshal()).Results[0]; got.Code != ledger.CodeOK {
		t.Fatal(got.Log)
	}
	full, wasted := 0, 0
	for range 60 {
		waiting := randomMempool(t, r, n, wallets)
		for _, e := range wrong {
			waiting = append(waiting, ledger.NewFree(n.Network, n.height+1+r.Uint64N(2), wallets[0].key,
				disprove(t, e)).Marshal())
		}
		r.Shuffle(len(waiting), func(i, j int) { waiting[i], waiting[j] = waiting[j], waiting[i] })
		b := Block{Height: n.height + 1, Time: n.time, Txs: waiting}
		picked, err := n.Propose(b, int64(1000+r.IntN(20_000)), Options{Workers: 1 + r.IntN(3), eager: true})
		if err != nil {
			t.Fatal(err)
		}
		b.Txs = picked
		checked, err := n.Check(b, Options{Workers: 1 + r.IntN(3), eager: true})
		if err != nil {
			t.Fatalf("block %d: %v", b.Height, err)
		}
		applied, err := n.Apply(b, Options{})
		if err != nil || !reflect.DeepEqual(applied.Results, checked.Results) || applied.Tree.Root() != checked.Tree.Root() {
			t.Fatalf("block %d: %v, or another outcome than that of the check", b.Height, err)
		}
		for range 5 {
			b.Txs = slices.Insert(slices.Clone(picked), r.IntN(len(picked)+1), waiting[r.IntN(len(waiting))])
			applied, err := n.Apply(b, Options{})
			if err != nil {
				t.Fatal(err)
			}
			waste := slices.ContainsFunc(applied.Results, func(r ledger.Result) bool { return !r.Effective() })
			_, err = n.Check(b, Options{Workers: 1 + r.IntN(3), eager: true})
			var objection *Objection
			if waste != errors.As(err, &objection) {
				t.Fatalf("block %d: with waste: %t, and yet: %v", b.Height, waste, err)
			}
			if waste {
				wasted++
			}
		}
		full += len(picked)
		n.commit(t, Options{}, picked...)
	}
	if full < 120 || wasted < 200 {
		t.Errorf("%d transactions proposed, and %d blocks with waste: the test tries too little", full, wasted)
	}
}

// randomMempool makes transactions of accounts that pay each other all they have.
func randomMempool(t *testing.T, r *rand.Rand, n *network, wallets []wallet) (waiting [][]byte) {
	for _, w := range wallets {
		a, err := ledger.ReadAccount(n.values, w.address)
		if err != nil {
			t.Fatal(err)
		}
		for range r.IntN(7) {
			to := wallets[r.IntN(len(wallets))]
			amount := ledger.Amount(r.Uint64N(uint64(a.Balance) + 5000))
			nonce := a.Nonce + uint64(r.IntN(5))
			ops := []ledger.Op{ledger.Transfer{To: to.address, Amount: amount}}
			if r.IntN(3) == 0 {
				ops = append(ops, ledger.BuyStorage{Bytes: r.Uint64N(2), Start: n.epoch(t), End: n.epoch(t) + 2})
			}
			tx := n.sign(w, nonce, ops...)
			switch r.IntN(12) {
			case 0:
				tx.Expiry = n.height
			case 1:
				tx.Fee--
			case 2:
				tx.Fee += ledger.Amount(r.IntN(5000))
			case 3:
				tx.Nonce--
			}
			tx.Sign(w.key)
			raw := tx.Marshal()
			if r.IntN(15) == 0 {
				raw[len(raw)-1] ^= 1
			}
			waiting = append(waiting, raw)
			if r.IntN(6) == 0 {
				waiting = append(waiting, bytes.Clone(raw))
			}
		}
	}
	return append(waiting, []byte("no transaction"))
}

// TestCheckStopsEarly has a block's waste found before signatures are verified, and before operations run.
func TestCheckStopsEarly(t *testing.T) {
	alice, poor := newWallet("alice"), newWallet("poor")
	n := funded(t, ledger.WAL, alice)
	asked := 0
	o := Options{Verified: func(ledger.TxID) bool { asked++; return true }, Workers: 1}
	good, again := n.sign(alice, 0, transferTo(alice)).Marshal(), n.sign(alice, 0, transferTo(poor)).Marshal()
	_, err := n.Check(Block{Height: 1, Time: n.time, Txs: [][]byte{good, again}}, o)
	var objection *Objection
	if !errors.As(err, &objection) || objection.Index != 1 || objection.Reason.Code != ledger.CodeNonce || asked != 0 {
		t.Errorf("%v after %d signatures, want a wrong nonce after none", err, asked)
	}
	txs := [][]byte{n.sign(poor, 0, transferTo(poor)).Marshal()}
	for nonce := range uint64(100) {
		txs = append(txs, n.sign(alice, nonce, transferTo(newWallet(fmt.Sprint("to ", nonce)))).Marshal())
	}
	n.Values = &counted{Reader: n.values}
	_, err = n.Check(Block{Height: 1, Time: n.time, Txs: txs}, o)
	if !errors.As(err, &objection) || objection.Index != 0 || objection.Reason.Code != ledger.CodeFee {
		t.Errorf("%v, want that the first cannot pay", err)
	}
	if got := n.Values.(*counted).accounts; got != 2 {
		t.Errorf("%d accounts read, want the 2 that send", got)
	}
}

// counted counts the accounts that are read.
type counted struct {
	ledger.Reader
	accounts int
}

// Get implements ledger.Reader.
func (c *counted) Get(key []byte) ([]byte, error) {
	if key[0] == 'a' {
		c.accounts++
	}
	return c.Reader.Get(key)
}

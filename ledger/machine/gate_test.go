package machine

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"walrus/ledger"
)

// funded is a network whose accounts have amount each.
func funded(t testing.TB, amount ledger.Amount, wallets ...wallet) *network {
	t.Helper()
	return newNetwork(t, func(g *ledger.Genesis) {
		for _, w := range wallets {
			g.Accounts = append(g.Accounts, ledger.GenesisAccount{Address: w.address, Amount: amount})
		}
	})
}

func openGate(t testing.TB, n *network, limit int) *Gate {
	t.Helper()
	g := NewGate(limit)
	if err := g.Update(n.State, n.height); err != nil {
		t.Fatal(err)
	}
	return g
}

// wantCode checks why a transaction is refused; CodeOK: it is not.
func wantCode(t *testing.T, what string, err error, want ledger.Code) {
	t.Helper()
	code := ledger.CodeOK
	var refused *ledger.OpError
	switch {
	case errors.As(err, &refused):
		code = refused.Code
	case err != nil:
		t.Fatalf("%s: %v", what, err)
	}
	if code != want {
		t.Errorf("%s: %v (%v), want %v", what, code, err, want)
	}
}

func transferTo(w wallet) ledger.Op { return ledger.Transfer{To: w.address, Amount: 1} }

func TestGateRefuses(t *testing.T) {
	alice, bob := newWallet("alice"), newWallet("bob")
	n := funded(t, ledger.WAL, alice)
	good := func(nonce uint64) *ledger.Tx { return n.sign(alice, nonce, transferTo(bob)) }
	changed := func(change func(tx *ledger.Tx)) []byte {
		tx := good(0)
		change(tx)
		tx.Sign(alice.key)
		return tx.Marshal()
	}
	forged := good(0)
	forged.Signature[3] ^= 1
	for _, tt := range []struct {
		name string
		raw  []byte
		want ledger.Code
	}{
		{"nothing", nil, ledger.CodeFormat},
		{"too large", make([]byte, ledger.MaxTxSize+1), ledger.CodeFormat},
		{"forged", forged.Marshal(), ledger.CodeSignature},
		{"of another network", changed(func(tx *ledger.Tx) { tx.Network[0] ^= 1 }), ledger.CodeNetwork},
		{"expired", changed(func(tx *ledger.Tx) { tx.Expiry = 0 }), ledger.CodeExpired},
		{"far ahead", changed(func(tx *ledger.Tx) { tx.Expiry = 2 + ledger.MaxExpiry }), ledger.CodeExpired},
		{"nonce ahead", good(1).Marshal(), ledger.CodeNonce},
		{"cheap", changed(func(tx *ledger.Tx) { tx.Fee-- }), ledger.CodeFee},
		{"beyond the balance", changed(func(tx *ledger.Tx) { tx.Fee = ledger.WAL + 1 }), ledger.CodeFee},
		{"without an account", n.sign(bob, 0, transferTo(alice)).Marshal(), ledger.CodeFee},
		{"good", good(0).Marshal(), ledger.CodeOK},
		{"again", good(0).Marshal(), ledger.CodeNonce},
	} {
		g := openGate(t, n, 10)
		if tt.name == "again" {
			if _, _, err := g.Admit(tt.raw, nil); err != nil {
				t.Fatal(err)
			}
		}
		tx, id, err := g.Admit(tt.raw, nil)
		wantCode(t, tt.name, err, tt.want)
		if (err == nil) != (tx != nil) || id != ledger.HashTx(tt.raw) {
			t.Errorf("%s: transaction %v, ID %s", tt.name, tx, id)
		}
		if tt.want == ledger.CodeOK {
			continue
		}
		if txs, accounts := g.Pending(); tt.name != "again" && (txs != 0 || accounts != 0) {
			t.Errorf("%s: refused, and yet %d transactions of %d accounts wait", tt.name, txs, accounts)
		}
	}
	if _, _, err := NewGate(10).Admit(good(0).Marshal(), nil); err == nil {
		t.Error("a gate without a state let a transaction in")
	}
}

func TestGateTrustsVerified(t *testing.T) {
	alice := newWallet("alice")
	n := funded(t, ledger.WAL, alice)
	tx := n.sign(alice, 0, transferTo(alice))
	tx.Signature[0] ^= 1
	asked := 0
	_, _, err := openGate(t, n, 10).Admit(tx.Marshal(), func(id ledger.TxID) bool { asked++; return id == tx.ID() })
	if err != nil || asked != 1 {
		t.Errorf("verified before: %v after %d questions", err, asked)
	}
}

// TestGatePending lets the transactions of one account wait one after the other, as long as it can pay for them all.
func TestGatePending(t *testing.T) {
	alice, bob := newWallet("alice"), newWallet("bob")
	n := funded(t, ledger.WAL, alice, bob)
	fee := n.sign(alice, 0, transferTo(bob)).Fee
	poor := funded(t, 3*(fee+1), alice)
	g := openGate(t, poor, 1000)
	for nonce := range uint64(4) {
		want := ledger.CodeOK
		if nonce == 3 {
			want = ledger.CodeFee
		}
		_, _, err := g.Admit(poor.sign(alice, nonce, transferTo(bob)).Marshal(), nil)
		wantCode(t, fmt.Sprint("nonce ", nonce, " with WAL for 3"), err, want)
	}

	g = openGate(t, n, MaxPending+2)
	for nonce := range uint64(MaxPending) {
		if _, _, err := g.Admit(n.sign(alice, nonce, transferTo(bob)).Marshal(), nil); err != nil {
			t.Fatal(err)
		}
	}
	_, _, err := g.Admit(n.sign(alice, MaxPending, transferTo(bob)).Marshal(), nil)
	wantCode(t, "more than an account may have waiting", err, ledger.CodeLimit)
	for nonce, want := range []ledger.Code{ledger.CodeOK, ledger.CodeOK, ledger.CodeLimit} {
		_, _, err := g.Admit(n.sign(bob, uint64(nonce), transferTo(bob)).Marshal(), nil)
		wantCode(t, "another account until the gate is full", err, want)
	}
	if txs, accounts := g.Pending(); txs != MaxPending+2 || accounts != 2 {
		t.Errorf("%d transactions of %d accounts wait", txs, accounts)
	}
}

// TestGateOutlay counts what a waiting transaction gives away: nothing waits behind it that the account could not pay
// for any more.
func TestGateOutlay(t *testing.T) {
	alice, bob := newWallet("alice"), newWallet("bob")
	n := funded(t, ledger.WAL, alice)
	transfer := func(to wallet, amount ledger.Amount) ledger.Op {
		return ledger.Transfer{To: to.address, Amount: amount}
	}
	for name, tt := range map[string]struct {
		ops  []ledger.Op
		want ledger.Code // of the next transaction
	}{
		"nearly all":          {[]ledger.Op{transfer(bob, ledger.WAL-5000)}, ledger.CodeFee},
		"all, in parts":       {[]ledger.Op{transfer(bob, ledger.WAL/2), transfer(bob, ledger.WAL/2-5000)}, ledger.CodeFee},
		"more than there is":  {[]ledger.Op{transfer(bob, 2*ledger.WAL)}, ledger.CodeFee}, // it may come in before
		"beyond 64 bits":      {[]ledger.Op{transfer(bob, 1), transfer(bob, 1<<64-1)}, ledger.CodeFee},
		"into a blob's funds": {[]ledger.Op{ledger.FundBlob{Amount: ledger.WAL - 5000}}, ledger.CodeFee},
		"shared with a blob":  {[]ledger.Op{ledger.ShareBlob{Amount: ledger.WAL - 5000}}, ledger.CodeFee},
		"half":                {[]ledger.Op{transfer(bob, ledger.WAL/2)}, ledger.CodeOK},
		"to itself":           {[]ledger.Op{transfer(alice, ledger.WAL-5000)}, ledger.CodeOK},
	} {
		g := openGate(t, n, 10)
		if _, _, err := g.Admit(n.sign(alice, 0, tt.ops...).Marshal(), nil); err != nil {
			t.Fatal(name, err)
		}
		_, _, err := g.Admit(n.sign(alice, 1, transferTo(bob)).Marshal(), nil)
		wantCode(t, name, err, tt.want)
	}
}

// TestGateUpdate commits one of three waiting transactions and lets the others in again.
func TestGateUpdate(t *testing.T) {
	alice, bob := newWallet("alice"), newWallet("bob")
	n := newNetwork(t, func(g *ledger.Genesis) {
		g.StoragePrice = 1
		g.Accounts = []ledger.GenesisAccount{{Address: alice.address, Amount: ledger.WAL}}
	})
	g := openGate(t, n, 100)
	var waiting [][]byte
	buy := ledger.BuyStorage{Start: 1, End: 2} // for all but what one more transaction takes
	units := ledger.WAL - n.sign(alice, 0, buy).Fee - n.sign(alice, 1, transferTo(bob)).Fee - 1
	buy.Bytes = uint64(units) * ledger.UnitSize
	for nonce, op := range []ledger.Op{buy, transferTo(bob), transferTo(bob)} {
		raw := n.sign(alice, uint64(nonce), op).Marshal()
		if _, _, err := g.Admit(raw, nil); err != nil {
			t.Fatal(err)
		}
		waiting = append(waiting, raw)
	}
	if out := n.commit(t, Options{}, waiting[0]); out.Results[0].Code != ledger.CodeOK {
		t.Fatal(out.Results[0].Log)
	}
	if err := g.Update(n.State, n.height); err != nil {
		t.Fatal(err)
	}
	for i, want := range []ledger.Code{ledger.CodeNonce, ledger.CodeOK, ledger.CodeFee} {
		_, _, err := g.Admit(waiting[i], nil)
		wantCode(t, fmt.Sprint("transaction ", i, " after the block"), err, want)
	}
}

func TestGateConcurrently(t *testing.T) {
	var wallets []wallet
	for i := range 8 {
		wallets = append(wallets, newWallet(fmt.Sprint(i)))
	}
	n := funded(t, ledger.WAL, wallets...)
	g := openGate(t, n, 1000)
	var all sync.WaitGroup
	for _, w := range wallets {
		all.Go(func() {
			for nonce := range uint64(20) {
				if _, _, err := g.Admit(n.sign(w, nonce, transferTo(w)).Marshal(), nil); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	if txs, accounts := g.Pending(); txs != 160 || accounts != 8 {
		t.Errorf("%d transactions of %d accounts wait", txs, accounts)
	}
}

// broken is a disk that cannot be read.
type broken struct{ ledger.Reader }

var errDisk = errors.New("disk is gone")

// Get fails for accounts and objects.
func (b broken) Get(key []byte) ([]byte, error) {
	if key[0] == 'a' || key[0] == 'B' {
		return nil, errDisk
	}
	return b.Reader.Get(key)
}

func TestBrokenState(t *testing.T) {
	alice := newWallet("alice")
	n := funded(t, ledger.WAL, alice)
	transfer := n.sign(alice, 0, transferTo(alice)).Marshal()
	extend := n.sign(alice, 0, ledger.ExtendBlob{Object: ledger.ObjectID{1}, Epochs: 1}).Marshal()
	s := n.State
	s.Values = broken{n.values}
	g := NewGate(10)
	if err := g.Update(s, 0); err != nil {
		t.Fatal(err)
	}
	if _, _, err := g.Admit(transfer, nil); !errors.Is(err, errDisk) {
		t.Errorf("gate: %v", err)
	}
	for _, raw := range [][]byte{transfer, extend} {
		b := Block{Height: 1, Time: n.time, Txs: [][]byte{raw}}
		if out, err := s.Apply(b, Options{}); !errors.Is(err, errDisk) {
			t.Errorf("apply: %v, %v", out, err)
		}
		if picked, err := s.Propose(b, 1<<20, Options{}); !errors.Is(err, errDisk) {
			t.Errorf("propose: %v, %v", picked, err)
		}
	}
	s.Values = memory{}
	if err := g.Update(s, 0); !errors.Is(err, ledger.ErrNotFound) {
		t.Errorf("gate on nothing: %v", err)
	}
	n.values[string(ledger.KeyAccount(alice.address))] = []byte("nonsense")
	if _, err := n.Apply(Block{Height: 1, Time: n.time, Txs: [][]byte{transfer}},
		Options{}); !errors.Is(err, ledger.ErrFormat) {
		t.Errorf("apply to a damaged account: %v", err)
	}
}

package machine

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"walrus/ledger"
	"walrus/ledger/mempool"
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

// openGate makes a gate for a network; above half of limit transactions the least fee rises.
func openGate(t testing.TB, n *network, limit int) *Gate {
	t.Helper()
	g := NewGate(mempool.Limits{Txs: limit, Bytes: 1 << 30})
	updated(t, g, n, nil)
	return g
}

// updated tells a gate of a block.
func updated(t testing.TB, g *Gate, n *network, changes []Change) []Left {
	t.Helper()
	left, err := g.Update(n.State, n.height, changes)
	if err != nil {
		t.Fatal(err)
	}
	return left
}

// admitAny gives a transaction to a gate.
func (g *Gate) admitAny(raw []byte) error {
	_, _, err := g.Admit(raw, nil, false)
	return err
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
		{"short-lived", changed(func(tx *ledger.Tx) { tx.Expiry = n.height + mempool.LeastLife - 1 }), ledger.CodeExpired},
	} {
		g := openGate(t, n, 10)
		tx, _, err := g.Admit(tt.raw, nil, false)
		wantCode(t, tt.name, err, tt.want)
		if (err == nil) != (tx != nil) || tx != nil && tx.ID != ledger.HashTx(tt.raw) {
			t.Errorf("%s: transaction %v", tt.name, tx)
		}
		if tt.want == ledger.CodeOK {
			if again, _, err := g.Admit(tt.raw, nil, false); again != nil || err != nil || !g.Has(tx.ID) {
				t.Errorf("again: %v, %v", again, err)
			}
			continue
		}
		if txs, accounts := g.Pending(); txs != 0 || accounts != 0 {
			t.Errorf("%s: refused, and yet %d transactions of %d accounts wait", tt.name, txs, accounts)
		}
	}
	if NewGate(mempool.Limits{Txs: 10, Bytes: 1000}).admitAny(good(0).Marshal()) == nil {
		t.Error("a gate without a state let a transaction in")
	}
}

func TestGateTrustsVerified(t *testing.T) {
	alice := newWallet("alice")
	n := funded(t, ledger.WAL, alice)
	tx := n.sign(alice, 0, transferTo(alice))
	tx.Signature[0] ^= 1
	asked := 0
	_, _, err := openGate(t, n, 10).Admit(tx.Marshal(), func(id ledger.TxID) bool { asked++; return id == tx.ID() }, false)
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
		err := g.admitAny(poor.sign(alice, nonce, transferTo(bob)).Marshal())
		wantCode(t, fmt.Sprint("nonce ", nonce, " with WAL for 3"), err, want)
	}

	g = openGate(t, n, 1000)
	for nonce := range uint64(mempool.MaxWaiting) {
		if err := g.admitAny(n.sign(alice, nonce, transferTo(bob)).Marshal()); err != nil {
			t.Fatal(err)
		}
	}
	err := g.admitAny(n.sign(alice, mempool.MaxWaiting, transferTo(bob)).Marshal())
	wantCode(t, "more than an account may have waiting", err, ledger.CodeLimit)
	if txs, accounts := g.Pending(); txs != mempool.MaxWaiting || accounts != 1 {
		t.Errorf("%d transactions of %d accounts wait", txs, accounts)
	}
}

// TestGateMarket fills a gate with the least fee: who pays more comes in, for the cheapest.
func TestGateMarket(t *testing.T) {
	users := []wallet{newWallet("alice"), newWallet("bob"), newWallet("carol"), newWallet("dave")}
	n := funded(t, ledger.WAL, users...)
	g := openGate(t, n, 2)
	cheap := n.sign(users[1], 0, transferTo(users[0]))
	if err := g.admitAny(n.tipped(users[0], 0, 100_000)); err != nil {
		t.Fatal(err)
	}
	err := g.admitAny(cheap.Marshal())
	wantCode(t, "the least fee in a gate above half full", err, ledger.CodeOK)
	rich := n.sign(users[2], 0, transferTo(users[0]))
	var refused *ledger.OpError
	if err := g.admitAny(rich.Marshal()); !errors.As(err, &refused) || !refused.PricedOut() {
		t.Fatalf("the same fee in a full gate: %v", err)
	}
	rich.Fee = refused.Least
	rich.Sign(users[2].key)
	_, left, err := g.Admit(rich.Marshal(), nil, false)
	if err != nil || len(left) != 1 || left[0].Tx.ID != cheap.ID() || left[0].Err().Least <= cheap.Fee {
		t.Errorf("with the fee it asked for: %v, %v", left, err)
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
		if err := g.admitAny(n.sign(alice, 0, tt.ops...).Marshal()); err != nil {
			t.Fatal(name, err)
		}
		err := g.admitAny(n.sign(alice, 1, transferTo(bob)).Marshal())
		wantCode(t, name, err, tt.want)
	}
}

// TestGateDeposit counts the deposits that a waiting transaction takes, as it does prices.
func TestGateDeposit(t *testing.T) {
	alice, bob := newWallet("alice"), newWallet("bob")
	network := func(sum ledger.Amount) *network {
		return newNetwork(t, func(g *ledger.Genesis) {
			g.DepositPerByte = 1000
			g.Accounts = []ledger.GenesisAccount{{Address: alice.address, Amount: sum}}
		})
	}
	buy := ledger.BuyStorage{Start: 1, End: 2, Bytes: 1}
	n := network(ledger.WAL)
	params, err := ledger.ReadParams(n.Values)
	if err != nil {
		t.Fatal(err)
	}
	cost, err := ledger.OpCost(&params, buy)
	if err != nil {
		t.Fatal(err)
	}
	both := cost + params.StorageDeposit() + n.sign(alice, 0, buy).Fee + n.sign(alice, 1, transferTo(bob)).Fee
	for sum, want := range map[ledger.Amount]ledger.Code{both: ledger.CodeOK, both - 1: ledger.CodeFee} {
		n := network(sum)
		g := openGate(t, n, 10)
		if err := g.admitAny(n.sign(alice, 0, buy).Marshal()); err != nil {
			t.Fatal(err)
		}
		wantCode(t, fmt.Sprint("behind a deposit, with ", sum), g.admitAny(n.sign(alice, 1, transferTo(bob)).Marshal()), want)
	}
}

// TestGateUpdate lets wait what an account can pay for, and commits the first: the second stays.
func TestGateUpdate(t *testing.T) {
	alice, bob := newWallet("alice"), newWallet("bob")
	n := newNetwork(t, func(g *ledger.Genesis) {
		g.StoragePrice = 1
		g.Accounts = []ledger.GenesisAccount{{Address: alice.address, Amount: ledger.WAL}}
	})
	g := openGate(t, n, 100)
	buy := ledger.BuyStorage{Start: 1, End: 2} // for all but what one more transaction takes
	units := ledger.WAL - n.sign(alice, 0, buy).Fee - n.sign(alice, 1, transferTo(bob)).Fee - 1
	buy.Bytes = uint64(units) * ledger.UnitSize
	var waiting []*ledger.Tx
	for nonce, op := range []ledger.Op{buy, transferTo(bob), transferTo(bob)} {
		tx := n.sign(alice, uint64(nonce), op)
		want := ledger.CodeOK
		if nonce == 2 {
			want = ledger.CodeFee
		}
		wantCode(t, fmt.Sprint("transaction ", nonce), g.admitAny(tx.Marshal()), want)
		waiting = append(waiting, tx)
	}
	out := n.commit(t, Options{}, waiting[0].Marshal())
	if out.Results[0].Code != ledger.CodeOK {
		t.Fatal(out.Results[0].Log)
	}
	if left := updated(t, g, n, out.Changes); len(left) != 1 || left[0].Why != mempool.Used {
		t.Errorf("after the block left: %v", left)
	}
	wantCode(t, "used", g.admitAny(waiting[0].Marshal()), ledger.CodeNonce)
	if !g.Has(waiting[1].ID()) {
		t.Error("the second left with the first")
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
				if err := g.admitAny(n.sign(w, nonce, transferTo(w)).Marshal()); err != nil {
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
	g := NewGate(mempool.Limits{Txs: 10, Bytes: 10_000})
	if _, err := g.Update(s, 0, nil); err != nil {
		t.Fatal(err)
	}
	if err := g.admitAny(transfer); !errors.Is(err, errDisk) {
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
	if _, err := g.Update(s, 0, nil); !errors.Is(err, ledger.ErrNotFound) {
		t.Errorf("gate on nothing: %v", err)
	}
	n.values[string(ledger.KeyAccount(alice.address))] = []byte("nonsense")
	if _, err := n.Apply(Block{Height: 1, Time: n.time, Txs: [][]byte{transfer}},
		Options{}); !errors.Is(err, ledger.ErrFormat) {
		t.Errorf("apply to a damaged account: %v", err)
	}
}

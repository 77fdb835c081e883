package machine

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"walrus/ledger"
	"walrus/ledger/mempool"
)

// tipped signs a transfer that pays tip above the least fee.
func (n *network) tipped(w wallet, nonce uint64, tip ledger.Amount) []byte {
	tx := n.sign(w, nonce, transferTo(w))
	tx.Fee += tip
	tx.Sign(w.key)
	return tx.Marshal()
}

func TestOrder(t *testing.T) {
	a, b, c := newWallet("a"), newWallet("b"), newWallet("c")
	n := funded(t, ledger.WAL, a, b, c)
	params := n.genesis.Params()
	a0, a1, a2, b0, b1, c0 := n.tipped(a, 0, 0), n.tipped(a, 1, 0), n.tipped(a, 2, 500), n.tipped(b, 0, 0), n.tipped(b, 1,
		0), n.tipped(c, 0, 100)
	long := n.sign(c, 1, slices.Repeat([]ledger.Op{transferTo(a)}, 100)...)
	long.Fee += 500 // less for each byte than 100 for a short one
	long.Sign(c.key)
	c1 := long.Marshal()
	cheap := n.sign(b, 2, transferTo(a))
	cheap.Fee--
	cheap.Sign(b.key)
	size := int64(len(a0) + proposalOverhead)
	for _, tt := range []struct {
		name      string
		max       int64
		txs, want [][]byte
	}{
		{"none", 1000, nil, nil},
		{"turns", 1e6, [][]byte{a0, a1, b0, b1}, [][]byte{a0, b0, a1, b1}},
		{"turns by who came first", 1e6, [][]byte{b0, a0, a1, b1}, [][]byte{b0, a0, b1, a1}},
		{"nonces", 1e6, [][]byte{a2, a1, a0}, [][]byte{a0, a1, a2}},
		{"tips", 1e6, [][]byte{a0, b0, c0}, [][]byte{c0, a0, b0}},
		{"a tip waits for the nonces before", 1e6, [][]byte{a2, a0, b0, a1}, [][]byte{a0, b0, a1, a2}},
		{"tips for each byte", 1e6, [][]byte{c1, n.tipped(b, 0, 100)}, [][]byte{n.tipped(b, 0, 100), c1}},
		{"too cheap, no transaction", 1e6, [][]byte{cheap.Marshal(), {1, 2}, nil, a0}, [][]byte{a0}},
		{"full", 2 * size, [][]byte{a0, a1, b0}, [][]byte{a0, b0}},
		{"a tip is worth no more than a share", 4 * size, [][]byte{c0, n.tipped(c, 1, 100), a0, b0},
			[][]byte{c0, a0, b0, n.tipped(c, 1, 100)}},
		{"almost full", 2*size - 1, [][]byte{a0, a1, b0}, [][]byte{a0}},
		{"no room", 0, [][]byte{a0}, nil},
	} {
		if got := Order(params, tt.txs, tt.max); !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%s: %d transactions in another order", tt.name, len(got))
		}
	}
}

// TestOrderIsFair has one account flood while others send one transaction each, last.
func TestOrderIsFair(t *testing.T) {
	flooder := newWallet("flooder")
	var users []wallet
	for i := range 20 {
		users = append(users, newWallet(fmt.Sprint("user ", i)))
	}
	n := funded(t, ledger.WAL, append(users, flooder)...)
	var txs [][]byte
	for nonce := range uint64(10_000) {
		tx := &ledger.Tx{Network: n.Network, Sender: publicKey(flooder), Nonce: nonce, Expiry: 10, Fee: 6000,
			Ops: []ledger.Op{transferTo(flooder)}}
		txs = append(txs, tx.Marshal())
	}
	for _, u := range users {
		txs = append(txs, n.tipped(u, 0, 6000-n.sign(u, 0, transferTo(u)).Fee))
	}
	picked := Order(n.genesis.Params(), txs, 41*int64(len(txs[0])+proposalOverhead))
	if len(picked) != 41 {
		t.Fatalf("%d transactions picked", len(picked))
	}
	for i := range users {
		if !slices.ContainsFunc(picked[:21], func(raw []byte) bool { return string(raw) == string(txs[10_000+i]) }) {
			t.Errorf("user %d is not among the first", i)
		}
	}
	for i, raw := range picked[21:] {
		if tx, err := ledger.UnmarshalTx(raw); err != nil || tx.Nonce != uint64(1+i) {
			t.Errorf("after the users: nonce %d, %v", tx.Nonce, err)
		}
	}
}

// TestOrderBoundsTips has one account flood that pays more than the others, who pay the least.
func TestOrderBoundsTips(t *testing.T) {
	flooder, user := newWallet("flooder"), newWallet("user")
	n := funded(t, ledger.WAL, flooder, user)
	var txs [][]byte
	for nonce := range uint64(mempool.MaxWaiting) {
		tx := n.sign(flooder, nonce, slices.Repeat([]ledger.Op{transferTo(user)}, ledger.MaxOps)...)
		tx.Fee *= 10
		txs = append(txs, tx.Marshal())
	}
	txs = append(txs, n.tipped(user, 0, 0), n.tipped(user, 1, 0))
	picked := Order(n.genesis.Params(), txs, 1<<20)
	for _, raw := range txs[mempool.MaxWaiting:] {
		if !slices.ContainsFunc(picked, func(p []byte) bool { return string(p) == string(raw) }) {
			t.Error("a transaction of the user is not among those picked")
		}
	}
	if len(picked) < 90 {
		t.Errorf("only %d transactions picked: the room that nobody else takes is the flooder's", len(picked))
	}
}

// TestOrderBoundsWork leaves work beyond the bound to the next block, and what comes after it.
func TestOrderBoundsWork(t *testing.T) {
	user := newWallet("user")
	wallets := []wallet{newWallet("a"), newWallet("b"), newWallet("c")}
	n := funded(t, ledger.WAL, append(wallets, user)...)
	params := n.genesis.Params()
	half := int(ledger.MaxBlockWork / 2 / params.Work(2*40, []ledger.Op{ledger.CertifyBlob{}}))
	var txs [][]byte
	for _, w := range wallets {
		txs = append(txs, n.sign(w, 0, slices.Repeat([]ledger.Op{ledger.CertifyBlob{}}, half)...).Marshal(),
			n.tipped(w, 1, 0))
	}
	txs = append(txs, n.tipped(user, 0, 0))
	want := [][]byte{txs[0], txs[2], txs[6], txs[1], txs[3]} // the third has its turn, but no room
	if got := Order(n.genesis.Params(), txs, 1<<20); !reflect.DeepEqual(got, want) {
		t.Errorf("%d transactions, want 5: all but those of the third", len(got))
	}
	few := n.sign(user, 0, ledger.CertifyBlob{}).Marshal()
	txs = nil
	for nonce := range uint64(4) { // one account that pays more than the others
		tx := n.sign(wallets[0], nonce, slices.Repeat([]ledger.Op{ledger.CertifyBlob{}}, half*10/18)...)
		tx.Fee *= 2
		txs = append(txs, tx.Marshal())
	}
	got := Order(n.genesis.Params(), append(txs, few), 1<<20)
	if want := [][]byte{txs[0], few, txs[1], txs[2]}; !reflect.DeepEqual(got, want) {
		t.Errorf("%d transactions, want 4, that of the user among them", len(got))
	}
}

func TestPropose(t *testing.T) {
	alice, bob, carol := newWallet("alice"), newWallet("bob"), newWallet("carol")
	n := funded(t, ledger.WAL, alice, bob)
	fee := n.sign(alice, 0, transferTo(bob)).Fee
	forged := n.sign(bob, 1, transferTo(bob))
	forged.Signature[9] ^= 1
	txs := [][]byte{
		n.sign(alice, 0, ledger.Transfer{To: carol.address, Amount: ledger.WAL - fee}).Marshal(),
		n.sign(alice, 1, transferTo(bob)).Marshal(), // cannot pay its fee any more
		n.sign(alice, 2, transferTo(bob)).Marshal(),
		n.sign(bob, 3, transferTo(bob)).Marshal(),
		n.sign(bob, 0, ledger.Transfer{To: carol.address, Amount: 2 * ledger.WAL}).Marshal(), // fails but pays
		n.sign(carol, 0, transferTo(bob)).Marshal(),                                          // pays after that
		forged.Marshal(),
	}
	before := n.Tree.Root()
	picked, err := n.Propose(Block{Height: 1, Time: n.time, Txs: txs}, 1e6, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if want := [][]byte{txs[0], txs[4], txs[5]}; !reflect.DeepEqual(picked, want) {
		t.Errorf("%d transactions picked, not the 3 that are valid", len(picked))
	}
	if n.Tree.Root() != before || len(n.values) != n.Tree.Len() {
		t.Error("a proposal changed the state")
	}
	out := n.commit(t, Options{}, picked...)
	for i, want := range []ledger.Code{ledger.CodeOK, ledger.CodeBalance, ledger.CodeOK} {
		if r := out.Results[i]; r.Code != want {
			t.Errorf("transaction %d: %v: %s", i, r.Code, r.Log)
		}
	}
}

// FuzzOrder picks no transaction twice, none that was not there, and keeps nonces and size.
func FuzzOrder(f *testing.F) {
	f.Add(uint64(1), uint16(1000))
	f.Add(uint64(2), uint16(60000))
	n := newNetwork(f, nil)
	f.Fuzz(func(t *testing.T, seed uint64, limit uint16) {
		r := rand.New(rand.NewPCG(seed, 2))
		var txs [][]byte
		given := map[string]int{}
		for range r.IntN(60) {
			tx := &ledger.Tx{Sender: ledger.PublicKey{byte(r.IntN(5))}, Nonce: uint64(r.IntN(5)),
				Fee: ledger.Amount(2500 + r.IntN(3)*500)}
			tx.Ops = slices.Repeat([]ledger.Op{transferTo(wallet{})}, 1+r.IntN(3)*r.IntN(50))
			raw := tx.Marshal()
			txs = append(txs, raw)
			given[string(raw)]++
		}
		size := int64(0)
		last := map[ledger.PublicKey]uint64{}
		for _, raw := range Order(n.genesis.Params(), txs, int64(limit)) {
			given[string(raw)]--
			size += int64(len(raw)) + proposalOverhead
			tx, err := ledger.UnmarshalTx(raw)
			if err != nil || given[string(raw)] < 0 || tx.Nonce < last[tx.Sender] {
				t.Fatalf("picked nonce %d after %d, %v, %d left", tx.Nonce, last[tx.Sender], err, given[string(raw)])
			}
			last[tx.Sender] = tx.Nonce
		}
		if size > int64(limit) {
			t.Fatalf("%d bytes picked for %d", size, limit)
		}
	})
}

package machine

import (
	"maps"
	"math"
	"reflect"
	"testing"
	"time"

	"walrus/ledger"
)

// TestApplyLeavesStateAlone applies one block twice to the same state.
func TestApplyLeavesStateAlone(t *testing.T) {
	alice := newWallet("alice")
	n := funded(t, ledger.WAL, alice)
	n.time += int64(n.genesis.EpochDuration)
	before, root := maps.Clone(n.values), n.Tree.Root()
	b := Block{Height: 1, Time: n.time, Txs: [][]byte{n.sign(alice, 0,
		ledger.BuyStorage{Bytes: 5, Start: 2, End: 9}).Marshal()}}
	first, err := n.Apply(b, Options{})
	if err != nil {
		t.Fatal(err)
	}
	second, err := n.Apply(b, Options{Workers: 1})
	if err != nil {
		t.Fatal(err)
	}
	if first.Results[0].Code != ledger.CodeOK || !reflect.DeepEqual(first.Results, second.Results) ||
		first.Tree.Root() != second.Tree.Root() {
		t.Errorf("%+v, then %+v", first.Results, second.Results)
	}
	if !reflect.DeepEqual(n.values, before) || n.Tree.Root() != root {
		t.Error("the state changed")
	}
	for i, c := range first.Changes {
		if i > 0 && string(c.Key) <= string(first.Changes[i-1].Key) {
			t.Error("changes are not in ascending order")
		}
	}
}

// TestEmptyBlocksChangeNothing, or the chain would never come to rest.
func TestEmptyBlocksChangeNothing(t *testing.T) {
	n := newNetwork(t, nil)
	root := n.Tree.Root()
	for range 3 {
		n.time += int64(time.Second)
		if out := n.commit(t, Options{}); len(out.Changes) > 0 || n.Tree.Root() != root || len(out.Events) > 0 {
			t.Fatalf("an empty block made changes %v", out.Changes)
		}
	}
}

// TestVerified does not verify signatures that are known to be good.
func TestVerified(t *testing.T) {
	alice := newWallet("alice")
	n := funded(t, ledger.WAL, alice)
	tx := n.sign(alice, 0, transferTo(alice))
	tx.Signature[5] ^= 1
	b := Block{Height: 1, Time: n.time, Txs: [][]byte{tx.Marshal()}}
	for want, verified := range map[ledger.Code]func(ledger.TxID) bool{
		ledger.CodeSignature: nil,
		ledger.CodeOK:        func(id ledger.TxID) bool { return id == tx.ID() },
	} {
		if out, err := n.Apply(b, Options{Verified: verified}); err != nil || out.Results[0].Code != want {
			t.Errorf("%v, %v: want %v", out.Results, err, want)
		}
	}
}

// TestCountsOverflow gives an account that owns as much as can be counted one more.
func TestCountsOverflow(t *testing.T) {
	alice, bob := newWallet("alice"), newWallet("bob")
	n := funded(t, ledger.WAL, alice)
	full := ledger.Account{Balance: ledger.WAL, Storages: math.MaxUint32}
	n.values[string(ledger.KeyAccount(bob.address))] = full.Marshal()
	n.commit(t, Options{}, n.sign(alice, 0, ledger.BuyStorage{Bytes: 1, Start: 1, End: 2}).Marshal())
	id := ledger.NewObjectID(alice.address, 0, 0)
	out := n.commit(t, Options{}, n.sign(alice, 1, ledger.OfferStorage{Storage: id, To: bob.address, Until: 2}).Marshal(),
		n.sign(bob, 0, ledger.AcceptOffer{Object: id, From: alice.address}).Marshal())
	if r := out.Results[1]; r.Code != ledger.CodeOverflow {
		t.Errorf("%v: %s", r.Code, r.Log)
	}
}

func TestGenesisRefuses(t *testing.T) {
	n := newNetwork(t, nil)
	g := *n.genesis
	g.Capacity = 0
	if changes, tree, err := Genesis(&g); err == nil {
		t.Errorf("genesis without capacity: %d changes, root %s", len(changes), tree.Root())
	}
}

func TestHugeBlocks(t *testing.T) {
	n := newNetwork(t, nil)
	var txs [][]byte
	for i := range 20_000 {
		txs = append(txs, []byte{byte(i), byte(i >> 8)})
	}
	out, err := n.Apply(Block{Height: 1, Time: n.time, Txs: txs}, Options{Workers: 2})
	if err != nil || len(out.Results) != len(txs) || len(out.Changes) > 0 {
		t.Fatal(err)
	}
	for _, r := range out.Results {
		if r.Code != ledger.CodeFormat || r.Op != -1 || r.Fee != 0 {
			t.Fatalf("%+v", r)
		}
	}
}

package machine

import (
	"testing"

	"walrus/certs"
	"walrus/ledger"
)

// FuzzApply applies operations made of arbitrary bytes. Whatever they do, the state stays sound, and is the same for
// any number of workers.
func FuzzApply(f *testing.F) {
	alice, bob := newWallet("alice"), newWallet("bob")
	n := funded(f, 100*ledger.WAL, alice, bob)
	root, blob := testBlob("a", 1)
	var ops []ledger.Op
	wrong := contradictory(f, "wrong")
	for range 5 {
		ops = append(ops, ledger.BuyStorage{Bytes: 1 << 20, Start: 1, End: 3})
	}
	made := func(op int) ledger.ObjectID { return ledger.NewObjectID(alice.address, 0, op) }
	for i := range 3 {
		ops = append(ops, ledger.RegisterBlob{Storage: made(i), BlobID: blob, Root: root, Size: 1, Deletable: i == 1})
	}
	ops = append(ops, ledger.ShareBlob{Object: made(7), Amount: ledger.WAL},
		ledger.RegisterBlob{Storage: made(4), BlobID: wrong.ID, Root: wrong.Meta.BlobRoot(), Size: wrong.Meta.Length})
	if out := n.commit(f, Options{}, n.sign(alice, 0, ops...).Marshal()); out.Results[0].Code != ledger.CodeOK {
		f.Fatal(out.Results[0].Log)
	}
	storage, permanent, deletable, shared := made(3), made(5), made(6), made(7)
	cert := n.certificate(f, 1, blob, certs.Persistence{}, 0, 1, 2).Marshal()
	for _, ops := range [][]ledger.Op{
		{transferTo(bob), ledger.BuyStorage{Bytes: 1, Start: 1, End: 2}},
		{ledger.SplitStorage{Storage: storage, Epoch: 2},
			ledger.MergeStorage{A: storage, B: ledger.NewObjectID(alice.address, 1, 0)}},
		{ledger.OfferStorage{Storage: storage, To: bob.address, Until: 2}},
		{ledger.RegisterBlob{Storage: storage, BlobID: blob, Root: root, Size: 1},
			ledger.BurnBlob{Object: ledger.NewObjectID(alice.address, 1, 0)}},
		{ledger.CertifyBlob{Object: permanent, Certificate: cert}, ledger.ExtendBlob{Object: permanent, Epochs: 3}},
		{ledger.ExtendBlob{Object: shared, Epochs: 3, FromFunds: true}, ledger.FundBlob{Object: shared, Amount: 9}},
		{ledger.ExtendBlob{Object: permanent, Storage: storage}, ledger.OfferBlob{Object: permanent, To: alice.address, Until: 2},
			ledger.AcceptOffer{Object: permanent, From: alice.address}},
		{ledger.DeleteBlob{Object: deletable}, ledger.ShareBlob{Object: permanent, Amount: 1}},
		{ledger.DisproveBlob{BlobID: wrong.ID, Proof: wrong.Proof(f).Marshal()}},
		{ledger.RefuteBlob{BlobID: blob, Certificate: n.refutation(f, blob, 0, 1).Marshal()},
			ledger.CertifyBlob{Object: permanent, Certificate: cert}},
		{ledger.SetAttributes{Object: deletable, Set: []ledger.Attribute{{Key: "k", Value: "v"}}},
			ledger.BurnBlob{Object: deletable}},
	} {
		f.Add(n.sign(alice, 1, ops...).Marshal(), int64(0))
		f.Add(n.sign(alice, 1, ops...).Marshal(), 3*int64(n.genesis.EpochDuration))
	}
	f.Fuzz(func(t *testing.T, raw []byte, later int64) {
		m := *n
		m.values = memory{}
		for key, value := range n.values {
			m.values[key] = value
		}
		m.Values, m.Ends = m.values, m.values
		m.time += max(0, min(later, 100*int64(n.genesis.EpochDuration)))
		want := ledger.CodeFormat
		if tx, err := ledger.UnmarshalTx(raw); err == nil { // make its envelope good
			tx.Network, tx.Sender, tx.Nonce, tx.Expiry, tx.Fee = n.Network, publicKey(alice), 1, 10, ledger.WAL
			raw, want = tx.Marshal(), ledger.CodeOK
		}
		verified := func(ledger.TxID) bool { return true }
		other := n.sign(bob, 0, ledger.ExtendBlob{Object: shared, Epochs: 1, FromFunds: true}).Marshal()
		b := Block{Height: 2, Time: m.time, Txs: [][]byte{raw, other}}
		parallel, err := m.Apply(b, Options{Workers: 2, Verified: verified, eager: true})
		if err != nil {
			t.Fatal(err)
		}
		out := m.commit(t, Options{Workers: 1, Verified: verified}, raw, other)
		if out.Tree.Root() != parallel.Tree.Root() {
			t.Fatal("2 workers come to another root")
		}
		if r := out.Results[0]; r.Code == ledger.CodeInternal || (want == ledger.CodeOK) != (r.Fee == ledger.WAL) {
			t.Fatalf("%v: fee %d: %s", r.Code, r.Fee, r.Log)
		}
		checkState(t, &m)
	})
}

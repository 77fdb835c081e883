package machine

import (
	"fmt"
	"slices"
	"testing"

	"walrus/certs"
	"walrus/ledger"
)

// TestUndeclaredAccess takes away, one after the other, what a transaction of each kind declares: it then fails, and
// nothing of what it did stays. So every rule is held to what it declares, and declares nothing in vain.
func TestUndeclaredAccess(t *testing.T) {
	alice, bob, carol := newWallet("alice"), newWallet("bob"), newWallet("carol")
	n := funded(t, 10*ledger.WAL+ledger.MinBond, alice, bob, carol)
	root, blob := testBlob("a", 1)
	made := func(nonce uint64, op int) ledger.ObjectID { return ledger.NewObjectID(alice.address, nonce, op) }
	// Storage 0 to 3, and records: 4 permanent, 5 deletable, 6 permanent, shared.
	var ops []ledger.Op
	for range 7 {
		ops = append(ops, ledger.BuyStorage{Bytes: 1 << 20, Start: 1, End: 3})
	}
	for i := 4; i < 7; i++ {
		ops = append(ops, ledger.RegisterBlob{Storage: made(0, i), BlobID: blob, Root: root, Size: 1, Deletable: i == 5})
	}
	ops = append(ops, ledger.ShareBlob{Object: made(0, 9), Amount: ledger.WAL},
		ledger.SplitStorage{Storage: made(0, 3), Epoch: 2},
		ledger.BuyStorage{Bytes: 1 << 20, Start: 3, End: 4})
	if r := n.commit(t, Options{}, n.sign(alice, 0, ops...).Marshal()).Results[0]; r.Code != ledger.CodeOK {
		t.Fatal(r.Log)
	}
	permanent, deletable, shared, later := made(0, 7), made(0, 8), made(0, 9), made(0, 12)
	cert := n.certificate(t, 1, blob, certs.Persistence{}, 0, 1, 2).Marshal()
	monitor := ledger.SignBond(newWallet("monitor").key, n.Network, alice.address, ledger.MinBond)
	wrong := contradictory(t, "wrong")
	if r := n.commit(t, Options{}, n.sign(alice, 1, ledger.RegisterBlob{
		Storage: made(0, 2), BlobID: wrong.ID, Root: wrong.Meta.BlobRoot(), Size: wrong.Meta.Length,
	}, monitor, ledger.OfferStorage{Storage: made(0, 1), To: bob.address, Until: 2}).Marshal()).Results[0]; r.Code != ledger.CodeOK {
		t.Fatal(r.Log)
	}
	offered := ledger.NewObjectID(carol.address, 0, 0)
	if r := n.commit(t, Options{}, n.sign(carol, 0, ledger.BuyStorage{Bytes: 1, Start: 1, End: 3},
		ledger.OfferStorage{Storage: offered, To: alice.address, Until: 3}).Marshal()).Results[0]; r.Code != ledger.CodeOK {
		t.Fatal(r.Log)
	}
	for _, op := range []ledger.Op{
		transferTo(bob),
		ledger.DisproveBlob{BlobID: wrong.ID, Proof: wrong.Proof(t).Marshal()},
		ledger.RefuteBlob{BlobID: blob, Certificate: n.refutation(t, blob, 0, 1).Marshal()},
		ledger.BuyStorage{Bytes: 1, Start: 1, End: 3},
		ledger.SplitStorage{Storage: made(0, 0), Bytes: 1},
		ledger.MergeStorage{A: made(0, 0), B: made(0, 1)},
		ledger.OfferStorage{Storage: made(0, 0), To: bob.address, Until: 2},
		ledger.AcceptOffer{Object: offered, From: carol.address},
		ledger.WithdrawOffer{Object: made(0, 1)},
		ledger.RegisterBlob{Storage: made(0, 0), BlobID: blob, Root: root, Size: 1},
		ledger.CertifyBlob{Object: permanent, Certificate: cert},
		ledger.ExtendBlob{Object: permanent, Epochs: 2},
		ledger.ExtendBlob{Object: shared, Epochs: 2, FromFunds: true},
		ledger.ExtendBlob{Object: permanent, Storage: later},
		ledger.DeleteBlob{Object: deletable},
		ledger.ShareBlob{Object: permanent},
		ledger.FundBlob{Object: shared, Amount: 1},
		ledger.OfferBlob{Object: permanent, To: bob.address, Until: 2},
		ledger.BurnBlob{Object: permanent},
		ledger.SetAttributes{Object: permanent, Set: []ledger.Attribute{{Key: "a"}}},
		ledger.UnbondMonitor{Monitor: monitor.Monitor},
	} {
		b := Block{Height: 4, Time: n.time, Txs: [][]byte{n.sign(alice, 2, transferTo(bob), op).Marshal()}}
		k := planned(t, n, b)
		k.runs[0].execute()
		if r := k.runs[0].result; r.Code != ledger.CodeOK {
			t.Fatalf("%s: %s", ledger.OpName(op), r.Log)
		}
		for i := range k.runs[0].claims {
			k := planned(t, n, b)
			x, before := &k.runs[0], len(k.changes())
			if x.claims[i] == &k.allPots {
				x.sells = false
			}
			x.claims = slices.Delete(x.claims, i, i+1)
			x.execute()
			if x.result.Code != ledger.CodeInternal || x.result.Spent != x.result.Fee || len(x.result.Events) > 0 {
				t.Errorf("%s without declaration %d: %+v", ledger.OpName(op), i, x.result)
			}
			if got := k.changes(); x.result.Fee == 0 && len(got) != before || x.result.Fee > 0 && len(got) != before+1 {
				t.Errorf("%s without declaration %d: %d changes are left", ledger.OpName(op), i, len(got))
			}
		}
	}
}

// planned is a block about to be executed.
func planned(t *testing.T, n *network, b Block) *block {
	t.Helper()
	k, err := newBlock(n.State, b)
	if err != nil {
		t.Fatal(err)
	}
	if err := k.settleEpochs(b.Time); err != nil {
		t.Fatal(err)
	}
	committee, err := k.committees.At(k.epoch.Epoch)
	if err != nil {
		t.Fatal(err)
	}
	k.certificates = newCertificates(committee, nil)
	k.decode(b.Txs, Options{})
	if err := k.plan(); err != nil {
		t.Fatal(err)
	}
	return k
}

// TestSameObjectOfTwoBlobs has a block with two transactions of one nonce that would make records of the same ID, of
// different blobs. Which of them is valid is only known when they run; whoever uses the record has to cope.
func TestSameObjectOfTwoBlobs(t *testing.T) {
	alice, bob := newWallet("alice"), newWallet("bob")
	for _, valid := range []int{0, 1} {
		n := funded(t, 10*ledger.WAL, alice, bob)
		rootA, blobA := testBlob("a", 1)
		rootB, blobB := testBlob("b", 1)
		buy := ledger.BuyStorage{Bytes: 1 << 20, Start: 1, End: 3}
		storage, object := ledger.NewObjectID(alice.address, 0, 0), ledger.NewObjectID(alice.address, 0, 1)
		makes := []*ledger.Tx{
			n.sign(alice, 0, buy, ledger.RegisterBlob{Storage: storage, BlobID: blobA, Root: rootA, Size: 1}),
			n.sign(alice, 0, buy, ledger.RegisterBlob{Storage: storage, BlobID: blobB, Root: rootB, Size: 1}),
		}
		if valid == 1 { // the first one cannot pay
			makes[0].Fee = 11 * ledger.WAL
			makes[0].Sign(alice.key)
		}
		blob := []([32]byte){blobA, blobB}[valid]
		cert := n.certificate(t, 1, blob, certs.Persistence{}, 0, 1, 2)
		txs := [][]byte{makes[0].Marshal(), makes[1].Marshal(),
			n.sign(bob, 0, ledger.CertifyBlob{Object: object, Certificate: cert.Marshal()}).Marshal()}
		for _, o := range []Options{{Workers: 1}, {Workers: 4, eager: true}} {
			out, err := n.Apply(Block{Height: 1, Time: n.time, Txs: txs}, o)
			if err != nil {
				t.Fatal(err)
			}
			if r := out.Results; r[valid].Code != ledger.CodeOK || r[1-valid].Fee != 0 || r[2].Code != ledger.CodeOK {
				t.Errorf("%+v", r)
			}
		}
	}
}

// TestParallelAroundBonds has transactions that need everything between many that do not.
func TestParallelAroundBonds(t *testing.T) {
	var wallets []wallet
	for i := range 40 {
		wallets = append(wallets, newWallet(fmt.Sprint(i)))
	}
	n := funded(t, 200*ledger.WAL, wallets...)
	var txs [][]byte
	for i, w := range wallets {
		txs = append(txs, n.sign(w, 0, transferTo(wallets[(i+1)%40])).Marshal(),
			n.sign(w, 1, ledger.SignBond(newWallet(fmt.Sprint("monitor ", i)).key, n.Network, w.address, ledger.MinBond)).Marshal())
	}
	for _, workers := range []int{1, 2, 8} {
		out, err := n.Apply(Block{Height: 1, Time: n.time, Txs: txs}, Options{Workers: workers, eager: workers > 1})
		if err != nil {
			t.Fatal(err)
		}
		for i, r := range out.Results {
			if r.Code != ledger.CodeOK {
				t.Fatalf("%d workers, transaction %d: %s", workers, i, r.Log)
			}
		}
	}
	n.commit(t, Options{Workers: 8, eager: true}, txs...)
	checkState(t, n)
}

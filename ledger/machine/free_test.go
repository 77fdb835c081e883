package machine

import (
	"bytes"
	"crypto/ed25519"
	"fmt"
	"testing"

	"walrus/certs"
	"walrus/internal/wrongtest"
	"walrus/ledger"
	"walrus/ledger/mempool"
)

// registered is a network on which alice has registered contradictory blobs.
func registered(t testing.TB, alice wallet, names ...string) (*network, []*wrongtest.Encoding) {
	t.Helper()
	n := funded(t, 100*ledger.WAL, alice)
	var all []*wrongtest.Encoding
	var ops []ledger.Op
	for i, name := range names {
		e := contradictory(t, name)
		all = append(all, e)
		ops = append(ops, ledger.BuyStorage{Bytes: 1 << 20, Start: 1, End: 3},
			ledger.RegisterBlob{Storage: ledger.NewObjectID(alice.address, 0, 2*i), BlobID: e.ID, Root: e.Meta.BlobRoot(),
				Size: e.Meta.Length})
	}
	if r := n.commit(t, Options{}, n.sign(alice, 0, ops...).Marshal()).Results[0]; r.Code != ledger.CodeOK {
		t.Fatal(r.Log)
	}
	return n, all
}

func disprove(t testing.TB, e *wrongtest.Encoding) ledger.DisproveBlob {
	return ledger.DisproveBlob{BlobID: e.ID, Proof: e.Proof(t).Marshal()}
}

// TestGateFree: a proof waits for nothing, once for each blob; what proves nothing does not wait.
func TestGateFree(t *testing.T) {
	alice := newWallet("alice")
	n, all := registered(t, alice, "one", "two")
	first, second := all[0], all[1]
	stranger := func(i int) ed25519.PrivateKey { return newWallet(fmt.Sprint("stranger ", i)).key }
	member := testIdentities[3]
	g := openGate(t, n, 4)
	free := func(key ed25519.PrivateKey, op ledger.Op) []byte {
		return ledger.NewFree(n.Network, n.height+100, key, op).Marshal()
	}
	garbage := disprove(t, first)
	garbage.Proof = bytes.Clone(garbage.Proof)
	garbage.Proof[100] ^= 1
	forged := ledger.RefuteBlob{BlobID: first.ID, Certificate: n.refutation(t, first.ID, 0, 1).Marshal()}
	forged.Certificate[50] ^= 1
	unsigned := ledger.NewFree(n.Network, n.height+100, stranger(0), disprove(t, first))
	unsigned.Signature[1] ^= 1
	late := ledger.NewFree(n.Network, n.height, stranger(0), disprove(t, first))
	refute := ledger.RefuteBlob{BlobID: second.ID, Certificate: n.refutation(t, second.ID, 0, 1).Marshal()}
	for _, tt := range []struct {
		name string
		raw  []byte
		want ledger.Code
	}{
		{"garbage", free(stranger(0), garbage), ledger.CodeProof},
		{"of another blob", free(stranger(0), ledger.DisproveBlob{BlobID: second.ID, Proof: disprove(t, first).Proof}),
			ledger.CodeProof},
		{"not registered", free(stranger(0), disprove(t, contradictory(t, "three"))), ledger.CodeNotFound},
		{"unsigned", unsigned.Marshal(), ledger.CodeSignature},
		{"late", late.Marshal(), ledger.CodeExpired},
		{"forged signatures", free(member, forged), ledger.CodeCertificate},
		{"signatures from a stranger", free(stranger(0), refute), ledger.CodeFee},
		{"good", free(stranger(0), disprove(t, first)), ledger.CodeOK},
		{"the same proof from somebody else", free(stranger(1), disprove(t, first)), ledger.CodeLimit},
		{"signatures from a member", free(member, refute), ledger.CodeOK},
	} {
		err := g.admitAny(tt.raw)
		wantCode(t, tt.name, err, tt.want)
	}
	if txs, accounts := g.Pending(); txs != 2 || accounts != 0 {
		t.Errorf("%d transactions of %d accounts wait, want 2 of none", txs, accounts)
	}
	out := n.commit(t, Options{}, free(stranger(0), disprove(t, first)))
	if left := updated(t, g, n, out.Changes); len(left) != 1 || left[0].Why != mempool.Void {
		t.Errorf("after the mark left: %v", left)
	}
	err := g.admitAny(free(stranger(2), disprove(t, first)))
	wantCode(t, "marked already", err, ledger.CodeInvalidBlob)
	if NewGate(mempool.Limits{Txs: 1, Bytes: 1}).admitAny(free(member, refute)) == nil {
		t.Error("a gate that has not started admits")
	}
}

// TestProposeFree: a proposer takes proofs without a fee, and leaves out those without effect.
func TestProposeFree(t *testing.T) {
	alice := newWallet("alice")
	n, all := registered(t, alice, "one", "two")
	free := func(seed string, op ledger.Op) []byte {
		return ledger.NewFree(n.Network, n.height+10, newWallet(seed).key, op).Marshal()
	}
	good, copied := free("a", disprove(t, all[0])), free("b", disprove(t, all[0]))
	bad := free("c", ledger.DisproveBlob{BlobID: all[1].ID, Proof: disprove(t, all[0]).Proof})
	paid := n.sign(alice, 1, disprove(t, all[1])).Marshal()
	txs, err := n.Propose(Block{Height: n.height + 1, Time: n.time, Txs: [][]byte{bad, good, copied, paid}}, 1<<20,
		Options{})
	if err != nil {
		t.Fatal(err)
	}
	if len(txs) != 2 || !bytes.Equal(txs[0], good) && !bytes.Equal(txs[0], paid) {
		t.Errorf("%d transactions proposed, want the good one and the paid one", len(txs))
	}
	for _, r := range n.commit(t, Options{}, txs...).Results {
		if r.Code != ledger.CodeOK {
			t.Error(r.Log)
		}
	}
}

// TestMarkedInOneBlock marks a blob beside transactions that use it, for any number of workers.
func TestMarkedInOneBlock(t *testing.T) {
	alice := newWallet("alice")
	n, all := registered(t, alice, "one")
	object := ledger.NewObjectID(alice.address, 0, 1)
	free := ledger.NewFree(n.Network, n.height+10, newWallet("stranger").key, disprove(t, all[0])).Marshal()
	before, after := n.sign(alice, 1, ledger.ExtendBlob{Object: object, Epochs: 1}), n.sign(alice, 2,
		ledger.ExtendBlob{Object: object, Epochs: 1})
	for _, workers := range []int{1, 4} {
		out, err := n.Apply(Block{Height: n.height + 1, Time: n.time, Txs: [][]byte{before.Marshal(), free, after.Marshal()}},
			Options{Workers: workers, eager: workers > 1})
		if err != nil {
			t.Fatal(err)
		}
		for i, want := range []ledger.Code{ledger.CodeOK, ledger.CodeOK, ledger.CodeInvalidBlob} {
			if r := out.Results[i]; r.Code != want {
				t.Errorf("%d workers, transaction %d: %v (%s), want %v", workers, i, r.Code, r.Log, want)
			}
		}
	}
}

// TestCertificateKinds: what one kind of certificate proves says nothing about the other, also in the cache.
func TestCertificateKinds(t *testing.T) {
	alice := newWallet("alice")
	n, all := registered(t, alice, "one")
	committee, err := n.Committees.At(1)
	if err != nil {
		t.Fatal(err)
	}
	cache := &remembered{}
	c := newCertificates(committee, cache)
	refuted, confirmed := n.refutation(t, all[0].ID, 0, 1, 2).Marshal(), n.certificate(t, 1, all[0].ID,
		certs.Persistence{}, 0, 1, 2).Marshal()
	for _, tt := range []struct {
		name string
		kind *certificateKind
		raw  []byte
		good bool
	}{
		{"refutations", refutations, refuted, true},
		{"refutations as confirmations", confirmations, refuted, false},
		{"confirmations", confirmations, confirmed, true},
		{"confirmations as refutations", refutations, confirmed, false},
	} {
		if err := c.verify(tt.kind, tt.raw); (err == nil) != tt.good {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
	if len(cache.keys) != 2 || cache.keys[0].Hash == cache.keys[1].Hash {
		t.Errorf("remembered %v", cache.keys)
	}
}

// BenchmarkDisprove applies a block full of proofs.
func BenchmarkDisprove(b *testing.B) {
	const count = 100
	names := make([]string, count)
	for i := range names {
		names[i] = fmt.Sprint("blob ", i)
	}
	n, all := registered(b, newWallet("alice"), names...)
	var txs [][]byte
	for i, e := range all {
		txs = append(txs, ledger.NewFree(n.Network, n.height+10, newWallet(fmt.Sprint(i)).key, disprove(b, e)).Marshal())
	}
	for b.Loop() {
		out, err := n.Apply(Block{Height: n.height + 1, Time: n.time, Txs: txs}, Options{Workers: 1})
		if err != nil || out.Results[count-1].Code != ledger.CodeOK {
			b.Fatal(err)
		}
	}
}

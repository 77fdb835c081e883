package machine

import (
	"slices"
	"sync"
	"testing"

	"walrus/certs"
	"walrus/ledger"
)

// TestCertificatesOnce verifies each certificate once, whatever asks for it.
func TestCertificatesOnce(t *testing.T) {
	alice := newWallet("alice")
	n := funded(t, 10*ledger.WAL, alice)
	root, blob := testBlob("a", 1)
	var ops []ledger.Op
	for i := range 3 {
		ops = append(ops, ledger.BuyStorage{Bytes: 1 << 20, Start: 1, End: 3},
			ledger.RegisterBlob{Storage: ledger.NewObjectID(alice.address, 0, 2*i), BlobID: blob, Root: root, Size: 1})
	}
	cert := n.certificate(t, 1, blob, certs.Persistence{}, 0, 1, 2).Marshal()
	for i := range 3 {
		ops = append(ops, ledger.CertifyBlob{Object: ledger.NewObjectID(alice.address, 0, 2*i+1), Certificate: cert})
	}
	b := Block{Height: 1, Time: n.time, Txs: [][]byte{n.sign(alice, 0, ops...).Marshal()}}
	cache := &remembered{}
	for range 2 {
		out, err := n.Apply(b, Options{Certificates: cache})
		if err != nil || out.Results[0].Code != ledger.CodeOK {
			t.Fatal(out, err)
		}
	}
	if len(cache.keys) != 1 || cache.keys[0].Epoch != 1 || cache.hits != 1 {
		t.Errorf("remembered %v, found %d times", cache.keys, cache.hits)
	}
}

type remembered struct {
	mu          sync.Mutex
	keys        []CertificateKey
	asked, hits int
}

func (r *remembered) Has(k CertificateKey) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asked++
	if slices.Contains(r.keys, k) {
		r.hits++
		return true
	}
	return false
}

func (r *remembered) Add(k CertificateKey) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.keys = append(r.keys, k)
}

// TestForesight verifies beforehand the certificates that fit their records, no others, and no more of a transaction
// that fails for one of them.
func TestForesight(t *testing.T) {
	alice := newWallet("alice")
	n := funded(t, 10*ledger.WAL, alice)
	root, blob := testBlob("a", 1)
	register := func(nonce uint64, first int) []ledger.Op {
		return []ledger.Op{
			ledger.BuyStorage{Bytes: 1 << 20, Start: 1, End: 3},
			ledger.RegisterBlob{Storage: ledger.NewObjectID(alice.address, nonce, first), BlobID: blob, Root: root, Size: 1},
		}
	}
	cert := n.certificate(t, 1, blob, certs.Persistence{}, 0, 1, 2)
	good, other := cert.Marshal(), *cert
	_, other.Blob = testBlob("b", 1)
	certified, registered := ledger.NewObjectID(alice.address, 0, 1), ledger.NewObjectID(alice.address, 0, 3)
	ops := slices.Concat(register(0, 0), register(0, 2),
		[]ledger.Op{ledger.CertifyBlob{Object: certified, Certificate: good}})
	if r := n.commit(t, Options{}, n.sign(alice, 0, ops...).Marshal()).Results[0]; r.Code != ledger.CodeOK {
		t.Fatal(r.Log)
	}
	forged := func(i int) []byte {
		c := *cert
		c.Signers = []uint16{0, 1, 2, 3}
		c.Signature[95] ^= byte(1 + i)
		return c.Marshal()
	}
	made := ledger.NewObjectID(alice.address, 1, 1)
	for _, tt := range []struct {
		name     string
		ops      []ledger.Op
		expected int
		verified int // by prefetch, one worker
	}{
		{"registered", []ledger.Op{ledger.CertifyBlob{Object: registered, Certificate: good}}, 1, 1},
		{"registered in the block", append(register(1, 0), ledger.CertifyBlob{Object: made, Certificate: good}), 1, 1},
		{"twice", []ledger.Op{ledger.CertifyBlob{Object: registered, Certificate: good},
			ledger.CertifyBlob{Object: registered, Certificate: good}}, 2, 1},
		{"certified", []ledger.Op{ledger.CertifyBlob{Object: certified, Certificate: good}}, 0, 0},
		{"of another blob", []ledger.Op{ledger.CertifyBlob{Object: registered, Certificate: other.Marshal()}}, 0, 0},
		{"of another blob in the block", append(register(1, 0),
			ledger.CertifyBlob{Object: made, Certificate: other.Marshal()}), 0, 0},
		{"not registered", []ledger.Op{ledger.CertifyBlob{Object: ledger.ObjectID{1}, Certificate: good}}, 0, 0},
		{"no certificate", []ledger.Op{ledger.CertifyBlob{Object: registered, Certificate: []byte{1}}}, 0, 0},
		{"good, bad, and more", []ledger.Op{
			ledger.CertifyBlob{Object: registered, Certificate: good},
			ledger.CertifyBlob{Object: registered, Certificate: forged(1)},
			ledger.CertifyBlob{Object: registered, Certificate: forged(2)},
			ledger.CertifyBlob{Object: registered, Certificate: forged(3)},
		}, 4, 2},
	} {
		b := Block{Height: 2, Time: n.time, Txs: [][]byte{n.sign(alice, 1, tt.ops...).Marshal()}}
		k, err := newBlock(n.State, b)
		if err != nil {
			t.Fatal(err)
		}
		cache := &remembered{}
		committee, err := k.committees.At(k.epoch.Epoch)
		if err != nil {
			t.Fatal(err)
		}
		k.certificates = newCertificates(committee, cache)
		k.decode(b.Txs, Options{})
		if err := k.plan(); err != nil {
			t.Fatal(err)
		}
		expected := len(k.certificates.expected)
		k.certificates.prefetch(1)
		if expected != tt.expected || cache.asked != tt.verified {
			t.Errorf("%s: %d certificates expected, %d verified, want %d and %d", tt.name, expected, cache.asked,
				tt.expected, tt.verified)
		}
	}
}

package round

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"walrus/certs"
	"walrus/ledger/merkle"
)

var testNetwork = certs.NetworkID{7}

func secret(i int) ed25519.PrivateKey {
	k := numbered(i)
	return ed25519.NewKeyFromSeed(k[:])
}

func drawResult(t *rapid.T) Result {
	r := Result{Outcome: Outcome(rapid.IntRange(0, int(outcomes)-1).Draw(t, "outcome"))}
	if r.Outcome.Answered() {
		r.RTT = Code(rapid.IntRange(1, 255).Draw(t, "rtt"))
		r.Rate = Code(rapid.IntRange(0, 255).Draw(t, "rate"))
	}
	return r
}

func drawAttestation(t *rapid.T) *Attestation {
	a := &Attestation{Void: rapid.Bool().Draw(t, "void"), Round: rapid.Uint64().Draw(t, "round"),
		Epoch: rapid.Uint32().Draw(t, "epoch"), Count: rapid.Uint16().Draw(t, "count"),
		Receipts: [32]byte{rapid.Byte().Draw(t, "root")}}
	for range rapid.IntRange(1, 60).Draw(t, "nodes") {
		a.Results = append(a.Results, drawResult(t))
	}
	return a
}

// TestAttestationForm: every value survives, signed, and no changed byte does.
func TestAttestationForm(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := drawAttestation(t)
		if err := a.Sign(testNetwork, secret(1)); err != nil {
			t.Fatal(err)
		}
		b, err := a.Encode()
		if err != nil {
			t.Fatal(err)
		}
		back, err := ParseAttestation(b)
		if err != nil {
			t.Fatal(err)
		}
		if again, _ := back.Encode(); !bytes.Equal(again, b) || !slices.Equal(back.Results, a.Results) || back.Void != a.Void ||
			back.Round != a.Round || back.Epoch != a.Epoch || back.Count != a.Count || back.Receipts != a.Receipts {
			t.Fatalf("%+v became %+v", a, back)
		}
		if err := back.Verify(testNetwork); err != nil {
			t.Fatal(err)
		}
		if err := back.Verify(certs.NetworkID{8}); !errors.Is(err, ErrSignature) {
			t.Fatalf("valid in another network: %v", err)
		}
		at := rapid.IntRange(0, len(b)-1).Draw(t, "at")
		b[at] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
		if forged, err := ParseAttestation(b); err == nil && forged.Verify(testNetwork) == nil {
			t.Fatalf("byte %d was changed and it verifies", at)
		}
		if _, err := ParseAttestation(b[:at]); !errors.Is(err, ErrFormat) {
			t.Fatalf("cut at %d: %v", at, err)
		}
	})
}

// TestSizes: 1,000 nodes fit in MaxAttestation, and so does the largest committee.
func TestSizes(t *testing.T) {
	full := func(n, answered int) *Attestation {
		a := &Attestation{Results: make([]Result, n)}
		for i := range answered {
			a.Results[i] = Result{Wrong, 255, 255}
		}
		return a
	}
	for _, tt := range []struct{ n, answered, want int }{
		{100, 100, 384}, {1000, 31, 583}, {1000, 1000, 2521}, {MaxNodes, MaxAnswers, 3682},
	} {
		b, err := full(tt.n, tt.answered).Encode()
		if err != nil || len(b) != tt.want || len(b) > MaxAttestation {
			t.Errorf("%d nodes, %d answers: %d bytes, want %d, %v", tt.n, tt.answered, len(b), tt.want, err)
		}
	}
	for _, tt := range [][2]int{{0, 0}, {MaxNodes + 1, 0}, {MaxNodes, MaxAnswers + 1}} {
		a := full(tt[0], tt[1])
		if _, err := a.Encode(); !errors.Is(err, ErrSize) {
			t.Errorf("%v: %v, want ErrSize", tt, err)
		}
		if err := a.Sign(testNetwork, secret(1)); !errors.Is(err, ErrSize) {
			t.Errorf("%v: %v, want ErrSize", tt, err)
		}
	}
	a, b := full(MaxNodes, MaxAnswers), full(MaxNodes, MaxAnswers)
	b.Epoch = 1
	e, err := NewEquivocation(a, b)
	if err != nil {
		t.Fatal(err)
	}
	if raw, _ := e.Encode(); len(raw) > MaxMessage {
		t.Errorf("an equivocation has %d bytes", len(raw))
	}
}

func TestRebuttalForm(t *testing.T) {
	r := &Rebuttal{Round: 5, Epoch: 2, Accuser: Key{1}, Node: Key{2}, Receipt: []byte("signed answer")}
	if err := r.Sign(testNetwork, secret(3)); err != nil {
		t.Fatal(err)
	}
	b, err := r.Encode()
	if err != nil {
		t.Fatal(err)
	}
	m, err := Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	back := m.(*Rebuttal)
	if again, _ := back.Encode(); !bytes.Equal(again, b) || back.Verify(testNetwork) != nil {
		t.Fatalf("%+v became %+v", r, back)
	}
	for i := range b {
		c := bytes.Clone(b)
		c[i] ^= 4
		if m, err := Parse(c); err == nil {
			if f, ok := m.(*Rebuttal); ok && f.Verify(testNetwork) == nil {
				t.Fatalf("byte %d was changed and it verifies", i)
			}
		}
	}
	for _, size := range []int{0, MaxReceipt + 1} {
		r.Receipt = make([]byte, size)
		if _, err := r.Encode(); !errors.Is(err, ErrFormat) {
			t.Errorf("receipt of %d bytes: %v", size, err)
		}
	}
	if RebuttalNonce(Seed{1}, Key{1}, Key{2}) == RebuttalNonce(Seed{1}, Key{2}, Key{1}) ||
		RebuttalNonce(Seed{1}, Key{1}, Key{2}) == RebuttalNonce(Seed{2}, Key{1}, Key{2}) {
		t.Error("nonces do not depend on everything")
	}
}

// TestDomains: a signature for one kind of message says nothing in another.
func TestDomains(t *testing.T) {
	body := []byte("body")
	sig := [64]byte(ed25519.Sign(secret(1), signed(attestationDomain, testNetwork, body)))
	if verify(attestationDomain, testNetwork, body, keyOf(secret(1)), sig) != nil ||
		verify(rebuttalDomain, testNetwork, body, keyOf(secret(1)), sig) == nil {
		t.Error("domains do not separate")
	}
}

// TestReceipts: the stated root proves each receipt, and the absence of others.
func TestReceipts(t *testing.T) {
	var all []Receipt
	for i := range 90 {
		all = append(all, Receipt{numbered(i / 3), uint16(i % 3), []byte{byte(i)}})
	}
	tree := ReceiptTree(all)
	rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	if ReceiptTree(all).Root() != tree.Root() {
		t.Fatal("the order of receipts matters")
	}
	prove := func(k Key) merkle.Proof {
		p, err := tree.Prove(k[:])
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	node, of := numbered(4), func(list ...Receipt) error {
		k := numbered(4)
		return VerifyReceipts(tree.Root(), k, EncodeReceipts(list), prove(k).Marshal())
	}
	if err := of(Receipt{node, 2, []byte{14}}, Receipt{node, 0, []byte{12}}, Receipt{node, 1, []byte{13}}); err != nil {
		t.Error(err)
	}
	if of(Receipt{node, 0, []byte{12}}, Receipt{node, 1, []byte{13}}) == nil {
		t.Error("one receipt less is proven")
	}
	if of(Receipt{node, 0, []byte{12}}, Receipt{node, 1, []byte{13}}, Receipt{node, 2, []byte{15}}) == nil {
		t.Error("another receipt is proven")
	}
	if none := numbered(31); merkle.Verify(tree.Root(), none[:], nil, prove(none)) != nil {
		t.Error("that a node has no receipts is not proven")
	}
	if ReceiptTree(nil).Root() != (merkle.Hash{}) {
		t.Error("the root of no receipts is not zero")
	}
}

// FuzzParse: no bytes panic, and each accepted message has one form.
func FuzzParse(f *testing.F) {
	a := &Attestation{Round: 9, Epoch: 1, Results: []Result{{OK, 5, 0}, {Timeout, 0, 0}, {}, {Wrong, 1, 255}}}
	b := &Attestation{Round: 9, Epoch: 2, Results: []Result{{Unreachable, 0, 0}}}
	r := &Rebuttal{Receipt: []byte{1}}
	for _, s := range []interface {
		Sign(certs.NetworkID, ed25519.PrivateKey) error
	}{a, b, r} {
		if err := s.Sign(testNetwork, secret(1)); err != nil {
			f.Fatal(err)
		}
	}
	e, err := NewEquivocation(a, b)
	if err != nil {
		f.Fatal(err)
	}
	for _, m := range []Message{a, b, r, e} {
		raw, err := m.Encode()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		m, err := Parse(raw)
		if err != nil {
			if !errors.Is(err, ErrFormat) {
				t.Fatalf("%v does not wrap ErrFormat", err)
			}
			return
		}
		if again, err := m.Encode(); err != nil || !bytes.Equal(again, raw) {
			t.Fatalf("%x became %x, %v", raw, again, err)
		}
	})
}

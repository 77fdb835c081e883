package client

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"strings"
	"testing"

	"walrus/certs"
	"walrus/internal/wrongtest"
	"walrus/ledger"
	"walrus/shards"
)

// keep gives a wrong encoding to the fake's nodes and certifies it.
func (f *fakeSwarm) keep(e *wrongtest.Encoding) {
	f.t.Helper()
	f.record(e.Meta)
	for pair := range e.Params.Shards() {
		owner, _ := f.com.Member(f.com.Owner(e.Params.ShardOfPair(e.ID, pair)).Node)
		f.nodes[owner].metadata[e.ID] = e.Meta.Marshal()
		primary, secondary := e.Pair(pair)
		f.nodes[owner].slivers[sliverKey{e.ID, shards.Primary, pair}] = primary
		f.nodes[owner].slivers[sliverKey{e.ID, shards.Secondary, e.Params.SliverOfPair(shards.Secondary, pair)}] = secondary
	}
}

// mark puts a mark on the ledger, for nothing.
func (f *fakeSwarm) mark(key ed25519.PrivateKey, op ledger.Op) ledger.Receipt {
	f.t.Helper()
	r, err := f.chain.Submit(f.t.Context(), ledger.NewFree(f.com.Network(), f.chain.Head().Height+10, key, op))
	if err != nil {
		f.t.Fatal(err)
	}
	return r
}

func anybody() ed25519.PrivateKey { return ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)) }

// TestInvalidBlob marks a blob that could be read before. After that no path gives a byte, and all say why.
func TestInvalidBlob(t *testing.T) {
	f, c := newFake(t, 7, 28)
	content := wrongtest.Content(50_000, 3)
	e := wrongtest.Mix(t, "all columns", f.com.Params(), content, wrongtest.Content(50_000, 4),
		func(axis shards.Axis, _ int) bool { return axis == shards.Secondary })
	f.keep(e)
	var b bytes.Buffer
	blob, err := c.Open(t.Context(), e.ID)
	if err == nil {
		_, err = blob.CopyRange(t.Context(), &b, 0, 40_000, ReadOptions{})
	}
	if err != nil || !bytes.Equal(b.Bytes(), content[:40_000]) {
		t.Fatalf("a range before the mark: %d bytes, %v", b.Len(), err)
	}
	receipt := f.mark(anybody(), ledger.DisproveBlob{BlobID: e.ID, Proof: e.Proof(t).Marshal()})
	c.opened.forget(e.ID) // as after a while
	check := func(what string, err error) *InvalidBlobError {
		t.Helper()
		var invalid *InvalidBlobError
		if !errors.As(err, &invalid) || !errors.Is(err, ErrInvalidBlob) || errors.Is(err, ErrNotFound) {
			t.Fatalf("%s: %v, want an InvalidBlobError", what, err)
		}
		if invalid.BlobID != e.ID || invalid.Cell == nil || !strings.Contains(err.Error(), "row 0 and column 0") {
			t.Errorf("%s: %v: not the proof", what, err)
		}
		return invalid
	}
	b.Reset()
	_, err = c.Read(t.Context(), e.ID, &b, ReadOptions{})
	invalid := check("read", err)
	if b.Len() > 0 {
		t.Errorf("%d bytes of an invalid blob", b.Len())
	}
	if tx, seq, ok := invalid.Event(); !ok || tx != receipt.ID || seq != 0 || len(invalid.Explain()) < 2 {
		t.Errorf("event %s %d %t, explained in %d lines", tx, seq, ok, len(invalid.Explain()))
	}
	_, err = c.Read(t.Context(), e.ID, &b, ReadOptions{Strict: true})
	check("strict read", err)
	_, err = c.OpenQuilt(t.Context(), e.ID)
	check("quilt", err)

	balance := f.balance()
	status, err := c.BlobStatus(t.Context(), e.ID)
	if err != nil {
		t.Fatal(err)
	}
	check("status", status.Invalid)
	if status.EndEpoch != 0 || status.CertifiedEnd != 0 || status.Permanent || status.Size != 50_000 ||
		!status.Info.Invalid {
		t.Errorf("status %+v", status)
	}
	// Somebody else's right encoding of the same content has another ID; nobody can store under this one.
	if _, err := store(t, c, content, StoreOptions{}); err != nil {
		t.Errorf("store the content again: %v", err)
	}
	if f.balance() >= balance {
		t.Error("storing cost nothing")
	}
}

// TestStoreInvalid stores content whose ID was marked: it is refused before anything is paid.
func TestStoreInvalid(t *testing.T) {
	f, c := newFake(t, 7, 28)
	content := wrongtest.Content(50_000, 3)
	e := wrongtest.Mix(t, "right", f.com.Params(), content, content, func(shards.Axis, int) bool { return false })
	f.record(e.Meta) // its encoding is right, but members may sign what they like
	committee := f.committee(f.chain.Epoch())
	var list []certs.Refutation
	for i, m := range committee.Members() {
		list = append(list, committee.Refute(f.keys[i], m.Node, e.ID))
	}
	signed, _, err := committee.AggregateRefutations(e.ID, list)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.chain.Payer(f.wallet).Run(t.Context(),
		ledger.RefuteBlob{BlobID: e.ID, Certificate: signed.Marshal()}); err != nil {
		t.Fatal(err)
	}
	balance := f.balance()
	_, err = store(t, c, content, StoreOptions{})
	var invalid *InvalidBlobError
	if !errors.As(err, &invalid) || invalid.Signed == nil || invalid.Cell != nil || len(invalid.Explain()) == 0 {
		t.Fatalf("store: %v, want an InvalidBlobError with signatures", err)
	}
	if f.balance() != balance {
		t.Error("it was paid for")
	}
}

// TestRefusedAsInvalid: the ledger may mark a blob between a plan and its transaction.
func TestRefusedAsInvalid(t *testing.T) {
	for code, want := range map[ledger.Code]bool{ledger.CodeInvalidBlob: true, ledger.CodeState: false} {
		if err := refusedAsInvalid(&ledger.OpError{Code: code, Text: "x"}); errors.Is(err, ErrInvalidBlob) != want {
			t.Errorf("%v: %v", code, err)
		}
	}
	if refusedAsInvalid(nil) != nil {
		t.Error("an error of nothing")
	}
}

// TestInvalidWithoutLedger: while the ledger does not answer, nodes that cannot all lie are believed, fewer are not.
func TestInvalidWithoutLedger(t *testing.T) {
	f, c := newFake(t, 7, 28) // 4 shards each; f+1 are 10
	res, err := store(t, c, wrongtest.Content(5000, 3), StoreOptions{})
	if err != nil {
		t.Fatal(err)
	}
	f.chain.Halt(ErrStalled)
	for said, want := range map[int]bool{2: false, 3: true} {
		c.opened.forget(res.BlobID)
		for i := range f.moods {
			f.moods[i] = well
			if i < said {
				f.moods[i] = refuting
			} else if want {
				f.moods[i] = silent // else their metadata may come first
			}
		}
		var invalid *InvalidBlobError
		_, err := c.Read(t.Context(), res.BlobID, &bytes.Buffer{}, ReadOptions{})
		if errors.As(err, &invalid) != want || !want && err != nil {
			t.Errorf("%d of 7 nodes say that it is invalid: %v", said, err)
		}
		if want && (invalid.Said != 12 || !strings.Contains(err.Error(), "12 shards")) {
			t.Errorf("%v: want 12 shards", err)
		}
	}
}

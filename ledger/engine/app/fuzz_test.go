package app

import (
	"bytes"
	"errors"
	"testing"

	"walrus/ledger"
)

// FuzzSnapshot decodes bytes from peers: valid ones have a single encoding, others are refused.
func FuzzSnapshot(f *testing.F) {
	part := appendPair(appendPair(nil, []byte("a"), []byte("value")), []byte("b"), nil)
	h := header{height: 5, time: 7, keys: 2, parts: make([][32]byte, 2)}
	f.Add(part)
	f.Add(h.marshal())
	f.Fuzz(func(t *testing.T, b []byte) {
		pairs, err := parsePart(b)
		if err != nil && !errors.Is(err, ErrSnapshot) {
			t.Fatal(err)
		}
		var again []byte
		for _, p := range pairs {
			again = appendPair(again, p.Key, p.Value)
		}
		if err == nil && !bytes.Equal(again, b) {
			t.Fatalf("part % x has another form: % x", b, again)
		}
		h, err := unmarshalHeader(b)
		if err != nil && !errors.Is(err, ErrSnapshot) {
			t.Fatal(err)
		}
		if err == nil && !bytes.Equal(h.marshal(), b) {
			t.Fatalf("header % x has another form: % x", b, h.marshal())
		}
	})
}

// FuzzRecords decodes damaged records of the database.
func FuzzRecords(f *testing.F) {
	f.Add(marshalBlock(5, []ledger.Event{{Kind: ledger.EventEpoch, Epoch: 2}, {Kind: ledger.EventPaidOut, Amount: 3}}))
	f.Add(head{height: 5, kept: 1}.marshal())
	f.Add(append(make([]byte, 32), ledger.Receipt{Height: 5, Result: ledger.Result{Op: -1}}.Marshal()...))
	f.Fuzz(func(t *testing.T, b []byte) {
		if at, events, err := unmarshalBlock(b); err == nil && !bytes.Equal(marshalBlock(at, events), b) {
			t.Fatalf("block % x has another form", b)
		}
		if h, err := unmarshalHead(b); err == nil && !bytes.Equal(h.marshal(), b) {
			t.Fatalf("head % x has another form", b)
		}
		if sender, r, err := unmarshalRecord(b); err == nil && !bytes.Equal(append(sender[:], r.Marshal()...), b) {
			t.Fatalf("receipt % x has another form", b)
		}
	})
}

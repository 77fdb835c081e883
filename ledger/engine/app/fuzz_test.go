package app

import (
	"bytes"
	"testing"

	"walrus/ledger"
)

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

package machine

import (
	"bytes"
	"strings"
	"testing"

	"walrus/ledger"
)

// TestRules asks package ledger for every kind of operation it reads, and wants a rule for each, and for no other.
func TestRules(t *testing.T) {
	empty := (&ledger.Tx{Ops: []ledger.Op{ledger.BurnBlob{}}}).Marshal()
	at := len(empty) - 64 - 33 // of the kind: before an object ID and the signature
	if empty[at] != ledger.OpKind(ledger.BurnBlob{}) {
		t.Fatalf("byte %d is no kind: %x", at, empty)
	}
	kinds := 0
	for kind := 1; kind < len(rules); kind++ {
		raw := bytes.Clone(empty)
		raw[at] = byte(kind)
		_, err := ledger.UnmarshalTx(raw)
		known := err == nil || !strings.Contains(err.Error(), "there is no operation of kind")
		if has := int(rules[kind].kind) == kind; has != known {
			t.Errorf("kind %d: ledger reads it: %t, it has a rule: %t", kind, known, has)
		}
		if known {
			kinds++
		}
	}
	if kinds < 15 {
		t.Errorf("%d kinds", kinds)
	}
	if refused := rules[0].apply(nil, ledger.BurnBlob{}); refused.Code != ledger.CodeInternal {
		t.Errorf("an operation without a rule: %v", refused)
	}
}

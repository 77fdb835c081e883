package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"walrus/client"
	"walrus/internal/wrongtest"
	"walrus/ledger"
	"walrus/shards"
)

// invalidOf is the status of a marked blob.
func invalidOf(t *testing.T) *client.BlobStatus {
	t.Helper()
	p, err := shards.NewParams(10)
	if err != nil {
		t.Fatal(err)
	}
	e := wrongtest.Kinds(t, p, wrongtest.Content(3000, 1))[0]
	proof := e.Proof(t)
	return &client.BlobStatus{BlobID: e.ID, Shards: make([]client.ShardStatus, 10), Invalid: &client.InvalidBlobError{
		BlobID: e.ID, Cell: proof, Mark: &ledger.InvalidBlob{Epoch: 3, Height: 77, Tx: ledger.TxID{31: 5}, Event: 2,
			Proof: proof.Marshal()},
	}}
}

// TestInvalidStatus: blob-status explains the proof in words, and has the original's status as JSON.
func TestInvalidStatus(t *testing.T) {
	st := invalidOf(t)
	var out bytes.Buffer
	if err := (&terminal{stdout: newOutput(t.Context(), &out)}).printBlobStatus(nil, st); err != nil {
		t.Fatal(err)
	}
	c := st.Invalid.Cell
	for _, want := range []string{
		"invalid: its writer encoded it wrongly", fmt.Sprintf("row %d and column %d have different symbols", c.Row, c.Column),
		"in epoch 3, at height 77, by transaction 0x", fmt.Sprintf("%x", c.InRow.Leaf), fmt.Sprintf("%x", c.InColumn.Leaf),
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("lacks %q:\n%s", want, out.String())
		}
	}
	b, err := json.Marshal(newStatusReport(st))
	if err != nil {
		t.Fatal(err)
	}
	const status = `"status":{"invalid":{"event":{"txDigest":"11111111111111111111111111111116","eventSeq":"2"}}}`
	if !strings.Contains(string(b), status) ||
		!strings.Contains(string(b), `"invalid":{"epoch":3,"height":77,"txId":"0x`) {
		t.Errorf("%s", b)
	}
}

// TestStoreInvalid: storing such a blob gives the original's result, and exit code 1.
func TestStoreInvalid(t *testing.T) {
	st := invalidOf(t)
	failed := fmt.Errorf("store: %w", st.Invalid)
	b, err := json.Marshal(newStoreEntry("f", &client.StoreResult{BlobID: st.BlobID}, failed).Result)
	if want := `{"markedInvalid":{"blobId":"` + st.BlobID.String() +
		`","event":{"txDigest":"11111111111111111111111111111116","eventSeq":"2"}}}`; err != nil || string(b) != want {
		t.Errorf("%s, %v, want %s", b, err, want)
	}
	if code := exitCode(failed); code != exitFailed {
		t.Errorf("exit code %d", code)
	}
	if text := hint(failed, exitFailed, "walrus store"); !strings.Contains(text, "blob-status") {
		t.Errorf("hint: %s", text)
	}
	before := *st.Invalid
	before.Mark = nil
	b, err = json.Marshal(newStoreEntry("f", nil, &before).Result)
	if err != nil || !strings.Contains(string(b), `"error":`) || !errors.Is(&before, client.ErrInvalidBlob) {
		t.Errorf("before the mark: %s, %v", b, err)
	}
}

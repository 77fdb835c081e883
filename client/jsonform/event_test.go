package jsonform

import (
	"encoding/json"
	"testing"

	"walrus/client"
	"walrus/ledger"
	"walrus/shards"
)

// TestBase58 has known pairs, the first of a draft of the IETF.
func TestBase58(t *testing.T) {
	for in, want := range map[string]string{
		"Hello World!": "2NEpo7TZRRrLZSi2U", "": "", "\x00": "1", "\x00\x00\x28\x7f\xb4\xcd": "11233QC4",
		string(make([]byte, 32)): "11111111111111111111111111111111",
	} {
		if got := base58([]byte(in)); got != want {
			t.Errorf("%x: %s, want %s", in, got, want)
		}
	}
}

// TestInvalid pins the original's answer to storing an invalid blob.
func TestInvalid(t *testing.T) {
	e := &client.InvalidBlobError{BlobID: shards.BlobID{1}}
	if NewInvalid(e) != nil {
		t.Error("an event of a blob that is not marked")
	}
	e.Mark = &ledger.InvalidBlob{Tx: ledger.TxID{31: 5}, Event: 2}
	b, err := json.Marshal(StoreResult{MarkedInvalid: NewInvalid(e)})
	const want = `{"markedInvalid":{"blobId":"AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA","event":{"txDigest":"11111111111111111111111111111116","eventSeq":"2"}}}`
	if err != nil || string(b) != want {
		t.Errorf("%s, %v", b, err)
	}
}

package jsonform_test

import (
	"encoding/json"
	"strings"
	"testing"

	"walrus/client"
	"walrus/client/jsonform"
	"walrus/ledger"
)

// TestResultShapes compares the bytes of results with the original's, from its documentation.
func TestResultShapes(t *testing.T) {
	r := client.StoreResult{
		Size: 17, EncodedSize: 66034000, Operation: client.RegisterFromScratch, RegisteredEpoch: 34,
		CertifiedEpoch: 34, EndEpoch: 35,
		Cost: client.Cost{Storage: 132000, Write: 300, Fee: 99},
	}
	const (
		zero   = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
		object = "0x0000000000000000000000000000000000000000000000000000000000000000"
		record = `{"newlyCreated":{"blobObject":{"id":"` + object + `","registeredEpoch":34,"blobId":"` + zero +
			`","size":17,"encodingType":"RS2","certifiedEpoch":34,` +
			`"storage":{"id":"` + object + `","startEpoch":34,"endEpoch":35,"storageSize":66034000},"deletable":false},"resourceOperation":`
		cost = `,"cost":132300`
	)
	for _, tt := range []struct {
		change func(*client.StoreResult)
		want   string
	}{
		{func(*client.StoreResult) {}, record + `{"registerFromScratch":{"encodedLength":66034000,"epochsAhead":1}}` + cost +
			`}}`},
		{func(r *client.StoreResult) { r.Shared = true },
			record + `{"registerFromScratch":{"encodedLength":66034000,"epochsAhead":1}}` + cost +
				`,"sharedBlobObject":"` + object + `"}}`},
		{func(r *client.StoreResult) { r.Operation = client.ReuseStorage },
			record + `{"reuseStorage":{"encodedLength":66034000}}` + cost + `}}`},
		{func(r *client.StoreResult) { r.Operation = client.ReuseRegistration },
			record + `{"reuseRegistration":{"encodedLength":66034000}}` + cost + `}}`},
		{func(r *client.StoreResult) { r.Operation, r.EpochsExtended = client.ReuseAndExtend, 2 },
			record + `{"reuseAndExtend":{"encodedLength":66034000,"epochsExtended":2}}` + cost + `}}`},
		{func(r *client.StoreResult) { r.Operation, r.EpochsExtended = client.ReuseAndExtendNonCertified, 2 },
			record + `{"reuseAndExtendNonCertified":{"encodedLength":66034000,"epochsExtended":2}}` + cost + `}}`},
		{func(r *client.StoreResult) { r.AlreadyCertified = true },
			`{"alreadyCertified":{"blobId":"` + zero +
				`","event":{"txDigest":"11111111111111111111111111111111","eventSeq":"0"},"endEpoch":35}}`},
		{func(r *client.StoreResult) {
			r.AlreadyCertified, r.Certifying = true, &client.Event{Tx: ledger.TxID{31: 5}, Seq: 2}
		}, `{"alreadyCertified":{"blobId":"` + zero +
			`","event":{"txDigest":"11111111111111111111111111111116","eventSeq":"2"},"endEpoch":35}}`},
		{func(r *client.StoreResult) { r.AlreadyCertified, r.Object = true, ledger.ObjectID{0xe9} },
			`{"alreadyCertified":{"blobId":"` + zero + `","object":"` + strings.Replace(object, "0x00", "0xe9", 1) +
				`","endEpoch":35}}`},
	} {
		changed := r
		tt.change(&changed)
		b, err := json.Marshal(jsonform.New(&changed))
		if err != nil || string(b) != tt.want {
			t.Errorf("got  %s, %v\nwant %s", b, err, tt.want)
		}
	}
}

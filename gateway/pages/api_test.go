package pages

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"walrus/ledger"
)

// TestAPI checks the names of the API's fields: programs rely on them.
func TestAPI(t *testing.T) {
	h := newSite(t, newFixture())
	blob := "/explorer/api/blobs/" + blobID(1).String()
	for _, tt := range []struct {
		path   string
		within string // the field whose names are checked, its first element if it is a list; "" for the whole
		want   string
	}{
		{"/explorer/api/network", "", "capacity committee epoch ledger networkId nodes ok prices storage supply throughput time"},
		{"/explorer/api/network", "nodes", "blobs diskBytes epoch ledgerHeight name ok owedSlivers peer reachable shards state version"},
		{"/explorer/api/network", "epoch", "durationNanos endTime number"},
		{"/explorer/api/network", "prices", "feePerByteFrost feePerTransactionFrost feePerWorkFrost maxEpochsAhead storagePerUnitAndEpochFrost writePerUnitFrost"},
		{"/explorer/api/network", "committee", "maxFaultyShards members quorumShards shards"},
		{"/explorer/api/network", "ledger", "height live reachableShards"},
		{"/explorer/api/network", "throughput", "blobs ledgerHeight readBytesPerSecond storedBytesPerSecond time"},
		{"/explorer/api/nodes/node-3", "", "addresses blobs committee connectedPeers corruptSlivers diskBytes diskFreeBytes diskLimitBytes diskReserveBytes earnings epoch history incidents ledger ledgerHeight name ok owedSlivers peer reachable shardIds shards slivers state time uptimeNanos version why"},
		{"/explorer/api/nodes/" + peerName(3), "earnings", "burnFrost epoch epochEndTime potFrost shareFrost"},
		{"/explorer/api/nodes/node-3", "history", "day month points time"},
		{"/explorer/api/nodes/" + peerName(5), "",
			"addresses blobs committee connectedPeers corruptSlivers diskBytes diskFreeBytes diskReserveBytes earnings epoch history incidents ledgerHeight name ok owedSlivers peer reachable seenTime shardIds shards slivers time uptimeNanos why"},
		{"/explorer/api/transactions", "", "nextBefore transactions"},
		{"/explorer/api/transactions", "transactions",
			"code events feeFrost height index nonce operations sender spentFrost time txId"},
		{"/explorer/api/transactions/" + ledger.TxID{0xaa}.String(), "",
			"code events feeFrost height index nonce operations sender spentFrost time txId"},
		{"/explorer/api/blocks", "blocks", "empty hash height proposer proposerPeer signedShards time votingShards"},
		{"/explorer/api/blocks/81234", "", "empty hash headHeight height more proposer proposerPeer signedShards time transactions votingShards"},
		{"/explorer/api/owners/" + ledger.Address{0x99}.String(), "",
			"address balanceFrost blobs epoch nextBefore nonce storages transactions"},
		{"/explorer/api/records/" + ledger.ObjectID{7, 7}.String(), "",
			"attributes blobId certifiedEpoch deletable endEpoch endTime epoch fundsFrost objectId owner registeredEpoch shared size startEpoch storageSize"},
		{"/explorer/api/blobs/" + blobID(6).String(), "quilt", "columns identifier patchId tags"},
		{blob, "", "blobId certificate contentType encodedSize ledger pinners shards size sizeKnown status time unansweredNodes"},
		{blob, "ledger", "certifiedEpoch deletable endEpoch endTime epoch permanent records"},
		{blob, "certificate", "epoch notSigned quorumShards shards signedShards signers verified"},
		{blob, "shards", "node pair peer primary secondary shard"},
		{"/explorer/api/blobs/" + blobID(2).String(), "pinners", "peer seenSince"},
		{"/explorer/api/pins", "", "dailyLimitBytes diskBytes diskLimitBytes failing nextBefore peer pinned pins refused " +
			"requests running servedBytes servedTodayBytes time waiting"},
		{"/explorer/api/pins", "pins", "blobId cid created lastVerified name percent requestId servedBytes size sizeKnown status"},
		{"/explorer/api/price?size=1000&epochs=5", "",
			"encodedSize endText endTime epochs feesFrost size storageFrost text totalFrost writeFrost"},
	} {
		w := get(t, h, tt.path)
		if w.Code != http.StatusOK || w.Header().Get("Content-Type") != "application/json" {
			t.Errorf("%s: status %d, type %q", tt.path, w.Code, w.Header().Get("Content-Type"))
			continue
		}
		var v map[string]any
		if err := json.Unmarshal(w.Body.Bytes(), &v); err != nil {
			t.Errorf("%s: %v", tt.path, err)
			continue
		}
		switch in := v[tt.within].(type) {
		case map[string]any:
			v = in
		case []any:
			v, _ = in[0].(map[string]any)
		}
		if got := strings.Join(slices.Sorted(maps.Keys(v)), " "); got != tt.want {
			t.Errorf("%s %s has %s\nwant %s", tt.path, tt.within, got, tt.want)
		}
	}
}

func TestAPIErrors(t *testing.T) {
	f := newFixture()
	h := newSite(t, f)
	for _, tt := range []struct {
		path   string
		code   int
		status string
	}{
		{"/explorer/api/nodes/nobody", 404, "NOT_FOUND"},
		{"/explorer/api/blobs/" + blobID(9).String(), 404, "NOT_FOUND"},
		{"/explorer/api/blobs/x", 400, "INVALID_ARGUMENT"},
		{"/explorer/api/price", 400, "INVALID_ARGUMENT"},
		{"/explorer/api/price?size=-1", 400, "INVALID_ARGUMENT"},
		{"/explorer/api/price?size=1&epochs=0", 400, "INVALID_ARGUMENT"},
		{"/explorer/api/price?size=1&epochs=54", 400, "INVALID_ARGUMENT"},
		{"/explorer/api/price?size=99999999999999999999", 400, "INVALID_ARGUMENT"},
		{"/explorer/api/nothing", 404, "NOT_FOUND"},
		{"/explorer/api/blocks/0", 400, "INVALID_ARGUMENT"},
		{"/explorer/api/blocks/99999999", 404, "NOT_FOUND"},
		{"/explorer/api/blocks?before=x", 400, "INVALID_ARGUMENT"},
		{"/explorer/api/transactions?before=x", 400, "INVALID_ARGUMENT"},
		{"/explorer/api/transactions/0xaa", 400, "INVALID_ARGUMENT"},
		{"/explorer/api/owners/" + ledger.Address{1}.String(), 404, "NOT_FOUND"},
		{"/explorer/api/records/" + ledger.ObjectID{1}.String(), 404, "NOT_FOUND"},
	} {
		w := get(t, h, tt.path)
		var body apiError
		if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil || w.Code != tt.code || body.Error.Code != tt.code ||
			body.Error.Status != tt.status || body.Error.Message == "" || body.Error.Details == nil {
			t.Errorf("%s: status %d, %s", tt.path, w.Code, w.Body)
		}
	}
	f.err = errNetwork
	if w := get(t, h, "/explorer/api/network"); w.Code != http.StatusServiceUnavailable ||
		w.Header().Get("Retry-After") == "" {
		t.Errorf("network away: status %d", w.Code)
	}
}

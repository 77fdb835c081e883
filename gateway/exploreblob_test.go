package gateway

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"walrus/certs"
	"walrus/client"
	"walrus/gateway/pages"
	"walrus/ledger"
	"walrus/shards"
)

// saidBlob returns a certified blob with a permanent and two deletable records, one of which has ended.
func saidBlob(s *saying) *client.BlobStatus {
	id := shards.BlobID{9}
	st := &client.BlobStatus{
		BlobID: id, Size: 1000, EncodedSize: 9000, Epoch: 3, EndEpoch: 30, CertifiedEnd: 8,
		CertifiedEpoch: 2, Permanent: true,
		Info: ledger.BlobInfo{
			InitialCertified: 2, PermanentEnd: 30, PermanentCertifiedEnd: 6,
			Deletable: []ledger.DeletableEnd{{End: 3, Registered: 1}, {End: 8, Registered: 2, Certified: 1}},
		},
		Certificate: &certs.Certificate{Epoch: 2, Blob: id,
			Persistence: certs.Persistence{Deletable: true, Object: ledger.ObjectID{4}}, Signers: []uint16{0, 1, 2}},
		Signers: s.com,
		Bad:     []client.BadNode{{Node: s.com.Members()[3].Node, Name: "node-3", Reason: "did not answer in time"}},
		Own: []client.OwnedBlob{{Object: ledger.ObjectID{4},
			Blob: ledger.Blob{Owner: ledger.Address{1}, End: 8, Deletable: true}}},
	}
	for i := range 10 {
		m := s.com.Owner(i)
		st.Shards = append(st.Shards, client.ShardStatus{Shard: i, Pair: 9 - i, Node: m.Node, Name: m.Name,
			Primary: client.Stored, Secondary: client.Repairing})
	}
	return st
}

func TestExplorerBlob(t *testing.T) {
	s := newSaying(t)
	s.status = saidBlob(s)
	b, err := NewExplorer(ExploreConfig{}, s).Blob(t.Context(), shards.BlobID{9})
	if err != nil {
		t.Fatal(err)
	}
	// this is epoch 3, which ends at EpochEnd; the last certified registration ends as epoch 8 begins
	if want := s.info.EpochEnd.Add(4 * time.Hour); b.Status != pages.StatusCertified || b.Ledger.EndEpoch != 8 ||
		!b.Ledger.EndTime.Equal(want) || b.Ledger.PermanentEnd != 6 {
		t.Errorf("%s until %d, %v, permanent until %d", b.Status, b.Ledger.EndEpoch, b.Ledger.EndTime, b.Ledger.PermanentEnd)
	}
	if d := b.Ledger.Deletable; len(d) != 1 || d[0].EndEpoch != 8 || d[0].Registered != 2 || d[0].Certified != 1 {
		t.Errorf("deletable %+v", d)
	}
	if r := b.Ledger.Records; len(r) != 1 || r[0].Owner != (ledger.Address{1}).String() || r[0].Attributes == nil {
		t.Errorf("records %+v", r)
	}
	c := b.Certificate
	if c.Weight != 8 || c.Quorum != 7 || c.Of != 10 || len(c.Signers) != 3 || c.Signers[2].Name != "node-2" ||
		strings.Join(c.Absent, " ") != "node-3" || c.Object != (ledger.ObjectID{4}).String() {
		t.Errorf("certificate %+v", c)
	}
	if len(b.Shards) != 10 || b.Shards[3].Primary != pages.SliverStored || b.Shards[3].Secondary != pages.Repairing ||
		b.Shards[3].Name != "node-3" || b.Shards[3].Pair != 6 {
		t.Errorf("shards %+v", b.Shards)
	}
	if len(b.Bad) != 1 || b.Bad[0].Reason != "did not answer in time" {
		t.Errorf("bad %+v", b.Bad)
	}
	s.status.CertifiedEnd = 0
	if b := describeBlob(&networkState{network: &pages.Network{}, committee: s.com}, s.status,
		time.Time{}); b.Status != pages.StatusRegistered || b.Ledger.EndEpoch != 30 {
		t.Errorf("not certified: %s until %d", b.Status, b.Ledger.EndEpoch)
	}
	s.status.Invalid = &client.InvalidBlobError{BlobID: shards.BlobID{9},
		Mark: &ledger.InvalidBlob{Epoch: 3, Height: 8, Tx: ledger.TxID{5}},
		Cell: &shards.CellProof{Row: 3, Column: 7}}
	if b := describeBlob(&networkState{network: &pages.Network{}, committee: s.com}, s.status,
		time.Time{}); b.Status != pages.StatusInvalid || b.Invalid == nil ||
		b.Invalid.Epoch != 3 || b.Invalid.Height != 8 || !strings.Contains(b.Invalid.Reason, "row 3 and column 7") ||
		len(b.Invalid.Explanation) == 0 {
		t.Errorf("invalid: %s, %+v", b.Status, b.Invalid)
	}
	s.status = nil
	if _, err := NewExplorer(ExploreConfig{}, s).Blob(t.Context(), shards.BlobID{9}); !errors.Is(err, pages.ErrNotFound) ||
		!strings.Contains(err.Error(), "ended with epoch 9") {
		t.Errorf("no blob: %v", err)
	}
}

// TestStates checks that the pages use the client's words for the states of slivers.
func TestStates(t *testing.T) {
	for said, shown := range map[string]pages.State{
		client.Stored: pages.SliverStored, client.Missing: pages.Missing, client.Corrupt: pages.Corrupt,
		client.Repairing: pages.Repairing, client.Unreachable: pages.Unreachable,
	} {
		if said != string(shown) {
			t.Errorf("the client says %q, the pages %q", said, shown)
		}
	}
}

func TestInspect(t *testing.T) {
	for _, tt := range []struct {
		name, attribute, head string
		failure               error
		kind, text            string
	}{
		{"text", "", "the walrus said", nil, "text/plain; charset=utf-8", "the walrus said"},
		{"cut text", "", "W\u00e4lrus \u00e4"[:len("W\u00e4lrus \u00e4")-1], nil,
			"text/plain; charset=utf-8", "W\u00e4lrus "},
		{"image", "", "\x89PNG\r\n\x1a\n", nil, "image/png", ""},
		{"film", "", "\x1aE\xdf\xa3", nil, "video/webm", ""},
		{"sound or film", "", "OggS\x00", nil, "video/ogg", ""},
		{"anything", "", "\x00\x01\x02", nil, "application/octet-stream", ""},
		{"attribute", "image/webp", "never read", nil, "image/webp", ""},
		{"attribute of text", "application/json", `{"a": 1}`, nil, "application/json", `{"a": 1}`},
		{"nothing", "", "", nil, "", ""},
		{"out of reach", "", "", client.ErrNotFound, "", ""},
	} {
		e := NewExplorer(ExploreConfig{Head: func(context.Context, shards.BlobID,
			int) ([]byte, error) {
			return []byte(tt.head), tt.failure
		}}, newSaying(t))
		b := &pages.Blob{}
		if tt.attribute != "" {
			b.Ledger.Records = []pages.Record{{Attributes: []ledger.Attribute{{Key: "title", Value: "x"},
				{Key: "Content-Type", Value: tt.attribute}}}}
		}
		e.inspect(t.Context(), b)
		if b.ContentType != tt.kind || b.Head != tt.text {
			t.Errorf("%s: type %q, text %q", tt.name, b.ContentType, b.Head)
		}
	}
}

// TestExplorerForgets asks for more blobs than are kept, and for one of them twice.
func TestExplorerForgets(t *testing.T) {
	s := newSaying(t)
	s.status = saidBlob(s)
	synctest.Test(t, func(t *testing.T) {
		e := NewExplorer(ExploreConfig{}, s)
		for round := range 2 {
			for i := range 3 * exploreBlobs {
				if _, err := e.Blob(t.Context(), shards.BlobID{byte(i), byte(round)}); err != nil {
					t.Fatal(err)
				}
			}
			if n := len(e.blobs); n > exploreBlobs {
				t.Errorf("%d answers are kept", n)
			}
			time.Sleep(exploreFresh)
		}
		before := s.asked.Load()
		for range 2 {
			if _, err := e.Blob(t.Context(), shards.BlobID{255}); err != nil {
				t.Fatal(err)
			}
		}
		// and the network is asked again too
		if n := s.asked.Load() - before; n != 2 {
			t.Errorf("asked %d times", n)
		}
	})
}

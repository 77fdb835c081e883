package gateway

import (
	"context"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"walrus/client"
	"walrus/gateway/pages"
	"walrus/shards"
)

// TestPinners: a claim keeps the time at which it was first seen, and strangers' claims do not fill the memory.
func TestPinners(t *testing.T) {
	var found []peer.ID
	e := NewExplorer(ExploreConfig{
		Store: func(context.Context, io.ReaderAt, uint64, client.StoreOptions) (*client.StoreResult, error) {
			return nil, nil
		},
		Pinners: func(context.Context, shards.BlobID) []peer.ID { return found },
	}, nil)
	id := shards.BlobID{1}
	if list := e.pinners(t.Context(), id); list == nil || len(list) != 0 {
		t.Errorf("nobody: %v", list)
	}
	found = []peer.ID{"first"}
	first := e.pinners(t.Context(), id)
	found = []peer.ID{"second", "first"}
	second := e.pinners(t.Context(), id)
	if len(second) != 2 || second[0] != first[0] || second[1].Since.Before(first[0].Since) {
		t.Errorf("first %v, then %v", first, second)
	}
	e.claims[claim{id, "first"}] = time.Now().Add(-claimAge - time.Hour)
	for i := range maxClaims + 100 {
		found = []peer.ID{"flood"}
		e.pinners(t.Context(), shards.BlobID{2, byte(i), byte(i >> 8)})
	}
	if len(e.claims) > maxClaims {
		t.Errorf("%d claims are remembered", len(e.claims))
	}
	if _, kept := e.claims[claim{id, "first"}]; kept {
		t.Error("a lapsed claim is remembered while others are dropped")
	}
}

// TestEnded: a blob that is not stored has a page only if a pinner has proved it by its metadata: announcements alone
// are claims of strangers.
func TestEnded(t *testing.T) {
	id, who := shards.BlobID{1}, []pages.Pinner{{Peer: "first", Since: time.Now()}}
	why := fmt.Errorf("blob status: %w: its storage has ended, this is epoch 9", client.ErrNotFound)
	var proved *client.Pinned
	e := NewExplorer(ExploreConfig{
		Store: func(context.Context, io.ReaderAt, uint64, client.StoreOptions) (*client.StoreResult, error) {
			return nil, nil
		},
		Pinned: func(context.Context, shards.BlobID) *client.Pinned { return proved },
	}, nil)
	if b := e.ended(t.Context(), id, why, who); b != nil {
		t.Errorf("claims alone: %+v", b)
	}
	proved = &client.Pinned{Size: 7, EncodedSize: 700, Peers: []peer.ID{"first"}}
	if b := e.ended(t.Context(), id, why, nil); b != nil {
		t.Errorf("nobody claims it: %+v", b)
	}
	b := e.ended(t.Context(), id, why, who)
	if b == nil || b.Status != pages.StatusPinned || b.Reason != "its storage has ended, this is epoch 9" || b.Size != 7 || len(b.Pinners) != 1 {
		t.Errorf("proved: %+v", b)
	}
	if got := client.GoneBecause(client.ErrNotFound); got != "this network does not know it" {
		t.Errorf("without a reason: %q", got)
	}
}

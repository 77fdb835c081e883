package dht

import (
	"errors"
	"fmt"
	"testing"

	"github.com/ipfs/go-datastore"
	"github.com/libp2p/go-libp2p-kad-dht/records"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/host/peerstore/pstoremem"
)

func name(key, announcer string) datastore.Key {
	return datastore.NewKey(records.ProvidersKeyPrefix + key + "/" + announcer)
}

func TestRecordLimits(t *testing.T) {
	ctx := t.Context()
	r := newRecordStore(5, 3, 5)
	for i := range 3 {
		if err := r.Put(ctx, name(fmt.Sprint(i), "greedy"), []byte("v")); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.Put(ctx, name("3", "greedy"), []byte("v")); !errors.Is(err, errRecordsFull) {
		t.Errorf("fourth record of one peer: %v", err)
	}
	if err := r.Put(ctx, name("0", "greedy"), []byte("new")); err != nil {
		t.Errorf("renew at the limit: %v", err)
	}
	for _, p := range []string{"a", "b"} {
		if err := r.Put(ctx, name("0", p), []byte("v")); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.Put(ctx, name("0", "c"), []byte("v")); err != nil {
		t.Errorf("record over the total: %v", err)
	}
	if _, err := r.Get(ctx, name("1", "greedy")); !errors.Is(err, datastore.ErrNotFound) || r.total != 5 {
		t.Errorf("the oldest record of who has most: %v, of %d", err, r.total)
	}
	if err := r.Delete(ctx, name("1", "greedy")); err != nil {
		t.Fatal(err)
	}
	if err := r.Delete(ctx, name("1", "greedy")); err != nil {
		t.Fatal(err)
	}
	if err := r.Put(ctx, name("0", "c"), []byte("v")); err != nil {
		t.Errorf("after making room: %v", err)
	}
	if v, err := r.Get(ctx, name("0", "greedy")); err != nil || string(v) != "new" {
		t.Errorf("renewed value: %q, %v", v, err)
	}
}

// The library's provider manager over our store reads back its own records, by key only.
func TestRecordStoreServesTheLibrary(t *testing.T) {
	ps, err := pstoremem.NewPeerstore()
	if err != nil {
		t.Fatal(err)
	}
	defer ps.Close()
	store := newRecordStore(100, 100, 100)
	lib, err := records.NewProviderManager(randomPeer(t), ps, store)
	if err != nil {
		t.Fatal(err)
	}
	defer lib.Close()
	announcer := randomPeer(t)
	for i := range 10 {
		if err := lib.AddProvider(t.Context(), []byte{byte(i)}, peer.AddrInfo{ID: announcer}); err != nil {
			t.Fatal(err)
		}
	}
	got, err := lib.GetProviders(t.Context(), []byte{4})
	if err != nil || len(got) != 1 || got[0].ID != announcer {
		t.Errorf("providers: %v, %v", got, err)
	}
	if got, err := lib.GetProviders(t.Context(), []byte{99}); err != nil || len(got) != 0 {
		t.Errorf("providers of an unknown key: %v, %v", got, err)
	}
	if store.total != 10 || len(store.groups) != 10 || len(store.peers) != 1 {
		t.Errorf("store holds %d records in %d groups of %d peers", store.total, len(store.groups), len(store.peers))
	}
}

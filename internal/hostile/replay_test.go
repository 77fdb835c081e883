package hostile

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"

	"walrus/client"
	"walrus/internal/pause"
	"walrus/ledger"
	"walrus/ledger/wallet"
	"walrus/shards"
)

// replayCertificate gives an old certificate to every node, again and again.
func replayCertificate(ctx context.Context, a *arena, ready func()) (score, error) {
	h, err := newStranger(a, 0)
	if err != nil {
		return nil, err
	}
	defer h.Close()
	if err := connectAll(ctx, h, a); err != nil {
		return nil, err
	}
	var t tally
	for ctx.Err() == nil {
		each(len(a.Nodes), len(a.Nodes), func(i int) { t.outcome(h.PutCertificate(ctx, a.Nodes[i].ID, a.Certificate)) })
		ready()
		pause.For(ctx, 100*time.Millisecond)
	}
	return t.total(), nil
}

// refereeReplay stores a blob, keeps its certificate, deletes the blob and registers it anew without an upload.
func refereeReplay(t *testing.T, r *referee) outcome {
	blob, stored, err := r.honest.put(t.Context(), 1<<20, client.StoreOptions{})
	if err != nil {
		t.Fatal(err)
	}
	old := stored.Certificate.Marshal()
	if _, err := r.honest.Client().Delete(t.Context(), stored.Object); err != nil {
		t.Fatal(err)
	}
	r.honest.register(t, r.metadata(t, &blob))
	before := r.owed(t)
	ph := r.under(t, "replay", &arena{Certificate: old}, r.long(6*time.Second), nil)
	after := r.owed(t)
	return outcome{
		phase: ph, figure: "slivers owed, all nodes", before: fmt.Sprint(before), during: fmt.Sprint(ph.during.owed),
		after: fmt.Sprint(after),
		holds: max(ph.during.owed, after) == 0,
		why:   fmt.Sprintf("nodes owe slivers that nobody has; certificates: %v", ph.score),
	}
}

// metadata encodes a blob.
func (r *referee) metadata(t *testing.T, d *deposit) *shards.Metadata {
	t.Helper()
	enc, err := shards.NewEncoder(r.params(t), shards.Bytes(d.content()), uint64(d.Size))
	if err != nil {
		t.Fatal(err)
	}
	meta, err := enc.Metadata(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	d.ID = meta.ID()
	return meta
}

// register pays for a record of a blob and uploads nothing.
func (h *honest) register(t *testing.T, meta *shards.Metadata) (record ledger.ObjectID) {
	t.Helper()
	state, err := h.Chain().Ledger.Read(t.Context(), ledger.KeyEpoch())
	if err != nil {
		t.Fatal(err)
	}
	now, err := ledger.ReadEpoch(state)
	if err != nil {
		t.Fatal(err)
	}
	buy := ledger.BuyStorage{Bytes: uint64(meta.Params().EncodedSize(meta.Length)), Start: now.Epoch, End: now.Epoch + 1}
	_, err = h.Chain().Payer.Do(t.Context(), func(object func(int) ledger.ObjectID) []ledger.Op {
		record = object(1)
		return []ledger.Op{buy, ledger.RegisterBlob{Storage: object(0), BlobID: meta.ID(), Root: meta.BlobRoot(),
			Size: meta.Length, Deletable: true}}
	})
	if err != nil {
		t.Fatal(err)
	}
	return record
}

// promised registers a new blob that no node has yet: its owner is about to upload it.
func (h *honest) promised(t *testing.T, r *referee, size int) (d deposit, metadata []byte, record ledger.ObjectID) {
	t.Helper()
	h.seed++
	d = deposit{Seed: h.seed, Size: size}
	meta := r.metadata(t, &d)
	return d, meta.Marshal(), h.register(t, meta)
}

// rights signs tokens for new identities.
func (h *honest) rights(t *testing.T, r *referee, id shards.BlobID, record ledger.ObjectID, count int) (list []right) {
	t.Helper()
	for range count {
		identity := make([]byte, ed25519.SeedSize)
		_, _ = rand.Read(identity) // never fails
		key, err := crypto.UnmarshalEd25519PrivateKey(ed25519.NewKeyFromSeed(identity))
		if err != nil {
			t.Fatal(err)
		}
		from, err := peer.IDFromPrivateKey(key)
		if err != nil {
			t.Fatal(err)
		}
		token := ledger.UploadToken{
			Network: r.fleet.genesis.NetworkID(), Blob: id, Peer: from, Object: record,
			Expiry: uint64(time.Now().Add(30 * time.Minute).Unix()),
		}
		h.Chain().Payer.SignToken(&token)
		list = append(list, right{identity, token.Marshal()})
	}
	return list
}

// payer joins as a client with an account of its own. Its blobs begin at seed.
func (r *referee) payer(t *testing.T, name string, seed uint64) *honest {
	t.Helper()
	w, err := wallet.New()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.honest.Chain().Payer.Do(t.Context(),
		ledger.Fixed(ledger.Transfer{To: w.Address(), Amount: 10 * ledger.WAL})); err != nil {
		t.Fatal(err)
	}
	n, err := r.fleet.join(t.Context(), name, w)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Errorf("%s leaves: %v", name, err)
		}
	})
	return &honest{Node: n, seed: seed}
}

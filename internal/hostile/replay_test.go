package hostile

import (
	"context"
	"fmt"
	"testing"
	"time"

	"walrus/client"
	"walrus/internal/pause"
	"walrus/ledger"
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
	if _, err := r.registerOnly(t.Context(), &blob); err != nil {
		t.Fatal(err)
	}
	before := r.owed(t)
	ph := r.under(t, "replay", &arena{Certificate: old}, r.long(6*time.Second), nil)
	after := r.owed(t)
	return outcome{
		phase: ph, figure: "slivers owed, all nodes", before: fmt.Sprint(before), during: fmt.Sprint(ph.during.owed), after: fmt.Sprint(after),
		holds: max(ph.during.owed, after) == 0, why: fmt.Sprintf("nodes owe slivers that nobody has; certificates: %v", ph.score),
	}
}

// registerOnly pays for a record of a blob and uploads nothing. It returns the blob's metadata.
func (r *referee) registerOnly(ctx context.Context, d *deposit) ([]byte, error) {
	params, err := shards.NewParams(r.fleet.net.Shards)
	if err != nil {
		return nil, err
	}
	enc, err := shards.NewEncoder(params, shards.Bytes(d.content()), uint64(d.Size))
	if err != nil {
		return nil, err
	}
	meta, err := enc.Metadata(ctx, nil)
	if err != nil {
		return nil, err
	}
	d.ID = meta.ID()
	state, err := r.honest.Chain().Ledger.Read(ctx, ledger.KeyEpoch())
	if err != nil {
		return nil, err
	}
	now, err := ledger.ReadEpoch(state)
	if err != nil {
		return nil, err
	}
	buy := ledger.BuyStorage{Bytes: uint64(params.EncodedSize(meta.Length)), Start: now.Epoch, End: now.Epoch + 1}
	_, err = r.honest.Chain().Payer.Do(ctx, func(object func(int) ledger.ObjectID) []ledger.Op {
		return []ledger.Op{buy, ledger.RegisterBlob{Storage: object(0), BlobID: d.ID, Root: meta.BlobRoot(), Size: meta.Length, Deletable: true}}
	})
	return meta.Marshal(), err
}

// promised registers a new blob that no node has yet: its owner is about to upload it.
func (r *referee) promised(t *testing.T, size int) (deposit, []byte) {
	t.Helper()
	r.honest.seed++
	d := deposit{Seed: r.honest.seed, Size: size}
	meta, err := r.registerOnly(t.Context(), &d)
	if err != nil {
		t.Fatal(err)
	}
	return d, meta
}

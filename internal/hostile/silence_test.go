package hostile

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"testing"
	"time"

	"walrus/client"
	"walrus/internal/pause"
	"walrus/shards"
)

// silentPayers accounts hold uploads through silentPeers identities each. Each begins at each node silentUploads
// uploads of all its pairs of a large blob, and then of single ones, for what room is left.
const silentPayers, silentPeers, silentUploads = 4, 2, 12

// holdUploads begins uploads of live blobs' pairs at all nodes and never sends a byte of them.
func holdUploads(ctx context.Context, a *arena, ready func()) (score, error) {
	params, err := shards.NewParams(a.Shards)
	if err != nil {
		return nil, err
	}
	list, err := uploaders(ctx, a)
	if err != nil {
		return nil, err
	}
	var t tally
	var work sync.WaitGroup
	pairSize := params.Layout(shards.Primary, uint64(a.Blob.Size)).Size() +
		params.Layout(shards.Secondary, uint64(a.Blob.Size)).Size()
	for _, most := range []int{params.Shards(), 1} {
		each(len(list)*len(a.Nodes), len(a.Nodes), func(i int) {
			u, n := list[i/len(a.Nodes)], a.Nodes[i%len(a.Nodes)].ID
			pairs, err := pairsOf(ctx, u.Host, params, a.Blob.ID, n)
			if err != nil {
				t.add("unanswered", 1)
				return
			}
			if _, err := u.PutMetadata(ctx, n, a.Blob.ID, u.token, a.Metadata); err != nil {
				t.add("metadata refused", 1)
			}
			pairs = pairs[:min(len(pairs), most)]
			for range silentUploads {
				work.Go(func() {
					t.outcome(u.StorePairs(ctx, n, a.Blob.ID, u.token, pairs, pairSize*int64(len(pairs)), func(io.Writer) error {
						t.add("held", 1)
						<-ctx.Done()
						return ctx.Err()
					}))
				})
			}
		})
		pause.For(ctx, time.Second) // the nodes admit or refuse them
	}
	ready()
	work.Wait()
	for _, u := range list {
		err = errors.Join(err, u.Close())
	}
	return t.total(), err
}

func refereeSilence(t *testing.T, r *referee) outcome {
	// 512 KiB of each sliver: all that a node's default memory for uploads can hold 17 times.
	blob := deposit{Seed: 1 << 42, Size: 32 << 20}
	meta := r.metadata(t, &blob)
	a := &arena{Blob: blob, Metadata: meta.Marshal()}
	for i := range silentPayers {
		p := r.payer(t, fmt.Sprint("silent payer ", i), 0)
		a.Rights = append(a.Rights, p.rights(t, r, blob.ID, p.register(t, meta), silentPeers)...)
	}
	var took time.Duration
	var err error
	ph := r.under(t, "silence", a, r.long(8*time.Second), func(ctx context.Context) {
		begin := time.Now()
		_, _, err = r.honest.put(ctx, 1<<20, client.StoreOptions{})
		took = time.Since(begin)
	})
	return outcome{
		phase: ph, figure: "an honest store of 1 MiB", before: "succeeds", during: result(err, took), after: "",
		holds: err == nil && ph.score["held"] >= float64(len(a.Rights)),
		why:   fmt.Sprintf("%v; uploads held: %v", err, ph.score),
	}
}

// result describes how an honest operation ended.
func result(err error, took time.Duration) string {
	if err != nil {
		return "fails after " + took.Round(time.Millisecond).String()
	}
	return "succeeds in " + took.Round(time.Millisecond).String()
}

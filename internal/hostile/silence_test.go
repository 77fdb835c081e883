package hostile

import (
	"context"
	"fmt"
	"io"
	"sync"
	"testing"
	"time"

	"walrus/client"
	"walrus/shards"
)

// silentUploads is the number of uploads that the stranger begins at each node, once with all pairs and once with one.
const silentUploads = 24

// holdUploads begins uploads of a live blob's pairs at all nodes and never sends a byte of them.
func holdUploads(ctx context.Context, a *arena, ready func()) (score, error) {
	params, err := shards.NewParams(a.Shards)
	if err != nil {
		return nil, err
	}
	h, err := newStranger(a, 0)
	if err != nil {
		return nil, err
	}
	defer h.Close()
	if err := connectAll(ctx, h, a); err != nil {
		return nil, err
	}
	size := params.Layout(shards.Primary, uint64(a.Blob.Size)).Size() + params.Layout(shards.Secondary, uint64(a.Blob.Size)).Size()
	var t tally
	var work, begun sync.WaitGroup
	for _, n := range a.Nodes {
		pairs, err := pairsOf(ctx, h, params, a.Blob.ID, n.ID)
		if err != nil {
			t.add("unanswered", 1)
			continue
		}
		if _, err := h.PutMetadata(ctx, n.ID, a.Blob.ID, a.Metadata); err != nil {
			t.add("metadata refused", 1)
		}
		for k := range 2 * silentUploads {
			mine := pairs
			if k >= silentUploads {
				mine = pairs[:1]
			}
			begun.Add(1)
			work.Go(func() {
				said := sync.OnceFunc(begun.Done)
				defer said()
				t.outcome(h.StorePairs(ctx, n.ID, a.Blob.ID, mine, size*int64(len(mine)), func(io.Writer) error {
					t.add("begun", 1)
					said()
					<-ctx.Done()
					return ctx.Err()
				}))
			})
		}
	}
	begun.Wait()
	ready()
	work.Wait()
	return t.total(), nil
}

func refereeSilence(t *testing.T, r *referee) outcome {
	size := 32 << 20 // 512 KiB of each sliver: all that a node's default memory for uploads can hold 17 times
	blob, metadata := r.promised(t, size)
	var took time.Duration
	var err error
	ph := r.under(t, "silence", &arena{Blob: blob, Metadata: metadata}, r.long(5*time.Second), func(ctx context.Context) {
		begin := time.Now()
		_, _, err = r.honest.put(ctx, 1<<20, client.StoreOptions{})
		took = time.Since(begin)
	})
	return outcome{
		phase: ph, figure: "an honest store of 1 MiB", before: "succeeds", during: result(err, took), after: "",
		holds: err == nil, why: fmt.Sprintf("%v; uploads begun: %v", err, ph.score["begun"]),
	}
}

// result describes how an honest operation ended.
func result(err error, took time.Duration) string {
	if err != nil {
		return "fails after " + took.Round(time.Millisecond).String()
	}
	return "succeeds in " + took.Round(time.Millisecond).String()
}

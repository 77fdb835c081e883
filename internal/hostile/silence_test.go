package hostile

import (
	"context"
	"fmt"
	"io"
	"sync"
	"testing"
	"time"

	"walrus/client"
	"walrus/internal/pause"
	"walrus/shards"
)

// silentUploads and smallSilent are the uploads that the stranger begins at each node: of all its pairs of a large
// blob, of single ones, and then of single pairs of a small blob, for what room is left.
const silentUploads, smallSilent = 24, 60

// holdUploads begins uploads of live blobs' pairs at all nodes and never sends a byte of them.
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
	var t tally
	var work sync.WaitGroup
	hold := func(blob deposit, metadata []byte, count, most int) {
		var begun sync.WaitGroup
		pairSize := params.Layout(shards.Primary, uint64(blob.Size)).Size() + params.Layout(shards.Secondary, uint64(blob.Size)).Size()
		for _, n := range a.Nodes {
			pairs, err := pairsOf(ctx, h, params, blob.ID, n.ID)
			if err != nil {
				t.add("unanswered", 1)
				continue
			}
			if _, err := h.PutMetadata(ctx, n.ID, blob.ID, metadata); err != nil {
				t.add("metadata refused", 1)
			}
			pairs = pairs[:min(len(pairs), most)]
			begun.Add(count)
			for range count {
				work.Go(func() {
					said := sync.OnceFunc(begun.Done)
					defer said()
					t.outcome(h.StorePairs(ctx, n.ID, blob.ID, pairs, pairSize*int64(len(pairs)), func(io.Writer) error {
						t.add("begun", 1)
						said()
						<-ctx.Done()
						return ctx.Err()
					}))
				})
			}
		}
		begun.Wait()
		pause.For(ctx, time.Second) // the nodes admit or refuse them
	}
	hold(a.Blob, a.Metadata, silentUploads, params.Shards())
	hold(a.Blob, a.Metadata, silentUploads, 1)
	hold(a.Small, a.SmallMeta, smallSilent, 1)
	ready()
	work.Wait()
	return t.total(), nil
}

func refereeSilence(t *testing.T, r *referee) outcome {
	size := 32 << 20 // 512 KiB of each sliver: all that a node's default memory for uploads can hold 17 times
	blob, metadata := r.promised(t, size)
	small, smallMeta := r.promised(t, smallBlob)
	var took time.Duration
	var err error
	ph := r.under(t, "silence", &arena{Blob: blob, Metadata: metadata, Small: small, SmallMeta: smallMeta}, r.long(5*time.Second), func(ctx context.Context) {
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

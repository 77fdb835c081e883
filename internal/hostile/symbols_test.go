package hostile

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"walrus/client"
	"walrus/p2p"
	"walrus/shards"
)

// symbolStrangers flood with symbolParallel requests each to every node at once.
const symbolStrangers, symbolParallel = 4, 24

// floodSymbols asks all nodes for all symbols of their slivers, without end: some claim that a symbol has 10 bytes,
// some leave as soon as they have asked, and some wait for the answer.
func floodSymbols(ctx context.Context, a *arena, ready func()) (score, error) {
	params, err := shards.NewParams(a.Shards)
	if err != nil {
		return nil, err
	}
	var t tally
	var work sync.WaitGroup
	for i := range symbolStrangers {
		h, err := newStranger(a, i)
		if err != nil {
			return nil, err
		}
		defer h.Close()
		if err := connectAll(ctx, h, a); err != nil {
			t.add("unanswered", float64(len(a.Nodes)))
			continue
		}
		for _, n := range a.Nodes {
			pairs, err := pairsOf(ctx, h, params, a.Blob.ID, n.ID)
			if err != nil {
				t.add("unanswered", 1)
				continue
			}
			for k := range symbolParallel {
				work.Go(func() {
					for ctx.Err() == nil {
						t.add("asked", 1)
						t.outcome(askSymbols(ctx, h, params, a.Blob, n.ID, pairs[rand.IntN(len(pairs))], k%3))
					}
				})
			}
		}
	}
	ready()
	work.Wait()
	return t.total(), nil
}

func askSymbols(ctx context.Context, h *p2p.Host, params shards.Params, blob deposit, to peerID, pair, way int) error {
	targets := make([]int, params.Shards())
	for i := range targets {
		targets[i] = i
	}
	axis := shards.Axis(rand.IntN(2))
	size, proof := params.SymbolSize(uint64(blob.Size)), params.ProofSize()
	switch way {
	case 0:
		size, proof = 10, 0
	case 1:
		var leave context.CancelFunc
		ctx, leave = context.WithTimeout(ctx, 5*time.Millisecond)
		defer leave()
	}
	_, err := h.Symbols(ctx, to, blob.ID, axis, params.SliverOfPair(axis, pair), targets, size, proof)
	return err
}

// symbolBlob has symbols of 15 KB: all of a sliver's are 1.5 MB.
const symbolBlob = 32 << 20

// symbolHeap is the memory that a node may take for a flood: far below what one honest repair of it takes.
const symbolHeap = 128 << 20

func refereeSymbols(t *testing.T, r *referee) outcome {
	blob := r.store(t, symbolBlob, client.StoreOptions{Permanent: true})
	ph := r.under(t, "symbols", &arena{Blob: blob}, r.long(15*time.Second), nil)
	after := r.watch(t, 3*time.Second)
	grown := ph.during.heap - ph.before.heap
	return outcome{
		phase: ph, figure: "greatest heap; CPU of all nodes",
		before: fmt.Sprintf("%s, %.1f", mib(ph.before.heap), ph.before.cpu),
		during: fmt.Sprintf("%s, %.1f", mib(ph.during.heap), ph.during.cpu),
		after:  fmt.Sprintf("%s, %.1f", mib(after.heap), after.cpu), holds: grown <= symbolHeap,
		why: fmt.Sprintf("heap grew by %s, at most %s; requests: %v", mib(grown), mib(symbolHeap), ph.score),
	}
}

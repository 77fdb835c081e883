package hostile

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"
	"time"

	"walrus/client"
	"walrus/shards"
)

// uploadGarbage uploads the pairs of a live blob to every node, Count times: with wrong bytes, or if Right is set once
// more with the right ones.
func uploadGarbage(ctx context.Context, a *arena, ready func()) (score, error) {
	params, err := shards.NewParams(a.Shards)
	if err != nil {
		return nil, err
	}
	meta, pairs, err := shards.Encode(params, a.Blob.content())
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
	each(len(a.Nodes)*a.Count, 2*len(a.Nodes), func(i int) {
		n := a.Nodes[i%len(a.Nodes)].ID
		mine, err := pairsOf(ctx, h, params, a.Blob.ID, n)
		if err != nil || ctx.Err() != nil {
			t.add("unanswered", 1)
			return
		}
		if len(a.Metadata) > 0 {
			if _, err := h.PutMetadata(ctx, n, a.Blob.ID, a.Metadata); err != nil {
				t.add("metadata refused", 1)
			}
		}
		size := meta.Layout(shards.Primary).Size() + meta.Layout(shards.Secondary).Size()
		t.outcome(h.StorePairs(ctx, n, a.Blob.ID, mine, size*int64(len(mine)), func(w io.Writer) error {
			sent, err := writePairs(w, meta, pairs, mine, a.Right, uint64(i))
			t.add("bytes", float64(sent))
			return err
		}))
	})
	ready()
	return t.total(), nil
}

// writePairs writes pairs in the order of an upload. Wrong ones are right up to their last strip.
func writePairs(w io.Writer, meta *shards.Metadata, all []shards.Pair, pairs []int, right bool, seed uint64) (sent int, err error) {
	strips := meta.Layout(shards.Primary).Strips()
	noise := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)})
	for t := range strips {
		for _, pair := range pairs {
			for axis, sliver := range [][]byte{all[pair].Primary, all[pair].Secondary} {
				at, size := meta.Layout(shards.Axis(axis)).Strip(t)
				strip := sliver[at : at+int64(size)]
				if !right && t == strips-1 {
					strip = bytes.Clone(strip)
					_, _ = noise.Read(strip[size-1:])
					strip[0] ^= 1
				}
				n, err := w.Write(strip)
				if sent += n; err != nil {
					return sent, err
				}
			}
		}
	}
	return sent, nil
}

// garbageBlob makes a node's pairs some 5 MiB of 100 shards on seven nodes.
const garbageBlob = 8 << 20

// refereeGarbage watches the disk of the node that grows most, through uploads and a restart.
func refereeGarbage(right bool) func(*testing.T, *referee) outcome {
	return func(t *testing.T, r *referee) outcome {
		size, count, noise := garbageBlob, 30, float64(diskNoise)
		if !r.full {
			size, count, noise = 1<<20, 16, diskNoise/4
		}
		var blob deposit
		var metadata []byte // of a blob that its owner has paid for and not uploaded yet: no node has it
		if right {
			blob = r.store(t, size, client.StoreOptions{Permanent: true})
		} else {
			blob, metadata = r.promised(t, size)
		}
		params, err := shards.NewParams(r.fleet.net.Shards)
		if err != nil {
			t.Fatal(err)
		}
		// What the record's pairs take on the node with most of them, twice: the room for honest retries.
		most := 2*float64(params.EncodedSize(uint64(size)))/float64(len(r.fleet.nodes)) + noise
		before := r.disks()
		ph := r.under(t, "garbage", &arena{Blob: blob, Metadata: metadata, Count: count, Right: right}, 0, nil)
		during := r.grown(before)
		last := len(r.fleet.nodes) - 1
		if err := r.fleet.restart(last, nil); err != nil {
			t.Fatal(err)
		}
		after := r.grown(before)
		grown := max(during, after)
		begin := time.Now()
		_, owner := r.honest.upload(t.Context(), blob, client.StoreOptions{}) // the room for its pairs is not used up
		return outcome{
			phase: ph, figure: "store's growth on the worst node, again after its restart; the owner's own upload",
			before: "0", during: mib(during), after: mib(after) + "; " + result(owner, time.Since(begin)),
			holds: grown <= most && owner == nil && (right || ph.score["accepted"] == 0),
			why:   fmt.Sprintf("grew by %s, at most %s; the owner's upload: %v; uploads: %v", mib(grown), mib(most), owner, ph.score),
		}
	}
}

// diskNoise allows for the honest client's blobs, logs and half-filled files.
const diskNoise = 24 << 20

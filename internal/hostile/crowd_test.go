package hostile

import (
	"context"
	"flag"
	"fmt"
	"sync"
	"testing"
	"time"

	"walrus/client"
	"walrus/internal/pause"
)

// crowdTime: the run that a public node must withstand lasts five minutes.
var crowdTime = flag.Duration("hostile.crowd", 15*time.Second, "length of the crowd's attack")

// crowdIdentities connect and idle, beside those that attack.
const crowdIdentities = 1000

// joinAll does at once, and again and again, what the attackers of the other rows do.
func joinAll(ctx context.Context, a *arena, ready func()) (score, error) {
	deeds := []struct {
		name string
		do   attack
		on   arena
	}{
		{"slots", takeSlots, arena{Count: a.Count}},
		{"symbols", floodSymbols, arena{Blob: a.Stored}},
		{"silence", holdUploads, arena{Blob: a.Blob, Metadata: a.Metadata, Rights: a.Rights}},
		{"garbage", uploadGarbage, arena{Blob: a.Blob, Metadata: a.Metadata, Rights: a.Rights, Count: 4}},
		{"providers", spamProviders, arena{Count: 1000}},
		{"status", askStatus, arena{Rate: 200}},
		{"gossip", gossipGarbage, arena{Certificate: a.Certificate}},
		{"replay", replayCertificate, arena{Certificate: a.Certificate}},
	}
	var t tally
	var work sync.WaitGroup
	for i := range deeds {
		deed, begun := &deeds[i], func() {}
		deed.on.Network, deed.on.NetworkID, deed.on.Shards, deed.on.Nodes = a.Network, a.NetworkID, a.Shards, a.Nodes
		if deed.name == "slots" {
			begun = ready
		}
		work.Go(func() {
			for ctx.Err() == nil {
				done, err := deed.do(ctx, &deed.on, begun)
				for what, n := range done {
					t.add(deed.name+" "+what, n)
				}
				if err != nil { // nodes may be too busy to let it in
					t.add(deed.name+" failed", 1)
				}
				pause.For(ctx, 100*time.Millisecond)
			}
		})
	}
	work.Wait()
	return t.total(), nil
}

// refereeCrowd: whatever a stranger with many identities does, nodes stay small, blobs are read, and blocks go on.
func refereeCrowd(t *testing.T, r *referee) outcome {
	blob := r.store(t, 8<<20, client.StoreOptions{Permanent: true})
	p := r.payer(t, "payer in the crowd", 1<<43)
	promised, metadata, record := p.promised(t, r, 8<<20)
	_, stored, err := r.honest.put(t.Context(), smallBlob, client.StoreOptions{})
	if err != nil {
		t.Fatal(err)
	}
	count, d := crowdIdentities, *crowdTime
	if !r.full {
		count, d = crowdIdentities/10, d/5
	}
	blocks := func(during func()) float64 { // a second
		from, began := r.height(t), time.Now()
		during()
		return (r.height(t) - from) / time.Since(began).Seconds()
	}
	quiet := blocks(func() { r.rest(t, r.long(5*time.Second)) })
	var ph phase
	crowded := blocks(func() {
		ph = r.under(t, "crowd", &arena{
			Blob: promised, Metadata: metadata, Rights: p.rights(t, r, promised.ID, record, 4), Stored: blob,
			Certificate: stored.Certificate.Marshal(), Count: count,
		}, time.Duration(float64(d)**longer), nil)
	})
	_, reads, failed := p99(ph.samples, false)
	return outcome{
		phase: ph, figure: "greatest heap; greatest age of the newest block, blocks a second; reads that succeed",
		before: fmt.Sprintf("%s; %.1f s, %.1f/s", mib(ph.before.heap), ph.before.age, quiet),
		during: fmt.Sprintf("%s; %.1f s, %.1f/s; %d of %d", mib(ph.during.heap), ph.during.age, crowded,
			reads-len(failed), reads),
		// In the short form, all nodes and strangers share one process.
		holds: (!r.full || ph.during.heap <= maxHeap && ph.during.age <= maxBlockAge) && crowded > 0 &&
			reads > 0 && len(failed) == 0,
		why: fmt.Sprintf("heap at most %s, block age at most %d s, all reads; crowd: %v", mib(maxHeap),
			maxBlockAge, ph.score),
	}
}

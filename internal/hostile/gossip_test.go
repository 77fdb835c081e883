package hostile

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"walrus/certs"
	"walrus/client"
	"walrus/internal/pause"
	"walrus/p2p"
	"walrus/shards"
)

// gossipers publish bad certificates, gossipPause apart.
const gossipers, gossipPause = 4, 10 * time.Millisecond

// gossipGarbage publishes certificates that look right and are not: each costs a node a pairing. Between them it
// repeats good old ones.
func gossipGarbage(ctx context.Context, a *arena, ready func()) (score, error) {
	good, err := certs.UnmarshalCertificate(a.Certificate)
	if err != nil {
		return nil, err
	}
	var t tally
	each(gossipers, gossipers, func(i int) {
		h, err := newStranger(a, i)
		if err != nil {
			t.add("failed", 1)
			return
		}
		defer h.Close()
		topics, err := h.Join(ctx, p2p.Certificates(func(context.Context, peerID, []byte) (p2p.Verdict,
			any) {
			return p2p.Accept, nil
		}))
		if err != nil {
			t.add("failed", 1)
			return
		}
		if connectAll(ctx, h, a) != nil {
			t.add("failed", 1)
			return
		}
		old, _, err := h.Certificates(ctx, a.Nodes[0].ID, shards.BlobID{}, 32)
		if err != nil {
			t.add("failed", 1)
			return
		}
		pause.For(ctx, time.Second) // subscriptions travel
		ready()
		for k := 0; pause.For(ctx, gossipPause); k++ {
			if k%4 == 3 && len(old) > 0 {
				t.add("replays", 1)
				_ = topics[0].Publish(ctx, old[k%len(old)])
				continue
			}
			bad := *good
			for b := range bad.Blob {
				bad.Blob[b] = byte(rand.Uint32())
			}
			t.add("bad", 1)
			_ = topics[0].Publish(ctx, bad.Marshal())
		}
	})
	return t.total(), nil
}

// maxBadRead is the number of bad certificates that one node may read from one peer before it listens no more. Those
// that wait when the score falls are read, too; a peer sends hundreds.
const maxBadRead = 50

func refereeGossip(t *testing.T, r *referee) outcome {
	const complaint = "peer gossips a bad certificate"
	_, stored, err := r.honest.put(t.Context(), smallBlob, client.StoreOptions{})
	if err != nil {
		t.Fatal(err)
	}
	count := r.fleet.logged(complaint)
	var spread time.Duration
	var failed error
	ph := r.under(t, "gossip", &arena{Certificate: stored.Certificate.Marshal()}, r.long(8*time.Second),
		func(ctx context.Context) {
			spread, failed = r.spread(ctx)
		})
	read := float64(r.fleet.logged(complaint)-count) / float64(gossipers*len(r.fleet.nodes))
	return outcome{
		phase: ph, figure: "bad certificates read, each node from each peer; an honest one at all nodes",
		before: "0", during: fmt.Sprintf("%.1f of %.0f; %s", read, ph.score["bad"]/gossipers, result(failed, spread)),
		after: "",
		// A node reads no certificate of a blob that its ledger does not have certified, so none may be read at all.
		holds: ph.score["bad"] > 0 && read <= maxBadRead && failed == nil,
		why:   fmt.Sprintf("%.1f read, at most %d; honest certificate: %v; gossip: %v", read, maxBadRead, failed, ph.score),
	}
}

// spread stores a blob and waits until every node has its certificate.
func (r *referee) spread(ctx context.Context) (time.Duration, error) {
	begin := time.Now()
	d, _, err := r.honest.put(ctx, smallBlob, client.StoreOptions{})
	if err != nil {
		return time.Since(begin), err
	}
	ctx, cancel := context.WithTimeout(ctx, operation)
	defer cancel()
	for _, n := range r.nodes {
		for {
			st, err := r.honest.Swarm().BlobStatus(ctx, n.ID, d.ID)
			if err == nil && len(st.Certificate) > 0 {
				break
			}
			if !pause.For(ctx, 20*time.Millisecond) {
				return time.Since(begin), fmt.Errorf("node %s has no certificate: %w", n.ID, err)
			}
		}
	}
	return time.Since(begin), nil
}

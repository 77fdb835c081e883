package swarmtest

import (
	"context"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	pb "github.com/libp2p/go-libp2p-pubsub/pb"

	"walrus/dht"
)

// Fifty hosts join through one, find each other by peer ID, gossip, and move 100 MB in streams.
func TestFiftyHosts(t *testing.T) {
	const hosts, blocks, messages = 50, 8, 20
	wall := time.Now()
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		n := NewNetwork(42)
		block := make([]byte, 256<<10)
		members := make([]*member, hosts)
		for i := range members {
			n.SetRate(i, 250e6/8)
			members[i] = startMember(t, n, i, dht.Config{Server: true})
			servePull(members[i], block)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
		defer cancel()
		joinAll(t, ctx, members)
		t.Logf("joined: %v virtual, %d bytes", time.Since(begin), n.Total())

		start := time.Now()
		moved := meetAndPull(t, ctx, members, blocks)
		if want := int64(hosts * blocks * len(block)); moved != want {
			t.Errorf("moved %d bytes, want %d", moved, want)
		}
		if n.Total() < moved {
			t.Errorf("counted %d bytes of %d moved", n.Total(), moved)
		}
		t.Logf("moved %d MB in %v virtual", moved>>20, time.Since(start))

		if got := gossip(t, ctx, members, messages); got != messages*hosts {
			t.Errorf("%d of %d messages delivered", got, messages*hosts)
		}
		found, err := members[7].dht.Peers(ctx, 100)
		if err != nil || len(found) < hosts*9/10 {
			t.Errorf("%d of %d storage nodes found by rendezvous, %v", len(found), hosts-1, err)
		}
		t.Logf("virtual %v, total %d MB", time.Since(begin), n.Total()>>20)
		stopAll(members)
	})
	t.Logf("wall %v", time.Since(wall))
}

// meetAndPull makes every member reach seven others it was never told of, and pull blocks from one. It returns the
// bytes that arrived.
func meetAndPull(t *testing.T, ctx context.Context, members []*member, blocks byte) int64 {
	t.Helper()
	var wg sync.WaitGroup
	var moved atomic.Int64
	for i, m := range members {
		wg.Go(func() {
			for k := range 7 {
				if err := m.dht.Connect(ctx, members[(i+1+k*k)%len(members)].ID()); err != nil {
					t.Errorf("host %d: %v", i, err)
				}
			}
			got, err := fetch(ctx, m, members[(i+1)%len(members)].ID(), blocks)
			if err != nil {
				t.Errorf("host %d fetches: %v", i, err)
			}
			moved.Add(got)
		})
	}
	wg.Wait()
	return moved.Load()
}

// gossip lets random members publish messages and counts deliveries over a minute.
func gossip(t *testing.T, ctx context.Context, members []*member, messages int) int64 {
	t.Helper()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var delivered atomic.Int64
	var wg sync.WaitGroup
	topics := make([]*pubsub.Topic, len(members))
	for i, m := range members {
		ps, err := pubsub.NewGossipSub(ctx, m.Host,
			pubsub.WithMessageSignaturePolicy(pubsub.StrictNoSign), pubsub.WithNoAuthor(),
			pubsub.WithMessageIdFn(func(m *pb.Message) string { s := sha256.Sum256(m.Data); return string(s[:]) }))
		if err != nil {
			t.Fatal(err)
		}
		if topics[i], err = ps.Join("certificates"); err != nil {
			t.Fatal(err)
		}
		sub, err := topics[i].Subscribe()
		if err != nil {
			t.Fatal(err)
		}
		wg.Go(func() {
			for {
				if _, err := sub.Next(ctx); err != nil {
					return
				}
				delivered.Add(1)
			}
		})
	}
	time.Sleep(10 * time.Second)
	for i := range messages {
		data := slices.Repeat([]byte(fmt.Sprintf("%8d", i)), 128)
		if err := topics[rand.N(len(topics))].Publish(ctx, data); err != nil {
			t.Error(err)
		}
		time.Sleep(100 * time.Millisecond)
	}
	time.Sleep(time.Minute)
	stop()
	wg.Wait()
	return delivered.Load()
}

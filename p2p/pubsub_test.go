package p2p

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p-pubsub/pb"
	"github.com/libp2p/go-libp2p/core/peer"
)

// proven stands in for a valid certificate: good messages begin with it.
var proven = []byte("proven ")

func verify(_ context.Context, _ peer.ID, data []byte) Verdict {
	switch {
	case bytes.HasPrefix(data, proven):
		return Accept
	case bytes.HasPrefix(data, []byte("stale ")):
		return Ignore
	}
	return Reject
}

// decided turns verdict into a Validate that decodes nothing.
func decided(verdict func(context.Context, peer.ID, []byte) Verdict) func(context.Context, peer.ID, []byte) (Verdict, any) {
	return func(ctx context.Context, from peer.ID, data []byte) (Verdict, any) {
		return verdict(ctx, from, data), nil
	}
}

// gossiper is a host in the topic. It counts the messages delivered to it.
type gossiper struct {
	*Host
	topic *Topic

	mu  sync.Mutex
	got map[string]int // times delivered
}

func (g *gossiper) count(data string) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.got[data]
}

// gossip joins hosts to the topic, connected as a ring with chords, and runs them until the test ends.
func gossip(t *testing.T, hosts []*Host, validate func(i int) func(context.Context, peer.ID, []byte) Verdict) []*gossiper {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	t.Cleanup(func() {
		cancel()
		running.Wait()
	})
	gs := make([]*gossiper, len(hosts))
	for i, h := range hosts {
		topics, err := h.Join(ctx, Certificates(decided(validate(i))))
		if err != nil {
			t.Fatal(err)
		}
		topic := topics[0]
		g := &gossiper{Host: h, topic: topic, got: map[string]int{}}
		gs[i] = g
		running.Go(func() {
			err := topic.Run(ctx, func(m Message) {
				g.mu.Lock()
				defer g.mu.Unlock()
				g.got[string(m.Data)]++
			})
			if !errors.Is(err, context.Canceled) {
				t.Errorf("run: got %v, want the end of its context", err)
			}
		})
	}
	for i := range hosts {
		connect(t, hosts[i], hosts[(i+1)%len(hosts)])
		connect(t, hosts[i], hosts[(i+3)%len(hosts)])
	}
	return gs
}

func all(f func(context.Context, peer.ID, []byte) Verdict) func(int) func(context.Context, peer.ID, []byte) Verdict {
	return func(int) func(context.Context, peer.ID, []byte) Verdict { return f }
}

// A burst of 200 certificates, published by 8 hosts in the same moment, reaches every host. Each certificate comes
// once.
func TestGossipBurst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gs := gossip(t, simulated(t, 8, 50*time.Millisecond, DefaultLimits()), all(verify))
		time.Sleep(3 * time.Second) // the mesh forms in virtual time
		var want []string
		for i := range 200 {
			data := fmt.Sprintf("%s%d %1000d", proven, i, i)
			want = append(want, data)
			if err := gs[i%len(gs)].topic.Publish(t.Context(), []byte(data)); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(5 * time.Second)
		for i, g := range gs {
			for _, data := range want {
				if n := g.count(data); n != 1 {
					t.Errorf("host %d got %.20q %d times", i, data, n)
				}
			}
		}
		// Another host publishes the same certificate: it is not delivered again.
		if err := gs[5].topic.Publish(t.Context(), []byte(want[0])); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Second)
		for i, g := range gs {
			if n := g.count(want[0]); n != 1 {
				t.Errorf("host %d got a repeated certificate %d times", i, n)
			}
		}
	})
}

// Certificates reach every host over real sockets.
func TestGossipOnLoopback(t *testing.T) {
	var hosts []*Host
	for range 8 {
		hosts = append(hosts, newHost(t, nil))
	}
	gs := gossip(t, hosts, all(verify))
	deadline := time.After(time.Minute)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for round := 0; ; round++ { // until the mesh has formed
		data := fmt.Sprintf("%s%d", proven, round)
		if err := gs[round%len(gs)].topic.Publish(t.Context(), []byte(data)); err != nil {
			t.Fatal(err)
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal("no certificate has reached all hosts")
		}
		reached := 0
		for _, g := range gs {
			reached += g.count(fmt.Sprintf("%s%d", proven, max(round-5, 0)))
		}
		if reached == len(gs) {
			return
		}
	}
}

// A forger's messages are neither delivered nor passed on, and soon nothing from the forger is read. Stale messages
// cost nothing.
func TestForger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const forger, stale = 0, 1
		var passedOn atomic.Int64
		hosts := simulated(t, 8, 50*time.Millisecond, DefaultLimits())
		gs := gossip(t, hosts, func(i int) func(context.Context, peer.ID, []byte) Verdict {
			return func(ctx context.Context, from peer.ID, data []byte) Verdict {
				v := verify(ctx, from, data)
				if from == hosts[i].ID() {
					return Accept // these two hosts may publish anything
				}
				if v == Reject && from != hosts[forger].ID() {
					passedOn.Add(1)
				}
				return v
			}
		})
		time.Sleep(3 * time.Second)
		for i := range 30 {
			for from, kind := range map[int]string{forger: "forged", stale: "stale"} {
				if err := gs[from].topic.Publish(t.Context(), fmt.Appendf(nil, "%s %d", kind, i)); err != nil {
					t.Fatal(err)
				}
			}
			time.Sleep(200 * time.Millisecond)
		}
		for from, want := range map[int]bool{forger: false, stale: true} {
			data := fmt.Sprintf("%sfrom %d", proven, from)
			if err := gs[from].topic.Publish(t.Context(), []byte(data)); err != nil {
				t.Fatal(err)
			}
			time.Sleep(5 * time.Second)
			for i, g := range gs[2:] {
				if got := g.count(data) == 1; got != want {
					t.Errorf("host %d got a good certificate of host %d: %v, want %v", i+2, from, got, want)
				}
			}
		}
		for i, g := range gs[2:] {
			g.mu.Lock()
			for data := range g.got {
				if !bytes.HasPrefix([]byte(data), proven) {
					t.Errorf("host %d was delivered %q", i+2, data)
				}
			}
			g.mu.Unlock()
		}
		if n := passedOn.Load(); n != 0 {
			t.Errorf("honest hosts passed on %d forgeries", n)
		}
	})
}

// Two topics have validators of their own. A message rejected in one topic is still delivered in the other, with the
// value that Validate decoded. So nobody can hide a message by first publishing it in the wrong topic.
func TestTwoTopics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hosts := simulated(t, 2, 50*time.Millisecond, DefaultLimits())
		ctx, cancel := context.WithCancel(t.Context())
		got := make(chan Message, 10)
		var joined [2][]*Topic
		var running sync.WaitGroup
		for i, h := range hosts {
			upper := func(_ context.Context, _ peer.ID, data []byte) (Verdict, any) {
				return Accept, string(bytes.ToUpper(data))
			}
			own := func(_ context.Context, from peer.ID, _ []byte) (Verdict, any) {
				if from == h.ID() {
					return Accept, nil
				}
				return Reject, nil
			}
			var err error
			joined[i], err = h.Join(ctx, Certificates(own), TopicConfig{Name: "pins/1", MaxMessage: 10, Score: certificateScore, Validate: upper})
			if err != nil {
				t.Fatal(err)
			}
		}
		running.Go(func() { joined[1][1].Run(ctx, func(m Message) { got <- m }) })
		connect(t, hosts[0], hosts[1])
		time.Sleep(3 * time.Second)
		for _, topic := range joined[0] {
			if err := topic.Publish(ctx, []byte("pin")); err != nil {
				t.Fatal(err)
			}
			time.Sleep(3 * time.Second)
		}
		select {
		case m := <-got:
			if m.Decoded != "PIN" || string(m.Data) != "pin" || m.From != hosts[0].ID() {
				t.Errorf("delivered %q as %v from %s", m.Data, m.Decoded, m.From)
			}
		default:
			t.Error("a message rejected in another topic was not delivered")
		}
		if err := joined[0][1].Publish(ctx, []byte("11 bytes..!")); err == nil {
			t.Error("published more than the topic's greatest message")
		}
		cancel()
		running.Wait()
	})
}

// Peers of every version must give a certificate the same ID. IDs in other topics never equal one.
func TestMessageIDs(t *testing.T) {
	id := messageID("/walrus/test/")
	data := []byte("message")
	hash := sha256.Sum256(data)
	for topic, want := range map[string]string{
		"/walrus/test/certificates/1": string(hash[:]), "/walrus/test/pins/1": "/walrus/test/pins/1" + string(hash[:]),
	} {
		if got := id(&pubsub_pb.Message{Data: data, Topic: &topic}); got != want {
			t.Errorf("ID in %s: got %q, want %q", topic, got, want)
		}
	}
}

func TestJoinRefuses(t *testing.T) {
	good := Certificates(decided(verify))
	long, free := good, good
	long.MaxMessage, free.MaxMessage = gossipRPC, 0
	for name, topics := range map[string][]TopicConfig{
		"longer than a packet": {long}, "no greatest message": {free}, "twice": {good, good},
	} {
		if _, err := newHost(t, nil).Join(t.Context(), topics...); err == nil {
			t.Errorf("%s: joined", name)
		}
	}
}

func TestPublish(t *testing.T) {
	h := newHost(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	topics, err := h.Join(ctx, Certificates(decided(verify)))
	if err != nil {
		t.Fatal(err)
	}
	topic := topics[0]
	if _, err := h.Join(ctx, Certificates(decided(verify))); err == nil {
		t.Error("joined twice")
	}
	for _, bad := range [][]byte{nil, bytes.Repeat(proven, MaxCertificate), []byte("forged"), []byte("stale ")} {
		if err := topic.Publish(ctx, bad); err == nil {
			t.Errorf("published %.20q of %d bytes", bad, len(bad))
		}
	}
	longest := append(append([]byte(nil), proven...), make([]byte, MaxCertificate-len(proven))...)
	if err := topic.Publish(ctx, longest); err != nil {
		t.Error(err)
	}
	got := make(chan []byte, 1)
	go func() {
		topic.Run(ctx, func(m Message) { got <- m.Data })
		close(got)
	}()
	if data := <-got; !bytes.Equal(data, longest) {
		t.Errorf("delivered %d bytes of our own, want %d", len(data), len(longest))
	}
	cancel()
	if _, more := <-got; more {
		t.Error("delivered after the end")
	}
	if err := topic.Publish(t.Context(), proven); err == nil {
		t.Error("published after the end")
	}
}

package swarmtest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"walrus/dht"
	"walrus/p2p"
	"walrus/shards"
)

// slivers is a storage node's backend that returns the same sliver for every request.
type slivers struct {
	p2p.Backend // nil: the test calls nothing else
	sliver      []byte
}

type openSliver struct{ *bytes.Reader }

func (openSliver) Close() error { return nil }

func (s slivers) OpenSliver(context.Context, shards.BlobID, shards.Axis, int) (p2p.SliverReader, error) {
	return openSliver{bytes.NewReader(s.sliver)}, nil
}

func (s slivers) NodeStatus(context.Context, peer.ID) (p2p.NodeStatus, error) {
	return p2p.NodeStatus{Version: "1", State: "serving"}, nil
}

// peerHost is a host of package p2p with a running DHT and, for storage nodes, gossip.
type peerHost struct {
	*p2p.Host
	dht   *dht.DHT
	topic *p2p.Topic // nil for a client
	stop  func()
}

// startPeer runs host i. Without a Backend it is a client that does not listen.
func startPeer(t *testing.T, n *Network, i int, b p2p.Backend, delivered *atomic.Int64) *peerHost {
	t.Helper()
	alive, kill := context.WithCancel(t.Context())
	cfg := p2p.Config{
		Network: "sim", Key: n.Key(i), Libp2p: n.Options(i), TestTransport: true, Logger: slog.New(slog.DiscardHandler),
	}
	if b != nil {
		cfg.Role, cfg.Listen = p2p.StorageNode, []string{n.ListenAddr(i)}
	}
	h, err := p2p.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	find := dht.Config{Network: "sim", Server: b != nil, Light: true}
	if i > 0 {
		find.Bootstrap = []string{n.Addr(0, idOf(t, n, 0))}
	}
	d, err := dht.New(h.Libp2p(), find)
	if err != nil {
		t.Fatal(err)
	}
	m := &peerHost{Host: h, dht: d}
	var running sync.WaitGroup
	running.Go(func() {
		if err := d.Run(alive); err != nil {
			t.Errorf("host %d: %v", i, err)
		}
	})
	if b != nil {
		if err := h.Serve(alive, b); err != nil {
			t.Fatal(err)
		}
		accept := func(context.Context, peer.ID, []byte) (p2p.Verdict, any) { return p2p.Accept, nil }
		topics, err := h.Join(alive, p2p.Certificates(accept))
		if err != nil {
			t.Fatal(err)
		}
		m.topic = topics[0]
		running.Go(func() { m.topic.Run(alive, func(p2p.Message) { delivered.Add(1) }) })
	}
	m.stop = sync.OnceFunc(func() {
		kill()
		if err := errors.Join(d.Close(), h.Close()); err != nil {
			t.Errorf("host %d: %v", i, err)
		}
		running.Wait()
	})
	t.Cleanup(m.stop)
	return m
}

// TestHostsOfPackageP2P runs hosts of package p2p, with their own limits, muxer and security: requests, slivers and
// gossip between peers that know each other only through the DHT. One of them is killed.
func TestHostsOfPackageP2P(t *testing.T) {
	wall := time.Now()
	synctest.Test(t, func(t *testing.T) {
		const count = 12
		n := NewNetwork(9)
		sliver := bytes.Repeat([]byte("sliver! "), 1<<18) // 2 MiB
		var delivered atomic.Int64
		var hosts []*peerHost
		for i := range count {
			hosts = append(hosts, startPeer(t, n, i, slivers{sliver: sliver}, &delivered))
		}
		client := startPeer(t, n, count, nil, nil)
		for _, h := range append(hosts, client) {
			if err := h.dht.Joined(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(30 * time.Second)
		var wg sync.WaitGroup
		for i, to := range hosts {
			wg.Go(func() { checkServing(t, hosts[(i+count/2)%count], to.ID(), sliver) })
			wg.Go(func() { checkServing(t, client, to.ID(), sliver) })
		}
		wg.Wait()

		for i := range 10 {
			if err := hosts[i].topic.Publish(t.Context(), []byte{'c', byte(i)}); err != nil {
				t.Error(err)
			}
		}
		time.Sleep(10 * time.Second)
		// p2p decides whether a publisher receives its own message.
		if got := delivered.Load(); got != 10*count && got != 10*(count-1) {
			t.Errorf("%d deliveries of 10 certificates to %d hosts", got, count)
		}

		n.SetRate(5, 100_000) // a sliver takes 20 s
		start := time.Now()
		time.AfterFunc(5*time.Second, func() { n.Kill(5) })
		if err := fetchSliver(t.Context(), client, hosts[5].ID(), sliver); err == nil {
			t.Error("a whole sliver from a killed host")
		}
		if took := time.Since(start); took > 6*time.Second {
			t.Errorf("the kill after 5 s was noticed after %v", took)
		}
		for _, h := range append(hosts, client) {
			wg.Go(h.stop)
		}
		wg.Wait()
	})
	t.Logf("wall %v", time.Since(wall))
}

// checkServing makes h find a storage node by peer ID, ask for its status, and read its sliver.
func checkServing(t *testing.T, h *peerHost, to peer.ID, sliver []byte) {
	t.Helper()
	if err := h.dht.Connect(t.Context(), to); err != nil {
		t.Error(err)
		return
	}
	if s, err := h.NodeStatus(t.Context(), to); err != nil || s.State != "serving" {
		t.Errorf("status: %v, %v", s, err)
	}
	if err := fetchSliver(t.Context(), h, to, sliver); err != nil {
		t.Errorf("sliver: %v", err)
	}
}

// fetchSliver reads a whole sliver from a peer and compares.
func fetchSliver(ctx context.Context, h *peerHost, from peer.ID, want []byte) error {
	r, err := h.FetchSliver(ctx, from, shards.BlobID{1}, shards.Primary, 0, 0, int64(len(want)))
	if err != nil {
		return err
	}
	defer r.Close()
	got, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	if !bytes.Equal(got, want) {
		return io.ErrUnexpectedEOF
	}
	return nil
}

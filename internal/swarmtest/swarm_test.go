package swarmtest

import (
	"context"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"go.uber.org/goleak"

	"walrus/dht"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// member is a libp2p host with a running DHT.
type member struct {
	host.Host
	dht  *dht.DHT
	stop func()
}

// startHost opens host i of the network.
func startHost(t *testing.T, n *Network, i int) host.Host {
	t.Helper()
	key, err := crypto.UnmarshalEd25519PrivateKey(n.Key(i))
	if err != nil {
		t.Fatal(err)
	}
	h, err := libp2p.New(append(n.Options(i), libp2p.Identity(key), libp2p.ListenAddrStrings(n.ListenAddr(i)))...)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// startMember opens host i and joins it to the DHT through host 0.
func startMember(t *testing.T, n *Network, i int, cfg dht.Config) *member {
	t.Helper()
	h := startHost(t, n, i)
	cfg.Network, cfg.Light = "sim", true
	if i > 0 {
		cfg.Bootstrap = []string{n.Addr(0, idOf(t, n, 0))}
	}
	d, err := dht.New(h, cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ran := make(chan error, 1)
	go func() { ran <- d.Run(ctx) }()
	m := &member{Host: h, dht: d}
	m.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ran; err != nil {
			t.Errorf("run: %v", err)
		}
		if err := d.Close(); err != nil {
			t.Errorf("close dht: %v", err)
		}
		if err := h.Close(); err != nil {
			t.Errorf("close host: %v", err)
		}
	})
	t.Cleanup(m.stop)
	return m
}

func idOf(t *testing.T, n *Network, i int) peer.ID {
	t.Helper()
	key, err := crypto.UnmarshalEd25519PrivateKey(n.Key(i))
	if err != nil {
		t.Fatal(err)
	}
	id, err := peer.IDFromPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// joinAll waits until all have joined, and then until neighbours know each other.
func joinAll(t *testing.T, ctx context.Context, members []*member) {
	t.Helper()
	for _, m := range members {
		if err := m.dht.Joined(ctx); err != nil {
			t.Fatal(err)
		}
	}
	time.Sleep(time.Minute)
}

// stopAll stops all members at once: fifty graceful goodbyes in sequence would take long.
func stopAll(members []*member) {
	var wg sync.WaitGroup
	for _, m := range members {
		wg.Go(m.stop)
	}
	wg.Wait()
}

const pull = "/sim/pull/1"

// servePull answers with as many bytes of a fixed pattern as the request's four bytes say.
func servePull(h host.Host, block []byte) {
	h.SetStreamHandler(pull, func(s network.Stream) {
		defer s.Close()
		var count [1]byte
		if _, err := io.ReadFull(s, count[:]); err != nil {
			s.Reset()
			return
		}
		for range count[0] {
			if _, err := s.Write(block); err != nil {
				s.Reset()
				return
			}
		}
	})
}

// fetch pulls count blocks from a peer and returns the bytes that came.
func fetch(ctx context.Context, h host.Host, from peer.ID, count byte) (int64, error) {
	s, err := h.NewStream(ctx, from, pull)
	if err != nil {
		return 0, err
	}
	defer s.Reset()
	defer context.AfterFunc(ctx, func() { s.Reset() })()
	if _, err := s.Write([]byte{count}); err != nil {
		return 0, err
	}
	return io.Copy(io.Discard, s)
}

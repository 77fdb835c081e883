package node_test

import (
	"context"
	"crypto/ed25519"
	"log/slog"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"

	"walrus/p2p"
	"walrus/pin"
)

// TestPrivateNetwork: a client and a pinner that the allow lists name store, read and pin in a private network. A
// stranger that knows every address gets no stream and no protocol from any of them.
func TestPrivateNetwork(t *testing.T) {
	c := newCluster(t, 4, 7)
	c.useLoopback()
	allowed := map[peer.ID]bool{}
	for _, m := range c.members {
		allowed[m.id] = true
	}
	friends := map[int]ed25519.PrivateKey{4: newKey(t), 5: newKey(t)} // the client and the pinner
	for _, key := range friends {
		pub, err := crypto.UnmarshalEd25519PublicKey(key.Public().(ed25519.PublicKey))
		must(t, err)
		id, err := peer.IDFromPublicKey(pub)
		must(t, err)
		allowed[id] = true
	}
	loopback := c.p2p
	c.p2p = func(i int, cfg *p2p.Config) {
		loopback(i, cfg)
		cfg.Allow = func(id peer.ID) bool { return allowed[id] }
		if key := friends[i]; key != nil {
			cfg.Key = key
		}
	}
	c.startAll()
	defer c.stopAll()
	cn := c.client(0)
	defer func() { must(t, cn.Close()) }()
	p, stop := c.pinner(1)
	defer stop()
	data := random(t, 100_000)
	res := c.store(cn.Client(), data)
	c.mustRead(cn.Client(), res.BlobID, data)
	r, err := p.Keeper().Add(t.Context(), pin.Request{Blob: res.BlobID})
	must(t, err)
	c.awaitPin(p, r.ID, func(r pin.Request) bool { return r.Status == pin.Pinned })

	cfg := p2p.Config{Network: network, Key: newKey(t), Logger: slog.New(slog.DiscardHandler)}
	loopback(6, &cfg)
	stranger, err := p2p.New(cfg)
	must(t, err)
	defer func() { must(t, stranger.Close()) }()
	addrs := p.Addrs()
	for _, n := range c.nodes {
		addrs = append(addrs, n.Addrs()...)
	}
	for _, text := range addrs {
		info, err := peer.AddrInfoFromString(text)
		must(t, err)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		_ = stranger.Connect(ctx, *info) // the handshake succeeds, what follows does not
		if st, err := stranger.NodeStatus(ctx, info.ID); err == nil {
			t.Errorf("%s told a stranger its status: %+v", text, st)
		}
		h := stranger.Libp2p()
		for len(h.Network().ConnsToPeer(info.ID)) > 0 {
			select {
			case <-time.After(10 * time.Millisecond):
			case <-ctx.Done():
				t.Fatalf("%s keeps the connection of a stranger", text)
			}
		}
		cancel()
		if got, _ := h.Peerstore().GetProtocols(info.ID); len(got) > 0 {
			t.Errorf("%s told a stranger its protocols: %v", text, got)
		}
	}
}

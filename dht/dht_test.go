package dht

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// member is a host with a running DHT.
type member struct {
	*DHT
	key  crypto.PrivKey
	stop func() // idempotent: ends Run, closes DHT and host
}

func (m *member) addr() string {
	return fmt.Sprintf("%s/p2p/%s", m.host.Addrs()[0], m.host.ID())
}

// newHost makes a host on a loopback port chosen by the system; with key nil it makes a key.
func newHost(t *testing.T, key crypto.PrivKey) host.Host {
	t.Helper()
	opts := []libp2p.Option{
		libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0"), libp2p.DisableMetrics(), libp2p.DisableRelay(),
	}
	if key != nil {
		opts = append(opts, libp2p.Identity(key))
	}
	h, err := libp2p.New(opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	return h
}

// start runs a member until the test ends or stop is called.
func start(t *testing.T, key crypto.PrivKey, cfg Config) *member {
	t.Helper()
	h := newHost(t, key)
	if cfg.Network == "" {
		cfg.Network = "test"
	}
	d, err := New(h, cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ran := make(chan error, 1)
	go func() { ran <- d.Run(ctx) }()
	m := &member{DHT: d, key: h.Peerstore().PrivKey(h.ID())}
	m.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ran; err != nil {
			t.Errorf("run: %v", err)
		}
		if err := d.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
		h.Close()
	})
	t.Cleanup(m.stop)
	return m
}

// patience bounds waits: the machine may be busy with other tests.
const patience = 2 * time.Minute

func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// eventually polls for results of other processes' background work, which nothing announces.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	ctx := within(t, patience)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-ctx.Done():
			t.Fatalf("not within %v: %s", patience, what)
		case <-tick.C:
		}
	}
}

func TestEverybodyFindsEverybodyFromOneBootstrap(t *testing.T) {
	first := start(t, nil, Config{Server: true})
	nodes := []*member{first}
	for range 9 {
		nodes = append(nodes, start(t, nil, Config{Server: true, Bootstrap: []string{first.addr()}}))
	}
	client := start(t, nil, Config{Bootstrap: []string{first.addr()}})
	ctx := within(t, patience)
	everybody := append(slices.Clone(nodes), client)
	for _, m := range everybody {
		if err := m.Joined(ctx); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "the bootstrap peer knows all", func() bool { return first.TableSize() == len(nodes)-1 })
	for _, m := range everybody {
		for _, other := range nodes {
			info, err := m.FindPeer(ctx, other.host.ID())
			if err != nil {
				t.Fatal(err)
			}
			if !slices.ContainsFunc(info.Addrs, other.host.Addrs()[0].Equal) {
				t.Fatalf("found %v, the peer listens on %v", info, other.host.Addrs())
			}
			if err := m.Connect(ctx, other.host.ID()); err != nil {
				t.Fatal(err)
			}
		}
	}
	eventually(t, "the client finds all storage nodes by rendezvous", func() bool {
		found, err := client.Peers(ctx, 20)
		if err != nil {
			t.Fatal(err)
		}
		return len(found) == len(nodes)
	})
	some, err := client.Peers(ctx, 3)
	if err != nil || len(some) != 3 {
		t.Fatalf("asked for 3 storage nodes: %d, %v", len(some), err)
	}
	for _, p := range some {
		if p.ID == client.host.ID() || len(p.Addrs) == 0 {
			t.Fatalf("useless result %v", p)
		}
	}
	if client.host.Network().Connectedness(first.host.ID()) == 0 {
		t.Fatal("the client has no connection to its bootstrap peer")
	}
	for _, m := range nodes {
		if m.kad.RoutingTable().Find(client.host.ID()) != "" {
			t.Fatal("a client got into a routing table")
		}
	}
}

func TestHoldersOfAPin(t *testing.T) {
	first := start(t, nil, Config{Server: true})
	pinner := start(t, nil, Config{Bootstrap: []string{first.addr()}})
	reader := start(t, nil, Config{Bootstrap: []string{first.addr()}})
	ctx := within(t, patience)
	for _, m := range []*member{pinner, reader} {
		if err := m.Joined(ctx); err != nil {
			t.Fatal(err)
		}
	}
	key := [32]byte{1, 2, 3}
	if err := pinner.Announce(ctx, key); err != nil {
		t.Fatal(err)
	}
	// Keepers do not acknowledge an announcement.
	eventually(t, "the reader finds the pinner", func() bool {
		found, err := reader.Holders(ctx, key, 10)
		if err != nil {
			t.Fatal(err)
		}
		return len(found) == 1 && found[0].ID == pinner.host.ID() && len(found[0].Addrs) > 0
	})
	if found, err := reader.Holders(ctx, [32]byte{9}, 10); err != nil || len(found) != 0 {
		t.Fatalf("holders of nothing: %v, %v", found, err)
	}
	for _, limit := range []int{0, -1, maxHolders + 1} {
		if _, err := reader.Holders(ctx, key, limit); err == nil {
			t.Errorf("limit %d accepted", limit)
		}
	}
}

func TestAddressBookOutlivesBootstrap(t *testing.T) {
	first := start(t, nil, Config{Server: true})
	second := start(t, nil, Config{Server: true, Bootstrap: []string{first.addr()}})
	book := filepath.Join(t.TempDir(), "peers.json")
	cfg := Config{Bootstrap: []string{first.addr()}, AddressBook: book}
	client := start(t, nil, cfg)
	ctx := within(t, patience)
	for _, m := range []*member{second, client} {
		if err := m.Joined(ctx); err != nil {
			t.Fatal(err)
		}
	}
	if err := client.Connect(ctx, second.host.ID()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the second node is remembered", func() bool { return len(client.book.addrs(second.host.ID())) > 0 })
	client.stop()
	first.stop()
	again := start(t, client.key, cfg)
	if err := again.Joined(ctx); err != nil {
		t.Fatal(err)
	}
	if !again.connected(second.host.ID()) {
		t.Fatal("joined, but not through the remembered node")
	}
}

func TestNetworksDoNotMix(t *testing.T) {
	ours := start(t, nil, Config{Network: "one", Server: true})
	theirs := start(t, nil, Config{Network: "two", Server: true, Bootstrap: []string{ours.addr()}})
	eventually(t, "the two know each other", func() bool {
		return strings.Contains(theirs.bootstrap.explain(), "does not serve this network")
	})
	short, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	err := theirs.Joined(short)
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("joined another network: %v", err)
	}
	if !strings.Contains(err.Error(), ours.addr()) || !strings.Contains(err.Error(), "does not serve this network") {
		t.Fatalf("the error does not explain: %v", err)
	}
	if ours.TableSize() != 0 || theirs.TableSize() != 0 {
		t.Fatalf("tables: %d, %d", ours.TableSize(), theirs.TableSize())
	}
}

// TestElsewhere: a node whose bootstrap peers all say that they are of another network knows its name. One peer that
// says nothing, or is of our network, is enough to make it unknown.
func TestElsewhere(t *testing.T) {
	first, second := start(t, nil, Config{Network: "two", Server: true}), start(t, nil, Config{Network: "two", Server: true})
	d := start(t, nil, Config{Network: "one", Server: true, Bootstrap: []string{first.addr(), second.addr()}})
	identified := func(m *member) bool {
		_, err := d.host.Peerstore().Get(m.host.ID(), "ProtocolVersion")
		return err == nil && d.connected(m.host.ID())
	}
	eventually(t, "it has heard what both are", func() bool { return identified(first) && identified(second) })
	for _, tt := range []struct{ first, second, want string }{
		{"walrus/two/1", "walrus/two/1", "two"},
		{"walrus/two/1", "", ""},
		{"walrus/two/1", "ipfs/0.1.0", ""},
		{"walrus/two/1", "walrus/one/1", ""},
		{"walrus/one/1", "walrus/one/1", ""},
		{"walrus/two/1", "walrus/three/1", ""},
	} {
		for id, version := range map[peer.ID]string{first.host.ID(): tt.first, second.host.ID(): tt.second} {
			if err := d.host.Peerstore().Put(id, "ProtocolVersion", version); err != nil {
				t.Fatal(err)
			}
		}
		if got := d.Elsewhere(); got != tt.want {
			t.Errorf("%q and %q: elsewhere is %q, want %q", tt.first, tt.second, got, tt.want)
		}
		if got := d.bootstrap.explain(); strings.Contains(got, `it belongs to network "two"`) != (tt.first == "walrus/two/1") {
			t.Errorf("%q and %q: %s", tt.first, tt.second, got)
		}
	}
}

func TestMovedPeerIsFound(t *testing.T) {
	first := start(t, nil, Config{Server: true})
	mover := start(t, nil, Config{Server: true, Bootstrap: []string{first.addr()}})
	client := start(t, nil, Config{Bootstrap: []string{first.addr()}})
	ctx := within(t, patience)
	for _, m := range []*member{mover, client} {
		if err := m.Joined(ctx); err != nil {
			t.Fatal(err)
		}
	}
	id, oldAddr := mover.host.ID(), mover.host.Addrs()[0]
	if err := client.Connect(ctx, id); err != nil {
		t.Fatal(err)
	}
	mover.stop()
	eventually(t, "the client sees it gone", func() bool { return !client.connected(id) })
	if err := client.Connect(ctx, id); err == nil {
		t.Fatal("connected to a stopped peer")
	}
	moved := start(t, mover.key, Config{Server: true, Bootstrap: []string{first.addr()}})
	if moved.host.ID() != id || moved.host.Addrs()[0].Equal(oldAddr) {
		t.Fatal("the peer did not move")
	}
	if err := moved.Joined(ctx); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the client connects to the new address", func() bool { return client.Connect(ctx, id) == nil })
	if got := client.host.Network().ConnsToPeer(id)[0].RemoteMultiaddr(); !got.Equal(moved.host.Addrs()[0]) {
		t.Fatalf("connected to %s, it listens on %s", got, moved.host.Addrs()[0])
	}
}

func TestRestartedBootstrapIsDialledAgain(t *testing.T) {
	first := start(t, nil, Config{Server: true})
	second := start(t, nil, Config{Server: true, Bootstrap: []string{first.addr()}})
	ctx := within(t, patience)
	if err := second.Joined(ctx); err != nil {
		t.Fatal(err)
	}
	addr := first.host.Addrs()[0]
	first.stop()
	eventually(t, "the second is alone", func() bool { return !second.connected(first.host.ID()) })
	h, err := libp2p.New(libp2p.Identity(first.key), libp2p.ListenAddrs(addr), libp2p.DisableMetrics(), libp2p.DisableRelay())
	if err != nil {
		t.Skipf("the port was taken meanwhile: %v", err)
	}
	defer h.Close()
	if !second.round(ctx) && !second.connected(first.host.ID()) { // connected: its own rounds were faster
		t.Fatal("the bootstrap peer was not dialled again")
	}
}

func TestUnknownPeer(t *testing.T) {
	first := start(t, nil, Config{Server: true})
	client := start(t, nil, Config{Bootstrap: []string{first.addr()}})
	ctx := within(t, patience)
	if err := client.Joined(ctx); err != nil {
		t.Fatal(err)
	}
	_, public, err := crypto.GenerateEd25519Key(nil)
	if err != nil {
		t.Fatal(err)
	}
	id, err := peer.IDFromPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.FindPeer(ctx, id); !errors.Is(err, ErrNotFound) {
		t.Errorf("find: %v", err)
	}
	if err := client.Connect(ctx, id); !errors.Is(err, ErrNotFound) {
		t.Errorf("connect: %v", err)
	}
	if _, err := client.FindPeer(ctx, ""); err == nil {
		t.Error("found the empty peer ID")
	}
	if err := client.Connect(ctx, ""); err == nil {
		t.Error("connected to the empty peer ID")
	}
	if me, err := client.FindPeer(ctx, client.host.ID()); err != nil || len(me.Addrs) == 0 {
		t.Errorf("find ourselves: %v, %v", me, err)
	}
	if err := client.Connect(ctx, client.host.ID()); err != nil {
		t.Errorf("connect to ourselves: %v", err)
	}
	client.stop()
	if err := client.Connect(ctx, id); !errors.Is(err, ErrClosed) {
		t.Errorf("connect after close: %v", err)
	}
}

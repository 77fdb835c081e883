package node_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"walrus/client"
	"walrus/clientnode"
	"walrus/dht"
	"walrus/p2p"
	"walrus/pin"
	"walrus/pinnode"
	"walrus/shards"
)

// pinner runs a pinner as host i; the result ends it.
func (c *cluster) pinner(i int) (p *pinnode.Node, stop func()) {
	c.t.Helper()
	log := slog.New(slog.NewTextHandler(c.logs.of(len(c.nodes)+i), &slog.HandlerOptions{Level: slog.LevelDebug}))
	home := c.t.TempDir()
	cfg := pinnode.Config{
		Home: home, Logger: log,
		Client: clientnode.Config{
			P2P: p2p.Config{Network: network, Key: newKey(c.t)}, DHT: dht.Config{Bootstrap: c.bootstrap(-1), Light: c.light},
			Client: client.Default(), Join: 15 * time.Second, Logger: log,
		},
		Pins: pin.Config{Dir: filepath.Join(home, "pins"), Params: c.committee().Params(), Schedule: pin.Schedule{Probe: 1, ProbeAfter: time.Second}},
	}
	cfg.Client.Client.TempDir = home
	c.p2p(len(c.nodes)+i, &cfg.Client.P2P)
	p, err := pinnode.Open(c.t.Context(), cfg, c.openChain(&cfg.Client))
	must(c.t, err)
	ctx, cancel := context.WithCancel(c.t.Context())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx, func() error { return nil }) }()
	return p, sync.OnceFunc(func() {
		cancel()
		must(c.t, <-done)
	})
}

func newKey(t testing.TB) ed25519.PrivateKey {
	t.Helper()
	_, key, err := ed25519.GenerateKey(nil)
	must(t, err)
	return key
}

// lyingPinner announces a blob and serves it wrongly.
type lyingPinner struct {
	liar
	right []byte // the metadata
}

// Metadata is right, so that the lie is in the rows.
func (l lyingPinner) Metadata(ctx context.Context, _ shards.BlobID) ([]byte, error) {
	if l.lie == "silent" {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return l.right, nil
}

// lie runs a pinner that lies about a blob; the result ends it.
func (c *cluster) lie(i int, id shards.BlobID, meta *shards.Metadata, lie string) (h *p2p.Host, end func()) {
	c.t.Helper()
	ctx, cancel := context.WithCancel(c.t.Context())
	cfg := p2p.Config{Network: network, Key: newKey(c.t), Logger: slog.New(slog.DiscardHandler)}
	c.p2p(len(c.nodes)+i, &cfg)
	h, err := p2p.New(cfg)
	must(c.t, err)
	must(c.t, h.ServePins(ctx, lyingPinner{liar{meta: meta, lie: lie}, meta.Marshal()}))
	table, err := dht.New(h.Libp2p(), dht.Config{Network: network, Bootstrap: c.bootstrap(-1), Light: c.light})
	must(c.t, err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = table.Run(ctx)
	}()
	must(c.t, table.Joined(ctx))
	must(c.t, table.Announce(ctx, id))
	return h, func() {
		cancel()
		<-done
		_ = table.Close()
		_ = h.Close()
	}
}

// TestPinOutlives: the storage of a blob ends and all nodes drop it. A fresh client reads it from the one pinner, among
// four that lie, and names these.
func TestPinOutlives(t *testing.T) {
	c := newCluster(t, 4, 7)
	c.useLoopback()
	c.startAll()
	defer c.stopAll()
	cl := c.client(0)
	data := random(t, 3_000_000)
	res := c.store(cl.Client(), data)
	p, stop := c.pinner(1)
	defer stop()
	r, err := p.Keeper().Add(t.Context(), pin.Request{Blob: res.BlobID})
	must(t, err)
	r = c.awaitPin(p, r.ID, func(r pin.Request) bool { return r.Status == pin.Pinned && !r.Announced.IsZero() })
	looker := c.client(3)
	for end := time.Now().Add(patience); ; {
		found, err := looker.Swarm().Pins.Holders(t.Context(), res.BlobID, 20)
		must(t, err)
		if slices.ContainsFunc(found, func(i peer.AddrInfo) bool { return i.ID == p.ID() }) {
			break
		}
		if time.Now().After(end) {
			t.Fatal("the pinner is not found")
		}
	}
	found := time.Since(r.Announced)
	t.Logf("found %v after the announcement", found)
	if found > 5*time.Second { // one on a machine that does nothing else
		t.Errorf("found %v after the announcement", found)
	}
	must(t, looker.Close())

	must(t, c.chain.Advance(2))
	for i := range c.nodes {
		c.awaitDropped(cl, i, res.BlobID)
	}
	must(t, cl.Close())
	meta, _, err := shards.Encode(c.committee().Params(), data)
	must(t, err)
	lies := []string{"wrong bytes", "truncated", "other blob", "silent"}
	var liars []peer.ID
	for i, l := range lies {
		h, end := c.lie(2+i, res.BlobID, meta, l)
		defer end()
		liars = append(liars, h.ID())
	}

	named := map[peer.ID]string{}
	for i := 0; len(named) < len(liars) && i < 20; i++ { // a reader asks no more pinners than it needs
		fresh := c.client(10 + i)
		got := c.mustRead(fresh.Client(), res.BlobID, data)
		must(t, fresh.Close())
		if got.Pinned == 0 || !slices.Equal(got.Pinners, []peer.ID{p.ID()}) {
			t.Fatalf("the rows came from %v, %d bytes: want the pinner", got.Pinners, got.Pinned)
		}
		for _, b := range got.Bad {
			named[b.Node] = b.Reason
			if !slices.Contains(liars, b.Node) {
				t.Errorf("%s is blamed: %s", b.Name, b.Reason)
			}
			if i := slices.Index(liars, b.Node); i >= 0 && b.Lied != (lies[i] == "wrong bytes" || lies[i] == "other blob") {
				t.Errorf("the pinner that serves %s: lied is %v: %s", lies[i], b.Lied, b.Reason)
			}
		}
	}
	if len(named) < len(liars) {
		t.Errorf("of the liars %v only %v are named", liars, named)
	}
}

// TestPinOrigins: a pinner gets a blob that no node has and nobody has announced from the peer that its request names.
func TestPinOrigins(t *testing.T) {
	c := newCluster(t, 4, 7)
	c.useLoopback()
	c.startAll()
	defer c.stopAll()
	data := random(t, 200_000)
	meta, _, err := shards.Encode(c.committee().Params(), data)
	must(t, err)
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, meta.ID().String()+pin.ContentExt), data, 0o600))
	must(t, os.WriteFile(filepath.Join(dir, meta.ID().String()+".metadata"), meta.Marshal(), 0o600))
	k, err := pin.Open(pin.Config{Dir: t.TempDir(), Params: meta.Params(), Source: noSource{}})
	must(t, err)
	defer func() { must(t, k.Close()) }()
	_, err = k.Import(t.Context(), dir)
	must(t, err)
	cfg := p2p.Config{Network: network, Key: newKey(c.t), Logger: slog.New(slog.DiscardHandler)}
	c.p2p(len(c.nodes), &cfg)
	h, err := p2p.New(cfg)
	must(t, err)
	defer func() { must(t, h.Close()) }()
	must(t, h.ServePins(t.Context(), k))

	p, stop := c.pinner(1)
	defer stop()
	r, err := p.Keeper().Add(t.Context(), pin.Request{Blob: meta.ID(), Origins: []string{"nonsense", h.FullAddrs()[0].String()}})
	must(t, err)
	c.awaitPin(p, r.ID, func(r pin.Request) bool { return r.Status == pin.Pinned })
}

// noSource finds no blobs.
type noSource struct{}

func (noSource) Open(context.Context, shards.BlobID, []string) (pin.Remote, error) {
	return nil, client.ErrNotFound
}

// awaitPin waits until a request is as wanted.
func (c *cluster) awaitPin(p *pinnode.Node, id string, ok func(pin.Request) bool) pin.Request {
	c.t.Helper()
	var r pin.Request
	for end := time.Now().Add(patience); time.Now().Before(end); {
		var err error
		r, err = p.Keeper().Request(id)
		must(c.t, err)
		if ok(r) {
			return r
		}
		<-time.After(20 * time.Millisecond)
	}
	c.t.Fatalf("pin %+v", r)
	return r
}

// awaitDropped waits until node i knows nothing of a blob.
func (c *cluster) awaitDropped(cl *clientnode.Node, i int, id shards.BlobID) {
	c.t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); {
		st, err := cl.Swarm().BlobStatus(c.t.Context(), c.members[i].id, id)
		if err == nil && !st.Metadata && len(st.Slivers) == 0 {
			return
		}
		<-time.After(100 * time.Millisecond)
	}
	c.t.Fatalf("node %d does not drop the blob", i)
}

// TestRepairFromPin: three of four nodes lose everything they stored. What is left of a blob is too little, so they
// repair it from the one peer that pins it.
func TestRepairFromPin(t *testing.T) {
	c := newCluster(t, 4, 7)
	c.useLoopback()
	c.startAll()
	defer c.stopAll()
	cl := c.client(0)
	defer func() { must(t, cl.Close()) }()
	data := random(t, 700_000)
	res, err := cl.Client().Store(t.Context(), bytes.NewReader(data), uint64(len(data)), client.StoreOptions{Epochs: 5})
	must(t, err)
	p, stop := c.pinner(1)
	defer stop()
	r, err := p.Keeper().Add(t.Context(), pin.Request{Blob: res.BlobID})
	must(t, err)
	c.awaitPin(p, r.ID, func(r pin.Request) bool { return r.Status == pin.Pinned && !r.Announced.IsZero() })
	for i := 1; i < 4; i++ {
		c.stop(i)
		must(t, os.RemoveAll(c.members[i].dir))
		c.start(i)
	}
	for i := range c.nodes {
		c.awaitServing(i)
	}
	// the DHT keeps records in memory: those of the stopped nodes are gone, and the pinner announces again
	must(t, p.Keeper().AnnounceAgain(res.BlobID))
	c.awaitHealthy(cl.Client(), patience)
	stop()
	if got := c.mustRead(cl.Client(), res.BlobID, data); got.Pinned != 0 {
		t.Errorf("read %d bytes from pinners after the repair", got.Pinned)
	}
}

package node_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"

	"walrus/certs"
	"walrus/client"
	"walrus/clientnode"
	"walrus/dht"
	"walrus/internal/ledgertest"
	"walrus/ledger"
	"walrus/node"
	"walrus/p2p"
	"walrus/shards"
	"walrus/store"
)

const network = "test"

// identity holds a member's keys, for the whole test.
type identity struct {
	key  ed25519.PrivateKey
	id   peer.ID
	bls  *certs.SecretKey
	dir  string
	addr string // its listen address, once known
}

// cluster is a network of real nodes over one transport.
type cluster struct {
	t       testing.TB
	chain   *ledgertest.Chain
	copies  []*ledgertest.Node // of the chain, by node
	wallet  ed25519.PrivateKey
	genesis *ledger.Genesis
	members []*identity
	nodes   []*running
	// p2p sets the transport's part of the configuration of host i; clients come after the nodes.
	p2p    func(i int, cfg *p2p.Config)
	light  bool
	adjust func(i int, cfg *node.Config)
	// openLedger and openChain open the ledger of node i and of a client. Default: a copy of chain.
	openLedger func(i int, cfg *node.Config) node.OpenLedger
	openChain  func(cfg *clientnode.Config) clientnode.OpenChain
	// readMemory of clients, if not the default.
	readMemory int64
	// uploadMemory of clients, if not the default.
	uploadMemory int64
	logs         *logs
}

// running is one run of a node.
type running struct {
	*node.Node
	stop context.CancelFunc
	done chan error
}

// newCluster makes the keys and the genesis; no node runs yet.
func newCluster(t testing.TB, nodes, n int) *cluster {
	t.Helper()
	c := &cluster{t: t, nodes: make([]*running, nodes), logs: &logs{}}
	var members []ledger.GenesisMember
	for i := range nodes {
		pub, key, err := ed25519.GenerateKey(nil)
		must(t, err)
		pk, err := crypto.UnmarshalEd25519PublicKey(pub)
		must(t, err)
		id, err := peer.IDFromPublicKey(pk)
		must(t, err)
		bls, err := certs.NewSecretKey(rand.Reader)
		must(t, err)
		dir := filepath.Join(t.TempDir(), fmt.Sprint("node-", i))
		c.members = append(c.members, &identity{key: key, id: id, bls: bls, dir: dir})
		members = append(members, ledger.GenesisMember{
			Node: id, Name: fmt.Sprint("node-", i), Key: bls.Public(), Proof: bls.ProvePossession(network, id),
		})
	}
	var err error
	c.genesis, err = ledger.NewGenesis(network, n, members)
	must(t, err)
	_, c.wallet, err = ed25519.GenerateKey(nil)
	must(t, err)
	c.genesis.Accounts = []ledger.GenesisAccount{{
		Address: ledger.PublicKey(c.wallet.Public().(ed25519.PublicKey)).Address(), Amount: 1_000_000 * ledger.WAL,
	}}
	c.chain, err = ledgertest.New(c.genesis)
	must(t, err)
	for range nodes {
		c.copies = append(c.copies, c.chain.Node())
	}
	c.openLedger = func(i int, _ *node.Config) node.OpenLedger {
		return func(host.Host, func(context.Context, peer.ID) error) (node.Ledger, error) { return c.copies[i], nil }
	}
	c.openChain = func(*clientnode.Config) clientnode.OpenChain {
		return func(host.Host, func(context.Context, peer.ID) error) (clientnode.Chain, error) {
			return clientnode.Chain{Ledger: c.chain, Payer: c.chain.Payer(c.wallet)}, nil
		}
	}
	return c
}

// token returns an upload token for a peer, of the account that pays here. It names no record.
func (c *cluster) token(from peer.ID, id shards.BlobID) []byte {
	t := ledger.UploadToken{Network: c.genesis.NetworkID(), Blob: id, Peer: from,
		Expiry: uint64(time.Now().Add(time.Minute).Unix())}
	t.Sign(c.wallet)
	return t.Marshal()
}

// config of node i.
func (c *cluster) config(i int) node.Config {
	m := c.members[i]
	cfg := node.Default()
	cfg.Name, cfg.Version, cfg.Keeper.Key, cfg.Genesis = fmt.Sprint("node-", i), "test", m.bls, c.genesis
	cfg.P2P = p2p.Config{Network: network, Key: m.key}
	cfg.DHT = dht.Config{Bootstrap: c.bootstrap(i), Light: c.light}
	cfg.Store = store.Default(m.dir)
	cfg.Store.MemTable, cfg.Store.ValueLog = 1<<20, 64<<20
	cfg.Keeper.Repair.Grace = 500 * time.Millisecond
	cfg.Keeper.Sync = 5 * time.Second
	cfg.Logger = slog.New(slog.NewTextHandler(c.logs.of(i), &slog.HandlerOptions{Level: slog.LevelDebug}))
	c.p2p(i, &cfg.P2P)
	if c.adjust != nil {
		c.adjust(i, &cfg)
	}
	return cfg
}

// bootstrap returns the one address that host i is given: the first other node that listens.
func (c *cluster) bootstrap(i int) []string {
	for j, m := range c.members {
		if j != i && m.addr != "" && c.nodes[j] != nil {
			return []string{m.addr}
		}
	}
	return nil
}

// start runs node i.
func (c *cluster) start(i int) *running {
	c.t.Helper()
	ctx, stop := context.WithCancel(c.t.Context())
	cfg := c.config(i)
	n, err := node.New(cfg, c.openLedger(i, &cfg))
	if err != nil {
		stop()
		c.t.Fatalf("start node %d: %v", i, err)
	}
	r := &running{Node: n, stop: stop, done: make(chan error, 1)}
	c.members[i].addr = n.Addrs()[0]
	c.nodes[i] = r
	go func() { r.done <- n.Run(ctx) }()
	return r
}

// startAll runs all nodes and waits until they serve.
func (c *cluster) startAll() {
	c.t.Helper()
	for i := range c.nodes {
		c.start(i)
	}
	for i := range c.nodes {
		c.awaitServing(i)
	}
}

// patience bounds waits in real time: the machine may be busy with other tests.
const patience = 3 * time.Minute

func (c *cluster) awaitServing(i int) {
	c.t.Helper()
	select {
	case <-c.nodes[i].Serving():
	case err := <-c.nodes[i].done:
		c.t.Fatalf("node %d ended: %v", i, err)
	case <-time.After(patience):
		c.t.Fatalf("node %d does not serve", i)
	}
}

// stop ends node i in order.
func (c *cluster) stop(i int) {
	c.t.Helper()
	r := c.nodes[i]
	c.nodes[i] = nil
	r.stop()
	if err := <-r.done; err != nil && !errors.Is(err, context.Canceled) {
		c.t.Errorf("node %d ended with: %v", i, err)
	}
}

func (c *cluster) stopAll() {
	for i := range c.nodes {
		if c.nodes[i] != nil {
			c.stop(i)
		}
	}
	if c.t.Failed() {
		c.logs.dump(c.t)
	}
}

// client opens a client; the caller closes it.
func (c *cluster) client(i int) *clientnode.Node {
	c.t.Helper()
	cfg := clientnode.Config{
		P2P: p2p.Config{Network: network}, DHT: dht.Config{Bootstrap: c.bootstrap(-1), Light: c.light},
		Client: client.Default(), Join: 15 * time.Second,
		Logger: slog.New(slog.NewTextHandler(c.logs.of(len(c.nodes)+i), &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	cfg.Client.TempDir = c.t.TempDir()
	if c.readMemory > 0 {
		cfg.Client.ReadMemory = c.readMemory
	}
	if c.uploadMemory > 0 {
		cfg.Client.UploadMemory = c.uploadMemory
	}
	c.p2p(len(c.nodes)+i, &cfg.P2P)
	cfg.P2P.Listen = nil
	cn, err := clientnode.Open(c.t.Context(), cfg, c.openChain(&cfg))
	must(c.t, err)
	return cn
}

// store stores data and checks the ID against an encoding of its own.
func (c *cluster) store(cl *client.Client, data []byte) *client.StoreResult {
	c.t.Helper()
	res, err := cl.Store(c.t.Context(), bytes.NewReader(data), uint64(len(data)), client.StoreOptions{})
	must(c.t, err)
	return res
}

// mustRead reads blob id and compares.
func (c *cluster) mustRead(cl *client.Client, id shards.BlobID, want []byte) *client.ReadResult {
	c.t.Helper()
	var out bytes.Buffer
	res, err := cl.Read(c.t.Context(), id, &out, client.ReadOptions{})
	must(c.t, err)
	if !bytes.Equal(out.Bytes(), want) {
		c.t.Fatalf("read %d bytes that differ from the %d stored", out.Len(), len(want))
	}
	return res
}

// awaitHealthy waits until every node serves and owes nothing.
func (c *cluster) awaitHealthy(cl *client.Client, within time.Duration) {
	c.t.Helper()
	var last *client.Health
	for end := time.Now().Add(within); time.Now().Before(end); {
		h, err := cl.Health(c.t.Context())
		must(c.t, err)
		if h.OK {
			return
		}
		last = h
		<-time.After(200 * time.Millisecond)
	}
	for _, n := range last.Nodes {
		if !n.OK {
			c.t.Errorf("%s: %s", n.Name, n.Why)
		}
	}
	c.t.FailNow()
}

// useLoopback gives hosts real sockets on 127.0.0.1; a restarted host listens on its old address.
func (c *cluster) useLoopback() {
	c.p2p = func(i int, cfg *p2p.Config) {
		cfg.Listen = []string{"/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/udp/0/quic-v1"}
		if i < len(c.members) && c.members[i].addr != "" {
			addr, _, _ := strings.Cut(c.members[i].addr, "/p2p/")
			cfg.Listen = []string{addr}
		}
	}
}

func random(t testing.TB, size int) []byte {
	t.Helper()
	b := make([]byte, size)
	_, err := rand.Read(b)
	must(t, err)
	return b
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// logs keeps each host's log, to be shown when a test fails.
type logs struct{ hosts [128]lockedBuffer }

func (l *logs) of(i int) *lockedBuffer { return &l.hosts[i] }

// dump writes the logs to a directory that outlives the test, and prints its path.
func (l *logs) dump(t testing.TB) {
	dir, err := os.MkdirTemp("", "walrus-test-logs-")
	must(t, err)
	for i := range l.hosts {
		if b := l.hosts[i].bytes(); len(b) > 0 {
			must(t, os.WriteFile(filepath.Join(dir, fmt.Sprint("host-", i, ".log")), b, 0o600))
		}
	}
	t.Logf("logs of all hosts: %s", dir)
}

// committee of the cluster.
func (c *cluster) committee() *certs.Committee {
	c.t.Helper()
	epoch, all, err := c.chain.Committees(c.t.Context())
	must(c.t, err)
	com, err := all.At(epoch)
	must(c.t, err)
	return com
}

func wantErr(t testing.TB, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("error %v, want %v", err, want)
	}
}

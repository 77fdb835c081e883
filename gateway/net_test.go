package gateway_test

import (
	"context"
	"crypto/ed25519"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"

	"walrus/client"
	"walrus/clientnode"
	"walrus/compose"
	"walrus/config"
	"walrus/gateway"
	"walrus/internal/ledgertest"
	"walrus/ledger"
	"walrus/node"
)

// The network of all tests: real nodes on loopback over an in-memory ledger. Tests share it; a test that breaks it
// makes its own.
const (
	testNodes  = 4
	testShards = 10
)

// network is a small network in this process.
type network struct {
	genesis *ledger.Genesis
	chain   *ledgertest.Chain
	payer   *ledgertest.Payer
	client  *client.Client
	dir     string // removed with the network
	close   func() error
}

// shared is the network that all tests of this binary use.
var shared *network

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "walrus-gateway-test-")
	if err != nil {
		panic(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	if shared, err = newNetwork(ctx, dir); err != nil {
		panic(err)
	}
	code := m.Run()
	if err := shared.close(); err != nil {
		panic(err)
	}
	return code
}

// newNetwork starts the nodes and joins as a client.
func newNetwork(ctx context.Context, dir string) (n *network, err error) {
	net, err := config.InitDevnet(ctx, filepath.Join(dir, "net"),
		config.DevnetOptions{Nodes: testNodes, Shards: testShards})
	if err != nil {
		return nil, err
	}
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		return nil, err
	}
	n = &network{dir: dir}
	var nodes []*node.Node
	for _, home := range net.Homes {
		nd, err := n.newNode(home, key)
		if err != nil {
			return nil, err
		}
		nodes = append(nodes, nd)
	}
	run, stop := context.WithCancel(ctx)
	done := make(chan error, testNodes)
	for _, nd := range nodes {
		go func() { done <- nd.Run(run) }()
	}
	stopAll := func() (err error) {
		stop()
		for range nodes {
			if e := <-done; !errors.Is(e, context.Canceled) {
				err = errors.Join(err, e)
			}
		}
		return err
	}
	for _, nd := range nodes {
		select {
		case <-nd.Serving():
		case <-time.After(time.Minute):
			return nil, errors.Join(errors.New("a node does not serve"), stopAll())
		}
	}
	c, err := n.join(ctx, net.Client)
	if err != nil {
		return nil, errors.Join(err, stopAll())
	}
	n.client = c.Client()
	n.close = func() error { return errors.Join(c.Close(), stopAll()) }
	return n, nil
}

// newNode makes a node of the devnet whose ledger is a copy of the in-memory chain. The first call makes that chain, in
// which key has much WAL.
func (n *network) newNode(home string, key ed25519.PrivateKey) (*node.Node, error) {
	conf, err := config.LoadNode(home)
	if err != nil {
		return nil, err
	}
	cfg, _, err := compose.Node(conf, "test", slog.New(slog.DiscardHandler))
	if err != nil {
		return nil, err
	}
	if n.chain == nil {
		address := ledger.PublicKey(key.Public().(ed25519.PublicKey)).Address()
		cfg.Genesis.Accounts = append(cfg.Genesis.Accounts,
			ledger.GenesisAccount{Address: address, Amount: 1_000_000 * ledger.WAL})
		var other ledger.Address // somebody who can be given a record
		if err := other.UnmarshalText([]byte(someObject)); err != nil {
			return nil, err
		}
		cfg.Genesis.Accounts = append(cfg.Genesis.Accounts, ledger.GenesisAccount{Address: other, Amount: ledger.WAL})
		if n.chain, err = ledgertest.New(cfg.Genesis); err != nil {
			return nil, err
		}
		n.payer, n.genesis = n.chain.Payer(key), cfg.Genesis
	}
	cfg.Genesis = n.genesis
	own := n.chain.Node()
	return node.New(cfg, func(host.Host, func(context.Context, peer.ID) error) (node.Ledger, error) { return own, nil })
}

// join opens a client of the network.
func (n *network) join(ctx context.Context, path string) (*clientnode.Node, error) {
	conf, err := config.LoadClient(path)
	if err != nil {
		return nil, err
	}
	cfg, _, err := conf.Compose("test", nil, slog.New(slog.DiscardHandler))
	if err != nil {
		return nil, err
	}
	return clientnode.Open(ctx, cfg, func(host.Host, func(context.Context, peer.ID) error) (clientnode.Chain, error) {
		return clientnode.Chain{Ledger: n.chain, Payer: n.payer}, nil
	})
}

// serve starts a gateway over the shared network.
func serve(t testing.TB, adjust func(*gateway.Config)) *httptest.Server {
	t.Helper()
	cfg := fullConfig()
	cfg.Store.TempDir = t.TempDir()
	if adjust != nil {
		adjust(&cfg)
	}
	_, s := serveConfig(t, cfg)
	return s
}

func serveConfig(t testing.TB, cfg gateway.Config) (*gateway.Gateway, *httptest.Server) {
	t.Helper()
	g, err := gateway.New(cfg, shared.client, nil, slog.New(slog.NewTextHandler(t.Output(), nil)))
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(g.Handler())
	t.Cleanup(s.Close)
	return g, s
}

// answer is a response with its body.
type answer struct {
	code   int
	header http.Header
	body   []byte
}

// do sends a request; header lists names and values in turn.
func do(t testing.TB, method, url string, body io.Reader, header ...string) answer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatalf("%s %s: %v", method, url, err)
	}
	defer func() { _ = res.Body.Close() }()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatalf("%s %s: %v", method, url, err)
	}
	a := answer{res.StatusCode, res.Header, b}
	checkContract(t, req, a)
	checkReadable(t, req, a)
	return a
}

// Package monitornode wires a process that monitors: a libp2p host that works behind a home router, a DHT, a light
// client, and a monitor.Watch with its monitor.Prober. Host, DHT and Watch may be those of a storage node. Start with
// Open, then Run.
package monitornode

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"path/filepath"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"golang.org/x/sync/errgroup"

	"walrus/clientnode"
	"walrus/dht"
	"walrus/internal/socket"
	"walrus/ledger"
	"walrus/monitor"
	"walrus/p2p"
)

// Config of a monitor.
type Config struct {
	// Home has the socket of commands, and in the folder monitor what was seen.
	Home string
	// Genesis of the network.
	Genesis *ledger.Genesis
	// Client configures the host, with its key and addresses, and the DHT.
	Client clientnode.Config
	// ReceiptBytes bounds the receipts kept. Default monitor.DefaultReceiptBytes.
	ReceiptBytes int64
	// Metrics is the address of Prometheus metrics, /healthz and /readyz; "" turns them off.
	Metrics string
	// Version is shown to commands.
	Version string
	// Logger receives what an operator can act on. Required.
	Logger *slog.Logger
}

// Dir returns the folder of what the monitor of a home has seen.
func Dir(home string) string { return filepath.Join(home, "monitor") }

// SocketPath returns the path of the socket of the monitor with a home.
func SocketPath(home string) string { return filepath.Join(home, "monitor.sock") }

// Node is a monitor. All fields are constant after Open.
type Node struct {
	cfg     Config
	log     *slog.Logger
	watch   *monitor.Watch
	prober  *monitor.Prober
	host    *p2p.Host
	dht     *dht.DHT
	client  *clientnode.Node
	local   net.Listener
	metrics net.Listener   // nil: none
	beside  bool           // host, dht and watch belong to a storage node
	closers []func() error // of the open parts, in the order of opening
	started time.Time
}

// Open opens the host and what was seen before, and listens. Everything else starts with Run. After Open has succeeded,
// call Run or Close.
func Open(ctx context.Context, cfg Config, open clientnode.OpenChain) (*Node, error) {
	n := &Node{cfg: cfg, log: cfg.Logger, started: time.Now()}
	if err := n.open(ctx, open); err != nil {
		return nil, errors.Join(fmt.Errorf("monitor: %w", err), n.Close())
	}
	return n, nil
}

// OpenBeside opens a monitor on the host, the DHT and the Watch of a storage node in the same process, which must
// outlive it. The node runs the Watch and serves its receipts. cfg.Client needs the node's key alone.
func OpenBeside(ctx context.Context, cfg Config, host *p2p.Host, table *dht.DHT, w *monitor.Watch, open clientnode.OpenChain) (*Node, error) {
	n := &Node{cfg: cfg, log: cfg.Logger, started: time.Now(), host: host, dht: table, watch: w, beside: true}
	if err := n.open(ctx, open); err != nil {
		return nil, errors.Join(fmt.Errorf("monitor: %w", err), n.Close())
	}
	return n, nil
}

// open opens the parts.
func (n *Node) open(ctx context.Context, open clientnode.OpenChain) (err error) {
	cfg := &n.cfg
	cfg.Client.Logger, cfg.Client.P2P.Logger = n.log, n.log
	if !n.beside {
		if err := n.openHost(); err != nil {
			return err
		}
	}
	if n.client, err = clientnode.Beside(ctx, cfg.Client, n.host, n.dht, open); err != nil {
		return err
	}
	n.closers = append(n.closers, n.client.Close)
	if !n.beside {
		n.host.SetProtected("registered", n.client.Chain().Named)
		if err := n.openWatch(); err != nil {
			return err
		}
	}
	n.prober, err = monitor.NewProber(n.watch, monitor.ProberConfig{
		Key: cfg.Client.P2P.Key, Swarm: swarm{n.host, p2p.RoundsOf(n.host), n.dht}, ReceiptBytes: cfg.ReceiptBytes, Logger: n.log,
	})
	if err != nil {
		return err
	}
	return n.listen()
}

// openHost opens the monitor's own host and DHT.
func (n *Node) openHost() (err error) {
	cfg := &n.cfg
	cfg.Client.DHT.Public, cfg.Client.DHT.WhenReachable = p2p.IsPublic(cfg.Client.DHT.Bootstrap...), true
	cfg.Client.DHT.Network, cfg.Client.DHT.Server, cfg.Client.DHT.Logger = cfg.Client.P2P.Network, false, n.log
	cfg.Client.P2P.Role = p2p.Home
	if n.host, err = clientnode.NewHost(cfg.Client); err != nil {
		return err
	}
	n.closers = append(n.closers, n.host.Close)
	if n.dht, err = dht.New(n.host.Libp2p(), cfg.Client.DHT); err != nil {
		return err
	}
	n.closers = append(n.closers, n.dht.Close)
	n.host.Outside().SetRelays(n.dht.Relays)
	return nil
}

// openWatch opens the monitor's own Watch. Its lock tells whether another process uses the home.
func (n *Node) openWatch() (err error) {
	chain := n.client.Chain().Light
	if chain == nil {
		return errors.New("the ledger cannot be asked")
	}
	n.watch, err = monitor.Open(WatchConfig(n.cfg.Genesis, n.host, monitor.NewChain(chain), Dir(n.cfg.Home), n.log))
	if err != nil {
		return err
	}
	n.closers = append(n.closers, n.watch.Close)
	return nil
}

// WatchConfig configures a Watch on a host.
func WatchConfig(g *ledger.Genesis, host *p2p.Host, chain monitor.Chain, dir string, log *slog.Logger) monitor.Config {
	return monitor.Config{
		Dir: dir, Genesis: g, Self: host.ID(), Chain: chain, Logger: log,
		Network: func(id peer.ID) netip.Prefix { return p2p.NetworkOf(host, id) },
		Ask:     p2p.RoundsOf(host).Receipts,
	}
}

// NewRebutter makes a storage node's part in rebuttals, over its host and DHT, with the key of its peer ID.
func NewRebutter(w *monitor.Watch, host *p2p.Host, table *dht.DHT, key ed25519.PrivateKey, log *slog.Logger) (*monitor.Rebutter, error) {
	return monitor.NewRebutter(w, monitor.RebutterConfig{Key: key, Herald: swarm{host, p2p.RoundsOf(host), table}, Logger: log})
}

// listen opens the socket and the address of metrics.
func (n *Node) listen() (err error) {
	if n.local, err = socket.Listen(SocketPath(n.cfg.Home)); err != nil {
		return err
	}
	n.closers = append(n.closers, closing(n.local))
	if n.cfg.Metrics == "" {
		return nil
	}
	if n.metrics, err = net.Listen("tcp", n.cfg.Metrics); err != nil {
		return fmt.Errorf("metrics address %q: %w: want a free ADDRESS:PORT, such as 127.0.0.1:9188", n.cfg.Metrics, err)
	}
	n.closers = append(n.closers, closing(n.metrics))
	return nil
}

// closing closes a listener that its server may have closed already.
func closing(l net.Listener) func() error {
	return func() error {
		if err := l.Close(); !errors.Is(err, net.ErrClosed) {
			return err
		}
		return nil
	}
}

// Close releases a monitor that was never Run. Run closes by itself.
func (n *Node) Close() error {
	var errs []error
	for i := len(n.closers) - 1; i >= 0; i-- {
		errs = append(errs, n.closers[i]())
	}
	return errors.Join(errs...)
}

// Run probes and attests until ctx ends, then closes everything. It calls ready once commands are answered. The network
// may be out of reach meanwhile.
func (n *Node) Run(ctx context.Context, ready func() error) (err error) {
	defer func() { err = errors.Join(err, n.Close()) }()
	g, ctx := errgroup.WithContext(ctx)
	if !n.beside {
		topics, err := n.host.Join(ctx, n.watch.Topic())
		if err != nil {
			return err
		}
		if err := p2p.RoundsOf(n.host).Serve(ctx, n.watch.Backend()); err != nil {
			return err
		}
		g.Go(func() error { return n.dht.Run(ctx) })
		g.Go(func() error {
			n.host.Outside().Log(ctx, n.log)
			return nil
		})
		g.Go(func() error { return n.watch.Run(ctx, topics[0]) })
	}
	serve := func(l net.Listener, h http.Handler) {
		srv := &http.Server{Handler: h, ReadHeaderTimeout: 5 * time.Second, MaxHeaderBytes: 16 << 10, ErrorLog: slog.NewLogLogger(n.log.Handler(), slog.LevelDebug)}
		g.Go(func() error {
			defer context.AfterFunc(ctx, func() { _ = srv.Close() })()
			if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
				return err
			}
			return nil
		})
	}
	serve(n.local, n.localHandler())
	if n.metrics != nil {
		h, err := n.metricsHandler()
		if err != nil {
			return err
		}
		serve(n.metrics, h)
	}
	g.Go(func() error { return n.prober.Run(ctx) })
	n.log.Info("monitor started", "peer", n.host.ID().String(), "addresses", n.Addrs(), "metrics", n.MetricsAddr(), "round", n.watch.Length().String())
	if err := ready(); err != nil {
		g.Go(func() error { return err })
	}
	err = g.Wait()
	if errors.Is(err, context.Canceled) {
		err = nil
	}
	return err
}

// ID returns the monitor's peer ID.
func (n *Node) ID() peer.ID { return n.host.ID() }

// Watch returns what the monitor has seen, for queries. It is closed when Run returns.
func (n *Node) Watch() *monitor.Watch { return n.watch }

// Addrs returns the full multiaddrs under which others reach this monitor; its peer ID alone if there are none.
func (n *Node) Addrs() []string {
	var out []string
	for _, a := range n.host.FullAddrs() {
		out = append(out, a.String())
	}
	if len(out) == 0 {
		out = append(out, "/p2p/"+n.host.ID().String())
	}
	return out
}

// MetricsAddr returns the address of the metrics; empty if there are none.
func (n *Node) MetricsAddr() string {
	if n.metrics == nil {
		return ""
	}
	return n.metrics.Addr().String()
}

// swarm asks nodes over the process's host.
type swarm struct {
	*p2p.Host
	p2p.Rounds
	dht *dht.DHT
}

// Connect implements monitor.Swarm.
func (s swarm) Connect(ctx context.Context, id peer.ID) error { return s.dht.Connect(ctx, id) }

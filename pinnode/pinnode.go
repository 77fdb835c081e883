// Package pinnode wires a process that keeps pins: a libp2p host that serves them, a DHT that announces them, a client
// that fetches them, and the HTTP interfaces of package pinapi. Host and DHT may be those of a storage node. Start with
// Open, then Run.
package pinnode

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"golang.org/x/sync/errgroup"

	"walrus/clientnode"
	"walrus/dht"
	"walrus/internal/blocklist"
	"walrus/p2p"
	"walrus/pin"
	"walrus/pinapi"
	"walrus/shards"
)

// Config of a pinner.
type Config struct {
	// Home has the socket of commands.
	Home string
	// Client configures the host, with its key and addresses, the DHT and the client.
	Client clientnode.Config
	// Pins configures what is kept. Open sets its Source, Announcer, Judge, Blocked and Epoch.
	Pins pin.Config
	// API is the address of the IPFS Pinning Service API; "" turns it off.
	API string
	// Tokens are the ones that the API accepts. Required with API.
	Tokens *pinapi.Tokens
	// Metrics is the address of Prometheus metrics, /healthz and /readyz; "" turns them off.
	Metrics string
	// Blocklist is a file with the IDs of blobs that are neither kept nor served, one per line. It is read again when it
	// changes. "": none are.
	Blocklist string
	// Heard delivers when a new certificate was heard of, if others listen to the topic in this process. Default nil: the
	// pinner listens.
	Heard <-chan struct{}
	// Version is shown to commands.
	Version string
	// Logger receives what an operator can act on. Required.
	Logger *slog.Logger
}

// epochPause is the time between two looks at the epoch, for pins that end with one.
const epochPause = 15 * time.Second

// Node is a pinner. All fields are constant after Open, except those of atomic types.
type Node struct {
	cfg     Config
	log     *slog.Logger
	blocked *blocklist.List
	keeper  *pin.Keeper
	host    *p2p.Host
	dht     *dht.DHT
	client  *clientnode.Node
	local   net.Listener
	api     net.Listener // nil: none
	metrics net.Listener // nil: none
	epoch   atomic.Uint32
	heard   chan struct{}  // a certificate was heard of
	follows atomic.Bool    // there are rules to follow
	beside  bool           // host and dht belong to a storage node
	closers []func() error // of the open parts, in the order of opening
	started time.Time
}

// Open opens the pins and the host, and listens. Everything else starts with Run. After Open has succeeded, call Run or
// Close.
func Open(ctx context.Context, cfg Config, open clientnode.OpenChain) (*Node, error) {
	n := &Node{cfg: cfg, log: cfg.Logger, started: time.Now(), heard: make(chan struct{}, 1)}
	if err := n.open(ctx, open); err != nil {
		return nil, errors.Join(fmt.Errorf("pinner: %w", err), n.Close())
	}
	return n, nil
}

// OpenBeside opens a pinner on the host and the DHT of a storage node in the same process, which must outlive it. What
// cfg.Client says of the host and the DHT serves only to look for announcements as a stranger. Otherwise it is as Open.
func OpenBeside(ctx context.Context, cfg Config, host *p2p.Host, table *dht.DHT, open clientnode.OpenChain) (*Node, error) {
	n := &Node{cfg: cfg, log: cfg.Logger, started: time.Now(), host: host, dht: table, beside: true, heard: make(chan struct{}, 1)}
	if err := n.open(ctx, open); err != nil {
		return nil, errors.Join(fmt.Errorf("pins: %w", err), n.Close())
	}
	return n, nil
}

// open opens the parts. The pins come first: their lock tells whether another process uses the home.
func (n *Node) open(ctx context.Context, open clientnode.OpenChain) (err error) {
	cfg := &n.cfg
	if n.blocked, err = blocklist.Open(cfg.Blocklist); err != nil {
		return err
	}
	cfg.Pins.Blocked = n.blocked.Has
	cfg.Pins.Source, cfg.Pins.Announcer, cfg.Pins.Judge = source{n}, announcer{n}, n.judge
	cfg.Pins.Epoch, cfg.Pins.Logger = n.epoch.Load, n.log
	if n.keeper, err = pin.Open(cfg.Pins); err != nil {
		return err
	}
	n.closers = append(n.closers, n.keeper.Close)
	if err := n.listen(); err != nil {
		return err
	}
	cfg.Client.Logger, cfg.Client.P2P.Logger = n.log, n.log
	cfg.Client.DHT.Public, cfg.Client.DHT.WhenReachable = p2p.IsPublic(cfg.Client.DHT.Bootstrap...), true
	cfg.Client.DHT.Network, cfg.Client.DHT.Server, cfg.Client.DHT.Logger = cfg.Client.P2P.Network, false, n.log
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
	}
	return nil
}

// openHost opens the pinner's own host and DHT.
func (n *Node) openHost() (err error) {
	cfg := &n.cfg
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

// listen opens the socket and the addresses of HTTP.
func (n *Node) listen() (err error) {
	if n.local, err = pinapi.ListenLocal(n.cfg.Home); err != nil {
		return err
	}
	n.closers = append(n.closers, closing(n.local))
	for _, l := range []struct {
		addr string
		to   *net.Listener
	}{{n.cfg.API, &n.api}, {n.cfg.Metrics, &n.metrics}} {
		if l.addr == "" {
			continue
		}
		if *l.to, err = pinapi.Listen(l.addr); err != nil {
			return err
		}
		n.closers = append(n.closers, closing(*l.to))
	}
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

// Close releases a pinner that was never Run. Run closes by itself.
func (n *Node) Close() error {
	var errs []error
	for i := len(n.closers) - 1; i >= 0; i-- {
		errs = append(errs, n.closers[i]())
	}
	return errors.Join(errs...)
}

// Run keeps, announces and serves until ctx ends, then closes everything. It calls ready once commands and the API are
// answered. The network may be out of reach meanwhile: the pins wait for it.
func (n *Node) Run(ctx context.Context, ready func() error) (err error) {
	defer func() { err = errors.Join(err, n.Close()) }()
	g, ctx := errgroup.WithContext(ctx)
	if err := n.host.ServePins(ctx, n.keeper); err != nil {
		return err
	}
	api := pinapi.NewAPI(pinapi.Config{Delegates: n.Addrs, Logger: n.log}, n.keeper)
	serve := func(l net.Listener, srv *http.Server) {
		g.Go(func() error {
			defer context.AfterFunc(ctx, func() { _ = srv.Close() })()
			if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
				return err
			}
			return nil
		})
	}
	serve(n.local, pinapi.NewLocalServer(pinapi.NewLocal(api, n.keeper, n.About), n.log))
	if n.api != nil {
		serve(n.api, pinapi.NewServer(api.Public(n.cfg.Tokens), n.log))
	}
	if n.metrics != nil {
		h, err := n.metricsHandler()
		if err != nil {
			return err
		}
		serve(n.metrics, pinapi.NewServer(h, n.log))
	}
	if !n.beside {
		g.Go(func() error { return n.dht.Run(ctx) })
		g.Go(func() error {
			n.host.Outside().Log(ctx, n.log)
			return nil
		})
	}
	if n.cfg.Heard == nil && !n.beside {
		g.Go(func() error { return n.hear(ctx) })
	}
	g.Go(func() error { return n.watchEpoch(ctx) })
	g.Go(func() error { return n.follow(ctx) })
	g.Go(func() error { return n.block(ctx) })
	g.Go(func() error { return n.keeper.Run(ctx) })
	n.log.Info("pinner started", "peer", n.host.ID().String(), "addresses", n.Addrs(), "home", n.cfg.Home, "api", n.APIURL(), "metrics", n.MetricsAddr())
	if err := ready(); err != nil {
		g.Go(func() error { return err })
	}
	err = g.Wait()
	if errors.Is(err, context.Canceled) {
		err = nil
	}
	return err
}

// Keeper returns the pins, for requests. They are closed when Run returns.
func (n *Node) Keeper() *pin.Keeper { return n.keeper }

// SetAllowed replaces the allow list of a private network, as p2p.SetAllowed does. Beside a storage node, that
// node's list counts.
func (n *Node) SetAllowed(list func(peer.ID) bool) (closed int) { return p2p.SetAllowed(n.host, list) }

// ID returns the pinner's peer ID.
func (n *Node) ID() peer.ID { return n.host.ID() }

// Addrs returns the full multiaddrs under which others reach this pinner; its peer ID alone if there are none.
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

// APIURL returns the URL of the pinning API; empty if there is none.
func (n *Node) APIURL() string {
	if n.api == nil {
		return ""
	}
	return "http://" + n.api.Addr().String()
}

// MetricsAddr returns the address of the metrics; empty if there are none.
func (n *Node) MetricsAddr() string {
	if n.metrics == nil {
		return ""
	}
	return n.metrics.Addr().String()
}

// About describes the process.
func (n *Node) About() pinapi.Process {
	return pinapi.Process{
		Running: true, Version: n.cfg.Version, Network: n.cfg.Client.P2P.Network, PeerID: n.host.ID().String(), Addresses: n.Addrs(), API: n.APIURL(),
	}
}

// block follows the blocklist, and lets blobs be judged anew that came to it or left it.
func (n *Node) block(ctx context.Context) error {
	n.blocked.Run(ctx, func(err error) {
		n.log.Warn("read the blocklist; the one read before stays in use", "err", err)
	}, func(ids []shards.BlobID) {
		for _, id := range ids {
			if ctx.Err() != nil {
				return
			}
			if err := n.keeper.Judge(id); err != nil {
				n.log.Warn("judge a blob of the blocklist anew", "blob", id.String(), "err", err)
			}
		}
	})
	return nil
}

// watchEpoch keeps the current epoch.
func (n *Node) watchEpoch(ctx context.Context) error {
	tick := time.NewTicker(epochPause)
	defer tick.Stop()
	for {
		short, stop := context.WithTimeout(ctx, epochPause)
		if epoch, _, err := n.client.Chain().Ledger.Committees(short); err == nil {
			n.epoch.Store(epoch)
		}
		stop()
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

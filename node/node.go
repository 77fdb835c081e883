// Package node runs one process of the network: it opens the parts, wires them, runs their tasks and stops them. Only
// here do store, p2p, dht and ledger meet. A storage node's duty is in package keeper, a process without storage in
// package clientnode. Start with Node.
package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"slices"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"walrus/certs"
	"walrus/dht"
	"walrus/ledger"
	"walrus/ledger/light"
	"walrus/monitor"
	"walrus/node/keeper"
	"walrus/p2p"
	"walrus/store"
)

// Node is a storage node.
type Node struct {
	cfg        Config // constant after New, as the next ones to committees
	log        *slog.Logger
	started    time.Time
	store      *store.Store
	host       *p2p.Host
	dht        *dht.DHT
	ledger     Ledger
	keeper     *keeper.Keeper
	watch      *monitor.Watch    // nil: none
	rebutter   *monitor.Rebutter // nil: none
	metrics    net.Listener      // nil: none
	registry   *prometheus.Registry
	history    *history
	alarms     *alarms
	closers    []func() error // of the open parts, in the order of opening
	committees certs.Committees
	clockAhead atomic.Int64          // nanoseconds; see tellClock
	refusal    atomic.Pointer[error] // why the node does not serve as a member; nil: it may
}

// New opens the store, the host and the ledger. The host listens at once; everything else starts with Run. After New
// has succeeded, call Run or Close.
func New(cfg Config, open OpenLedger) (*Node, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	committees, err := cfg.Genesis.Committees()
	if err != nil {
		return nil, fmt.Errorf("node: %w", err)
	}
	cfg.P2P.Role, cfg.P2P.Logger = p2p.StorageNode, cfg.Logger
	cfg.P2P.Protocols = light.Protocols(cfg.P2P.Network)
	cfg.P2P.Public = p2p.IsPublic(slices.Concat(cfg.P2P.Listen, cfg.P2P.Announce, cfg.DHT.Bootstrap)...)
	cfg.DHT.Network, cfg.DHT.Server, cfg.DHT.Public, cfg.DHT.Logger = cfg.P2P.Network, true, cfg.P2P.Public, cfg.Logger
	cfg.Store.Logger = cfg.Logger
	cfg.Keeper.Name, cfg.Keeper.Genesis, cfg.Keeper.Logger = cfg.Name, cfg.Genesis, cfg.Logger
	n := &Node{cfg: cfg, log: cfg.Logger, started: time.Now(), committees: committees, registry: prometheus.NewRegistry()}
	if cfg.P2P.Public {
		err := errors.New("no member has been asked yet whether it reaches this node")
		n.refusal.Store(&err)
	}
	if err := n.open(committees, open); err != nil {
		return nil, errors.Join(fmt.Errorf("node: %w", err), n.Close())
	}
	return n, nil
}

// open opens the parts in an order in which each finds the parts it uses. After an error, Close closes the open ones.
func (n *Node) open(committees certs.Committees, open OpenLedger) (err error) {
	if n.store, err = store.Open(n.cfg.Store); err != nil {
		return err
	}
	n.closers = append(n.closers, n.store.Close)
	if n.history, err = n.loadHistory(); err != nil {
		return err
	}
	if n.host, err = p2p.New(n.cfg.P2P); err != nil {
		return err
	}
	n.closers = append(n.closers, n.host.Close)
	if err := n.listenMetrics(); err != nil {
		return err
	}
	n.closers = append(n.closers, n.closeMetrics)
	if n.dht, err = dht.New(n.host.Libp2p(), n.cfg.DHT); err != nil {
		return err
	}
	n.closers = append(n.closers, n.dht.Close)
	first, err := committees.At(ledger.FirstEpoch) // nobody joins a network that has started
	if err == nil {
		err = keeper.CheckMember(first, n.host.ID(), n.cfg.Keeper.Key)
	}
	if err != nil {
		return err
	}
	if n.ledger, err = open(n.host.Libp2p(), n.dht.Connect); err != nil {
		return err
	}
	n.closers = append(n.closers, n.ledger.Close) // closed early: it uses streams of the host
	if n.alarms, err = newAlarms(&n.cfg, n.host.ID()); err != nil {
		return err
	}
	if err := n.openWatch(); err != nil {
		return err
	}
	n.keeper, err = keeper.New(n.cfg.Keeper, keeper.Parts{
		Self: n.host.ID(), Identity: n.cfg.P2P.Key, Committees: committees, Store: n.store, Peers: n.host, Checks: n.host.Checks(), Network: n.dht, Ledger: n.ledger,
		NotAdmitted: n.notAdmitted, Lost: n.alarms.lost, Pins: pins{n.dht, n.host.Pins()},
	})
	if err != nil {
		return err
	}
	n.alarms.keeper = n.keeper
	n.alarms.parts = alarmParts{
		self: n.host.ID(), network: n.cfg.Genesis.NetworkID(), receipts: p2p.RoundsOf(n.host).Receipts,
		height: func() uint64 { _, height := n.ledger.State(); return height },
	}
	return nil
}

// pins finds peers that pin blobs in the DHT, and asks them.
type pins struct {
	*dht.DHT
	p2p.Content
}

// Close releases the ledger, the host and the store of a node that was never Run. Run closes by itself.
func (n *Node) Close() error {
	var errs []error
	for _, closePart := range slices.Backward(n.closers) {
		errs = append(errs, closePart())
	}
	return errors.Join(errs...)
}

// Addrs returns the full multiaddrs under which others reach us.
func (n *Node) Addrs() []string {
	var out []string
	for _, a := range n.host.FullAddrs() {
		out = append(out, a.String())
	}
	return out
}

// Parts returns the host and the DHT of n, for what runs beside it in this process and ends before it.
func (n *Node) Parts() (*p2p.Host, *dht.DHT) { return n.host, n.dht }

// Fresh delivers when new certificates have come since the last time. It is for one reader.
func (n *Node) Fresh() <-chan struct{} { return n.keeper.Fresh() }

// SetAllowed replaces the allow list of a private network, as p2p.SetAllowed does.
func (n *Node) SetAllowed(list func(peer.ID) bool) (closed int) { return p2p.SetAllowed(n.host, list) }

// Ready is closed once the node serves, or after Config.Ready if it does not serve by then. The node then answers
// requests.
func (n *Node) Ready() <-chan struct{} { return n.keeper.Ready() }

// Serving is closed once the node has counted what it owes and serves.
func (n *Node) Serving() <-chan struct{} { return n.keeper.Serving() }

// Run does the node's work until ctx ends, then closes everything. It returns nil after an ordinary end.
func (n *Node) Run(ctx context.Context) (err error) {
	defer func() { err = errors.Join(err, n.Close()) }()
	for _, i := range n.store.Incidents() {
		n.log.Error("the store was damaged when it was opened; missing data will be repaired from other nodes", "path", i.Path, "err", i.Err)
	}
	g, ctx := errgroup.WithContext(ctx)
	topics, err := n.host.Join(ctx, n.topics()...)
	if err != nil {
		return fmt.Errorf("node: %w", err)
	}
	operator, err := p2p.OperatorID(n.cfg.P2P.Key)
	if err != nil {
		return fmt.Errorf("node: %w", err)
	}
	if err := n.host.Serve(ctx, backend{n.keeper.Backend(topics[0]), n, operator}); err != nil {
		return fmt.Errorf("node: %w", err)
	}
	tasks := n.keeper.Tasks(topics[0])
	maps.Copy(tasks, map[string]func(context.Context) error{
		"dht":     n.dht.Run,
		"ledger":  n.ledger.Run,
		"metrics": n.runMetrics,
		"history": n.runHistory,
		"clock":   n.runClock,
		"gate":    n.runGate,
		"alerts":  n.alarms.run,
		"room":    n.runRoom,
		"watch":   func(ctx context.Context) error { return n.runWatch(ctx, topics) },
		"reach": func(ctx context.Context) error {
			n.host.Outside().Log(ctx, n.log)
			return nil
		},
	})
	for name, task := range tasks {
		g.Go(func() error {
			if err := task(ctx); err != nil && ctx.Err() == nil {
				return fmt.Errorf("node: %s: %w", name, err)
			}
			return nil
		})
	}
	st, _ := n.keeper.Status() // none while the ledger cannot be read
	n.log.Info("node started", "name", n.cfg.Name, "peer", n.host.ID().String(), "shards", len(st.Shards), "addresses", n.Addrs(), "metrics", n.MetricsAddr())
	return g.Wait()
}

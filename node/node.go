// Package node runs one process of the network: it opens the parts, wires them, runs their tasks and stops them. Only
// here do store, p2p, dht and ledger meet. Start with Node, a storage node; package clientnode has the process
// without storage.
package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"

	"walrus/certs"
	"walrus/dht"
	"walrus/ledger/light"
	"walrus/p2p"
	"walrus/shards"
	"walrus/store"
)

// Node is a storage node.
type Node struct {
	cfg       Config // constant after New, as are the next ten
	log       *slog.Logger
	committee *certs.Committee // the members; its epoch does not matter
	params    shards.Params
	shards    []int // ours
	store     *store.Store
	host      *p2p.Host
	dht       *dht.DHT
	ledger    Ledger
	metrics   net.Listener // nil: none
	meters    *meters

	debts        *debts
	pending      *pending
	symbolMemory *semaphore.Weighted // limits the bytes held by repairs
	uploadMemory *semaphore.Weighted // limits the bytes held by uploads
	topic        *p2p.Topic          // set at the start of Run
	life         *life
	damaged      damaged
	dropping     sync.RWMutex // read-locked while a blob is confirmed, locked while an ended blob is removed
	history      *history
	repaired     atomic.Int64  // slivers since the start
	recording    atomic.Int64  // certificates not yet counted, because their recording is under way
	clockAhead   atomic.Int64  // nanoseconds; see tellClock
	resync       chan struct{} // wakes the sync task; capacity 1
}

// New opens the store, the host and the ledger. The host listens at once; everything else starts with Run. After New
// has succeeded, call Run or Close.
func New(cfg Config, open OpenLedger) (*Node, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	com, err := cfg.Genesis.Committee()
	if err != nil {
		return nil, fmt.Errorf("node: %w", err)
	}
	cfg.P2P.Role, cfg.P2P.Logger = p2p.StorageNode, cfg.Logger
	cfg.P2P.Protocols = light.Protocols(cfg.P2P.Network)
	cfg.DHT.Network, cfg.DHT.Server, cfg.DHT.Logger = cfg.P2P.Network, true, cfg.Logger
	cfg.Store.Logger = cfg.Logger
	n := &Node{
		cfg: cfg, log: cfg.Logger, committee: com, params: com.Params(),
		uploadMemory: semaphore.NewWeighted(cfg.UploadMemory), symbolMemory: semaphore.NewWeighted(cfg.Repair.Memory),
		meters: newMeters(), debts: newDebts(), pending: newPending(), life: newLife(), resync: make(chan struct{}, 1),
	}
	if n.store, err = store.Open(cfg.Store); err != nil {
		return nil, fmt.Errorf("node: %w", err)
	}
	if n.history, err = n.loadHistory(); err != nil {
		return nil, errors.Join(fmt.Errorf("node: %w", err), n.store.Close())
	}
	if n.host, err = p2p.New(cfg.P2P); err != nil {
		return nil, errors.Join(fmt.Errorf("node: %w", err), n.store.Close())
	}
	if err := n.listenMetrics(); err != nil {
		return nil, errors.Join(err, n.host.Close(), n.store.Close())
	}
	if n.dht, err = dht.New(n.host.Libp2p(), cfg.DHT); err != nil {
		return nil, errors.Join(fmt.Errorf("node: %w", err), n.closeMetrics(), n.host.Close(), n.store.Close())
	}
	if err := n.checkMembership(); err != nil {
		return nil, errors.Join(err, n.Close())
	}
	if n.ledger, err = open(n.host.Libp2p(), n.dht.Connect); err != nil {
		return nil, errors.Join(fmt.Errorf("node: %w", err), n.Close())
	}
	return n, nil
}

// checkMembership finds our place in the committee and verifies our BLS key.
func (n *Node) checkMembership() error {
	i, ok := n.committee.Member(n.host.ID())
	if !ok {
		return fmt.Errorf("node: peer %s is not in the committee of epoch %d, which is that of the genesis: use the keys of a member; "+
			"a network that has started takes no new members yet, and a genesis with one more is another network's",
			n.host.ID(), n.committee.Epoch())
	}
	m := n.committee.Members()[i]
	if m.Key != n.cfg.Key.Public() {
		return fmt.Errorf("node: the BLS key is not the one the committee has for %s (%s)", m.Name, m.Node)
	}
	n.shards = m.Shards
	for _, other := range n.committee.Members() {
		n.host.Protect(other.Node, "committee")
	}
	return nil
}

// Close releases the ledger, the host and the store of a node that was never Run. Run closes by itself.
func (n *Node) Close() error {
	var errs []error
	if n.ledger != nil { // first: it uses streams of the host
		errs = append(errs, n.ledger.Close())
	}
	return errors.Join(append(errs, n.closeMetrics(), n.dht.Close(), n.host.Close(), n.store.Close())...)
}

// Addrs returns the full multiaddrs under which others reach us.
func (n *Node) Addrs() []string {
	var out []string
	for _, a := range n.host.FullAddrs() {
		out = append(out, a.String())
	}
	return out
}

// Ready is closed once the node serves, or after Config.Ready without that. The node then answers requests.
func (n *Node) Ready() <-chan struct{} { return n.life.ready }

// Serving is closed once the node has counted what it owes and serves.
func (n *Node) Serving() <-chan struct{} { return n.life.serving }

// Run does the node's work until ctx ends, then closes everything. It returns nil after an ordinary end.
func (n *Node) Run(ctx context.Context) (err error) {
	defer func() { err = errors.Join(err, n.Close()) }()
	for _, i := range n.store.Incidents() {
		n.log.Error("damage found when the store was opened; what is missing will be repaired", "path", i.Path, "err", i.Err)
	}
	g, ctx := errgroup.WithContext(ctx)
	topics, err := n.host.Join(ctx, p2p.Certificates(n.validateGossip))
	if err != nil {
		return fmt.Errorf("node: %w", err)
	}
	n.topic = topics[0]
	if err := n.host.Serve(ctx, backend{n}); err != nil {
		return fmt.Errorf("node: %w", err)
	}
	tasks := map[string]func(context.Context) error{
		"dht":          n.dht.Run,
		"ledger":       n.ledger.Run,
		"news":         n.runNews,
		"follow":       n.runFollow,
		"certificates": func(ctx context.Context) error { return n.topic.Run(ctx, n.takeGossip) },
		"ready":        n.runReady,
		"serving":      n.runServing,
		"sync":         n.runSync,
		"repair":       n.runRepair,
		"scrub":        n.runScrub,
		"room":         n.runRoom,
		"metrics":      n.runMetrics,
		"history":      n.runHistory,
		"clock":        n.runClock,
	}
	for name, task := range tasks {
		g.Go(func() error {
			if err := task(ctx); err != nil && ctx.Err() == nil {
				return fmt.Errorf("node: %s: %w", name, err)
			}
			return nil
		})
	}
	n.log.Info("node started", "name", n.cfg.Name, "peer", n.host.ID().String(), "shards", len(n.shards), "addresses", n.Addrs(), "metrics", n.MetricsAddr())
	return g.Wait()
}

// ref names our sliver of a blob, by shard and axis, as the store does.
func (n *Node) ref(id shards.BlobID, axis shards.Axis, shard int) store.Ref {
	return store.Ref{Blob: id, Shard: shard, Axis: axis}
}

// axes lists the axes in the order in which slivers are stored and rebuilt.
var axes = []shards.Axis{shards.Primary, shards.Secondary}

// missing lists the slivers of blob id that belong here and are not stored.
func (n *Node) missing(id shards.BlobID) ([]store.Ref, error) {
	var refs []store.Ref
	for _, shard := range n.shards {
		for _, axis := range axes {
			ref := n.ref(id, axis, shard)
			ok, err := n.store.HasSliver(ref)
			if err != nil && !errors.Is(err, store.ErrCorrupt) {
				return nil, err
			}
			if !ok {
				refs = append(refs, ref)
			}
		}
	}
	return refs, nil
}

// Package clientnode wires a process that stores and reads but holds no slivers: a libp2p host, a
// DHT in client mode, and the proven ledger, under a client.Client. It links neither consensus nor a storage node's
// disk code. Start with Open.
package clientnode

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"walrus/client"
	"walrus/dht"
	"walrus/ledger"
	"walrus/ledger/light"
	"walrus/p2p"
)

// Config of a client process.
type Config struct {
	// P2P configures the host: its network and test options. Its Role is Client or Home. Without a key, the process gets
	// a fresh identity. In a public network it listens on a port that is free, so that peers behind routers can punch
	// holes to it, and has HomeLimits unless there are others.
	P2P p2p.Config
	// DHT configures peer discovery. Open sets its Network, Server and Logger.
	DHT dht.Config
	// Client bounds memory and patience.
	Client client.Config
	// Join bounds the wait for the first node in Open. Default 15 s.
	Join time.Duration
	// Logger receives warnings that cannot be returned to a caller. Required.
	Logger *slog.Logger
}

// Node is a running client: a client.Client over a host and a DHT. Both are its own, or belong to a storage node in the
// same process.
type Node struct {
	host    *p2p.Host
	dht     *dht.DHT
	client  *client.Client
	chain   Chain
	stop    context.CancelFunc // ends the watch
	watch   sync.WaitGroup
	release func() error // closes the host and the DHT if they are the client's own
	close   func() error // once
}

// NewHost makes the host of a process that stores no slivers. It listens only if cfg.P2P says where, and has a fresh
// identity unless that has a key.
func NewHost(cfg Config) (*p2p.Host, error) {
	if cfg.P2P.Key == nil {
		_, key, err := ed25519.GenerateKey(nil)
		if err != nil {
			return nil, err
		}
		cfg.P2P.Key = key
	}
	if cfg.P2P.Role != p2p.Home {
		cfg.P2P.Role = p2p.Client
	}
	cfg.P2P.Public = p2p.IsPublic(cfg.DHT.Bootstrap...)
	if cfg.P2P.Public && len(cfg.P2P.Listen) == 0 {
		cfg.P2P.Listen = p2p.AnyPort()
	}
	if cfg.P2P.Public && cfg.P2P.Limits == (p2p.Limits{}) {
		cfg.P2P.Limits = p2p.HomeLimits()
	}
	cfg.P2P.Logger = cfg.Logger
	cfg.P2P.Protocols = light.Protocols(cfg.P2P.Network)
	return p2p.New(cfg.P2P)
}

// Open joins the network. If no node could be reached in time, the error says what was tried. The caller must close the
// Node.
func Open(ctx context.Context, cfg Config, open OpenChain) (*Node, error) {
	host, table, leave, err := start(ctx, cfg)
	if err != nil {
		return nil, err
	}
	c, err := newNode(cfg, host, table, open)
	if err != nil {
		return nil, errors.Join(err, leave())
	}
	host.SetProtected("registered", c.chain.Named)
	c.release = leave
	if err := joined(ctx, cfg, table); err != nil {
		return nil, errors.Join(hint(cfg, host.ID(), err), c.Close())
	}
	c.watchClock(ctx, cfg.Logger)
	if cfg.P2P.Role == p2p.Home {
		seen, stop := context.WithCancel(context.WithoutCancel(ctx))
		before := c.stop
		c.stop = func() { before(); stop() }
		c.watch.Go(func() { host.Outside().Log(seen, cfg.Logger) })
	}
	return c, nil
}

// Join joins the network with a host and a DHT alone, for questions to the DHT. leave closes both. Errors: as from
// Open.
func Join(ctx context.Context, cfg Config) (table *dht.DHT, leave func() error, err error) {
	_, table, leave, err = start(ctx, cfg)
	if err != nil {
		return nil, nil, err
	}
	if err := joined(ctx, cfg, table); err != nil {
		return nil, nil, errors.Join(err, leave())
	}
	return table, leave, nil
}

// start opens a host and runs a DHT on it until leave is called.
func start(ctx context.Context, cfg Config) (*p2p.Host, *dht.DHT, func() error, error) {
	host, err := NewHost(cfg)
	if err != nil {
		return nil, nil, nil, fmt.Errorf("client: %w", err)
	}
	cfg.DHT.Public, cfg.DHT.WhenReachable = p2p.IsPublic(cfg.DHT.Bootstrap...), cfg.P2P.Role == p2p.Home
	cfg.DHT.Network, cfg.DHT.Server, cfg.DHT.Logger = cfg.P2P.Network, false, cfg.Logger
	table, err := dht.New(host.Libp2p(), cfg.DHT)
	if err != nil {
		return nil, nil, nil, errors.Join(fmt.Errorf("client: %w", err), host.Close())
	}
	host.Outside().SetRelays(table.Relays)
	run, stop := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan error, 1)
	go func() { done <- table.Run(run) }()
	return host, table, func() error {
		stop()
		err := <-done
		if errors.Is(err, context.Canceled) {
			err = nil
		}
		return errors.Join(err, table.Close(), host.Close())
	}, nil
}

// joined waits for the first node of the network, for cfg.Join.
func joined(ctx context.Context, cfg Config, table *dht.DHT) error {
	ctx, cancel := context.WithTimeout(ctx, cfg.Join)
	defer cancel()
	if err := table.Joined(ctx); err != nil {
		return fmt.Errorf("client: %w", err)
	}
	return nil
}

// hint adds what a client of a private network needs: nodes that do not know it hang up without a word.
func hint(cfg Config, self peer.ID, err error) error {
	switch {
	case cfg.P2P.Key != nil:
		return fmt.Errorf("%w; in a private network, \"allow\" of the nodes must list this peer: %s", err, self)
	case cfg.P2P.Allow != nil:
		return fmt.Errorf("%w; in a private network, the client needs a key: set \"identity\" in its configuration", err)
	}
	return err
}

// Beside opens a client on the host and the DHT of a storage node in the same process, which must outlive it. It uses
// only Client and Logger of cfg. The node answers the client within the limits of any other peer.
func Beside(ctx context.Context, cfg Config, host *p2p.Host, table *dht.DHT, open OpenChain) (*Node, error) {
	c, err := newNode(cfg, host, table, open)
	if err != nil {
		return nil, err
	}
	c.watchClock(ctx, cfg.Logger)
	return c, nil
}

func newNode(cfg Config, host *p2p.Host, table *dht.DHT, open OpenChain) (*Node, error) {
	chain, err := open(host.Libp2p(), table.Connect)
	if err != nil {
		return nil, fmt.Errorf("client: %w", err)
	}
	c := &Node{
		host: host, dht: table, chain: chain, stop: func() {}, release: func() error { return nil },
	}
	c.client = client.New(cfg.Client, c.Swarm(), chain.Ledger, chain.Payer, cfg.Logger)
	c.close = sync.OnceValue(c.leave)
	if err := c.client.OpenCache(); err != nil {
		return nil, errors.Join(fmt.Errorf("client: %w", err), c.Close())
	}
	return c, nil
}

// watchClock warns while this machine's clock is wrong, until the client is closed.
func (c *Node) watchClock(ctx context.Context, log *slog.Logger) {
	ctx, c.stop = context.WithCancel(context.WithoutCancel(ctx))
	if c.chain.Light == nil {
		return
	}
	c.watch.Go(func() { light.KeepTrust(ctx, c.chain.Light) })
	c.watch.Go(func() {
		c.chain.Light.WatchClock(ctx, func(ahead time.Duration, wrong bool) {
			if wrong {
				log.Warn((&light.ClockError{Ahead: ahead}).Error())
			}
		})
	})
}

// Client returns the client that stores and reads.
func (c *Node) Client() *client.Client { return c.client }

// Swarm returns access to single storage nodes.
func (c *Node) Swarm() client.Swarm {
	return client.Swarm{Dialer: c.dht, Uploader: c.host, Fetcher: c.host, Checker: c.host.Checks(), Pins: pins{c.dht, c.host.Pins()}, Rounds: p2p.RoundsOf(c.host)}
}

// pins finds peers that pin blobs in the DHT, and asks them.
type pins struct {
	*dht.DHT
	p2p.Content
}

// Chain returns the process's view of the ledger.
func (c *Node) Chain() Chain { return c.chain }

// Outside tells how others reach this process.
func (c *Node) Outside() p2p.Outside { return c.host.Outside() }

// Host returns the host of the process.
func (c *Node) Host() *p2p.Host { return c.host }

// Close leaves the network; a storage node beside the client stays. A second call returns the first one's error.
func (c *Node) Close() error { return c.close() }

func (c *Node) leave() error {
	c.stop()
	c.watch.Wait()
	c.client.Close()
	return c.release()
}

// QueryStatus asks the node at a full multiaddr (with /p2p/ID) for its status, without joining the network.
func QueryStatus(ctx context.Context, cfg Config, addr string) (st p2p.NodeStatus, err error) {
	info, err := peer.AddrInfoFromString(addr)
	if err != nil {
		return st, fmt.Errorf("node address %q: %w", addr, err)
	}
	host, err := NewHost(cfg)
	if err != nil {
		return st, err
	}
	defer func() { err = errors.Join(err, host.Close()) }()
	if err := host.Connect(ctx, *info); err != nil {
		return st, err
	}
	return host.NodeStatus(ctx, info.ID)
}

// QueryHead asks the caller's own node at a full multiaddr (with /p2p/ID) for its newest block, without joining the
// network. The node is believed.
func QueryHead(ctx context.Context, cfg Config, g *ledger.Genesis, addr string) (head light.Head, err error) {
	info, err := peer.AddrInfoFromString(addr)
	if err != nil {
		return head, fmt.Errorf("node address %q: %w", addr, err)
	}
	host, err := NewHost(cfg)
	if err != nil {
		return head, err
	}
	defer func() { err = errors.Join(err, host.Close()) }()
	if err := host.Connect(ctx, *info); err != nil {
		return head, err
	}
	l, err := light.New(light.Config{Genesis: g, Host: host.Libp2p(), Logger: cfg.Logger, Hasty: true})
	if err != nil {
		return head, err
	}
	return light.HeadOf(ctx, l, info.ID)
}

// Package clientnode wires a process that stores and reads but holds no slivers: a libp2p host that does not listen, a
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
	"walrus/ledger/light"
	"walrus/p2p"
)

// Config of a client process.
type Config struct {
	// P2P configures the host: its network and test options. Every process gets a fresh identity, and nothing listens.
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

// newClientHost makes the host of a process that does not listen.
func newClientHost(cfg Config) (*p2p.Host, error) {
	if cfg.P2P.Key == nil {
		_, key, err := ed25519.GenerateKey(nil)
		if err != nil {
			return nil, err
		}
		cfg.P2P.Key = key
	}
	cfg.P2P.Role, cfg.P2P.Logger = p2p.Client, cfg.Logger
	cfg.P2P.Protocols = light.Protocols(cfg.P2P.Network)
	return p2p.New(cfg.P2P)
}

// Open joins the network. If no node could be reached in time, the error says what was tried. The caller must close the
// Node.
func Open(ctx context.Context, cfg Config, open OpenChain) (*Node, error) {
	host, table, err := newNetwork(cfg)
	if err != nil {
		return nil, err
	}
	c, err := newNode(cfg, host, table, open)
	if err != nil {
		return nil, errors.Join(err, table.Close(), host.Close())
	}
	host.SetProtected("registered", c.chain.Named)
	c.release = run(ctx, host, table)
	join, cancel := context.WithTimeout(ctx, cfg.Join)
	defer cancel()
	if err := table.Joined(join); err != nil {
		return nil, errors.Join(fmt.Errorf("client: %w", err), c.Close())
	}
	c.watchClock(ctx, cfg.Logger)
	return c, nil
}

// newNetwork opens a host and its view of the network, which does not run yet.
func newNetwork(cfg Config) (*p2p.Host, *dht.DHT, error) {
	host, err := newClientHost(cfg)
	if err != nil {
		return nil, nil, fmt.Errorf("client: %w", err)
	}
	cfg.DHT.Network, cfg.DHT.Server, cfg.DHT.Logger = cfg.P2P.Network, false, cfg.Logger
	table, err := dht.New(host.Libp2p(), cfg.DHT)
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("client: %w", err), host.Close())
	}
	return host, table, nil
}

// run joins the network until release is called, which closes the table and the host.
func run(ctx context.Context, host *p2p.Host, table *dht.DHT) (release func() error) {
	run, stop := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan error, 1)
	go func() { done <- table.Run(run) }()
	return func() error {
		stop()
		err := <-done
		if errors.Is(err, context.Canceled) {
			err = nil
		}
		return errors.Join(err, table.Close(), host.Close())
	}
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
	return client.Swarm{Dialer: c.dht, Uploader: c.host, Fetcher: c.host, Checker: c.host.Checks(), Pins: pins{c.dht, c.host.Pins()}}
}

// pins finds peers that pin blobs in the DHT, and asks them.
type pins struct {
	*dht.DHT
	p2p.Content
}

// Host returns the libp2p host of the process.
func (c *Node) Host() *p2p.Host { return c.host }

// DHT returns the process's view of the network.
func (c *Node) DHT() *dht.DHT { return c.dht }

// Chain returns the process's view of the ledger.
func (c *Node) Chain() Chain { return c.chain }

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
	host, err := newClientHost(cfg)
	if err != nil {
		return st, err
	}
	defer func() { err = errors.Join(err, host.Close()) }()
	if err := host.Connect(ctx, *info); err != nil {
		return st, err
	}
	return host.NodeStatus(ctx, info.ID)
}

// Package clientnode is the process of somebody who stores and reads and keeps nothing: a libp2p host that does not
// listen, a DHT in client mode, and the proven ledger, wired under a client.Client. It links no consensus and no disk of
// a storage node. Start with Open.
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

// Config of a process that stores and reads and keeps nothing.
type Config struct {
	// P2P is the host: its network and test options; a fresh identity is made for every process, and nothing listens.
	P2P p2p.Config
	// DHT is the way into the network; its Network, Server and Logger are set by Open.
	DHT dht.Config
	// Client bounds memory and patience.
	Client client.Config
	// Join bounds how long Open waits for the first node. Default 15 s.
	Join time.Duration
	// Logger gets what has no caller to be returned to. Required.
	Logger *slog.Logger
}

// Node is a process that stores and reads: a host and a DHT in client mode under a client.Client.
type Node struct {
	host   *p2p.Host
	dht    *dht.DHT
	client *client.Client
	chain  Chain
	stop   context.CancelFunc
	done   chan error
	watch  sync.WaitGroup
	close  func() error // once
}

// swarm is the network as a client sees it.
type swarm struct {
	*p2p.Host
	dht *dht.DHT
}

// Connect finds a node by its peer ID and dials it.
func (s swarm) Connect(ctx context.Context, node peer.ID) error { return s.dht.Connect(ctx, node) }

// newClientHost makes the host of a process that does not listen.
func newClientHost(cfg Config) (*p2p.Host, error) {
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		return nil, err
	}
	cfg.P2P.Role, cfg.P2P.Key, cfg.P2P.Logger = p2p.Client, key, cfg.Logger
	cfg.P2P.Protocols = light.Protocols(cfg.P2P.Network)
	return p2p.New(cfg.P2P)
}

// Open joins the network. It fails with what was tried when no node could be reached in time. The result must be closed.
func Open(ctx context.Context, cfg Config, open OpenChain) (*Node, error) {
	host, err := newClientHost(cfg)
	if err != nil {
		return nil, fmt.Errorf("client: %w", err)
	}
	cfg.DHT.Network, cfg.DHT.Server, cfg.DHT.Logger = cfg.P2P.Network, false, cfg.Logger
	table, err := dht.New(host.Libp2p(), cfg.DHT)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("client: %w", err), host.Close())
	}
	chain, err := open(host.Libp2p(), table.Connect)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("client: %w", err), table.Close(), host.Close())
	}
	run, stop := context.WithCancel(context.WithoutCancel(ctx))
	c := &Node{
		host: host, dht: table, chain: chain, stop: stop, done: make(chan error, 1),
		client: client.New(cfg.Client, swarm{host, table}, chain.Ledger, chain.Payer, cfg.Logger),
	}
	c.close = sync.OnceValue(c.leave)
	go func() { c.done <- table.Run(run) }()
	if err := c.client.OpenCache(); err != nil {
		return nil, errors.Join(fmt.Errorf("client: %w", err), c.Close())
	}
	join, cancel := context.WithTimeout(ctx, cfg.Join)
	defer cancel()
	if err := table.Joined(join); err != nil {
		return nil, errors.Join(fmt.Errorf("client: %w", err), c.Close())
	}
	if chain.Light != nil {
		c.watch.Go(func() {
			chain.Light.WatchClock(run, func(ahead time.Duration, wrong bool) {
				if wrong {
					cfg.Logger.Warn((&light.ClockError{Ahead: ahead}).Error())
				}
			})
		})
	}
	return c, nil
}

// Client stores and reads.
func (c *Node) Client() *client.Client { return c.client }

// Swarm reaches the storage nodes one by one.
func (c *Node) Swarm() client.Swarm { return swarm{c.host, c.dht} }

// Chain is the ledger as this process has it.
func (c *Node) Chain() Chain { return c.chain }

// Close leaves the network. Closed again, it says the same.
func (c *Node) Close() error { return c.close() }

func (c *Node) leave() error {
	c.stop()
	err := <-c.done
	c.watch.Wait()
	c.client.Close()
	if errors.Is(err, context.Canceled) {
		err = nil
	}
	return errors.Join(err, c.dht.Close(), c.host.Close())
}

// QueryStatus asks the node at a full multiaddr (with /p2p/ID) how it is, without joining the network.
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

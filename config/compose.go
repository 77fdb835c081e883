package config

import (
	"fmt"
	"log/slog"
	"time"

	"walrus/client"
	"walrus/dht"
	"walrus/ledger"
	"walrus/node"
	"walrus/p2p"
	"walrus/store"
)

// Compose makes the configuration of a storage node out of n, its keys and its genesis, and the control plane that the
// genesis gives. The version is told to others.
func (n *Node) Compose(version string, log *slog.Logger) (node.Config, *ledger.Static, error) {
	static, genesis, err := control(n.Genesis)
	if err != nil {
		return node.Config{}, nil, err
	}
	keys, err := LoadKeys(n.Home)
	if err != nil {
		return node.Config{}, nil, err
	}
	c := node.Default()
	c.Name, c.Version, c.Key, c.Logger = n.Name, version, keys.BLS, log
	c.P2P = p2p.Config{
		Network: genesis.Network, Key: keys.P2P, Listen: n.Listen, Announce: n.Announce, UserAgent: "walrus/" + version,
	}
	c.DHT = dht.Config{Bootstrap: n.Bootstrap, MDNS: n.MDNS, AddressBook: n.AddressBook}
	c.Store = store.Default(n.Store)
	if err := c.Validate(); err != nil {
		return node.Config{}, nil, fmt.Errorf("%s: %w", n.Home, err)
	}
	return c, static, nil
}

// ComposeQuery makes the configuration of a process that only asks the node of n how it is.
func (n *Node) ComposeQuery(version string, log *slog.Logger) (node.ClientConfig, error) {
	genesis, err := LoadGenesis(n.Genesis)
	if err != nil {
		return node.ClientConfig{}, err
	}
	return clientConfig(genesis.Network, version, log), nil
}

// joinTimeout is how long a client tries to reach a first node. All bootstrap addresses are tried at once, so what takes
// longer than a few dials is down.
const joinTimeout = 15 * time.Second

func clientConfig(network, version string, log *slog.Logger) node.ClientConfig {
	return node.ClientConfig{
		P2P:    p2p.Config{Network: network, UserAgent: "walrus/" + version},
		Client: client.Default(),
		Join:   joinTimeout,
		Logger: log,
	}
}

// Compose makes the configuration of a process that is only a client, and the control plane that the genesis gives.
func (c *Client) Compose(version string, log *slog.Logger) (node.ClientConfig, *ledger.Static, error) {
	static, genesis, err := control(c.Genesis)
	if err != nil {
		return node.ClientConfig{}, nil, err
	}
	cfg := clientConfig(genesis.Network, version, log)
	cfg.DHT = dht.Config{Bootstrap: c.Bootstrap, MDNS: c.MDNS, AddressBook: c.AddressBook}
	cfg.Client.TempDir = c.TempDir
	return cfg, static, nil
}

package config

import (
	"fmt"
	"log/slog"
	"path/filepath"
	"time"

	"walrus/client"
	"walrus/dht"
	"walrus/ledger"
	"walrus/ledger/engine"
	"walrus/ledger/wallet"
	"walrus/node"
	"walrus/p2p"
	"walrus/store"
)

// Compose makes the configuration of a storage node out of n, its keys and its genesis, and what opens its copy of the
// ledger. The version is told to others.
func (n *Node) Compose(version string, log *slog.Logger) (node.Config, node.OpenLedger, error) {
	genesis, err := LoadGenesis(n.Genesis)
	if err != nil {
		return node.Config{}, nil, err
	}
	keys, err := LoadKeys(n.Home)
	if err != nil {
		return node.Config{}, nil, err
	}
	c := node.Default()
	c.Name, c.Version, c.Key, c.Genesis, c.Logger = n.Name, version, keys.BLS, genesis, log
	c.P2P = p2p.Config{
		Network: genesis.Network, Key: keys.P2P, Listen: n.Listen, Announce: n.Announce, UserAgent: "walrus/" + version,
	}
	c.DHT = dht.Config{Bootstrap: n.Bootstrap, MDNS: n.MDNS, AddressBook: n.AddressBook}
	c.Store = store.Default(n.Store)
	if err := c.Validate(); err != nil {
		return node.Config{}, nil, fmt.Errorf("%s: %w", n.Home, err)
	}
	consensus := engine.Config{Dir: n.Ledger, Genesis: genesis, Timing: engine.DefaultTiming(), Logger: log}
	if n.Pace == paceLocal {
		consensus.Timing = engine.DevnetTiming()
	}
	vote, err := votes(genesis, keys)
	if err != nil {
		return node.Config{}, nil, fmt.Errorf("%s: %w", n.Home, err)
	}
	if vote {
		consensus.ConsensusKey, consensus.StateFile = keys.Consensus, filepath.Join(n.Home, keysDir, consensusStateFile)
	}
	return c, node.Engine(consensus), nil
}

// votes says whether the genesis gives the node of these keys a vote on blocks. A node that has one and the wrong key would
// only look on, and nobody would notice before others are down too.
func votes(g *ledger.Genesis, k *Keys) (bool, error) {
	id, err := k.PeerID()
	if err != nil {
		return false, err
	}
	for i := range g.Members {
		m := &g.Members[i]
		if m.Node != id || !m.Validates() {
			continue
		}
		if m.Consensus != k.consensusKey() {
			return false, fmt.Errorf("the consensus key is not the one that the genesis has for %s: restore %s from a backup",
				m.Name, filepath.Join(keysDir, consensusKeyFile))
		}
		return true, nil
	}
	return false, nil
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

// Compose makes the configuration of a process that is only a client, and what opens its view of the ledger. Without a
// wallet, which is nil, it cannot pay.
func (c *Client) Compose(version string, payer *wallet.Wallet, log *slog.Logger) (node.ClientConfig, node.OpenChain, error) {
	genesis, err := LoadGenesis(c.Genesis)
	if err != nil {
		return node.ClientConfig{}, nil, err
	}
	cfg := clientConfig(genesis.Network, version, log)
	cfg.DHT = dht.Config{Bootstrap: c.Bootstrap, MDNS: c.MDNS, AddressBook: c.AddressBook}
	cfg.Client.TempDir = c.TempDir
	return cfg, node.Light(genesis, payer, log), nil
}

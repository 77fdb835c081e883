// Package compose turns the configuration of a storage node or a gateway into the Configs of their parts. It is
// separate from config so that programs that only store and read link neither. Start with Node and ClientGateway.
package compose

import (
	"crypto/ed25519"
	"fmt"
	"log/slog"

	"github.com/libp2p/go-libp2p/core/peer"

	"walrus/config"
	"walrus/dht"
	"walrus/ledger"
	"walrus/ledger/engine"
	"walrus/monitornode"
	"walrus/node"
	"walrus/p2p"
	"walrus/store"
)

// Node makes the configuration of a storage node from n, its keys and its genesis, and the function that opens its copy
// of the ledger. version is shown to other nodes.
func Node(n *config.Node, version string, log *slog.Logger) (node.Config, node.OpenLedger, error) {
	genesis, err := config.LoadGenesis(n.Genesis)
	if err != nil {
		return node.Config{}, nil, err
	}
	keys, err := config.LoadKeys(n.Home)
	if err != nil {
		return node.Config{}, nil, err
	}
	c := node.Default()
	c.Name, c.Version, c.Keeper.Key, c.Genesis, c.Logger = n.Name, version, keys.BLS, genesis, log
	c.P2P = p2p.Config{
		Network: genesis.Network, Key: keys.P2P, Listen: n.Listen, Announce: n.Announce, AnnounceOnly: n.AnnounceOnly, UserAgent: "walrus/" + version,
		Limits: n.Connections.Limits(),
	}
	if c.P2P.Allow, err = allowed(n, genesis, keys.P2P); err != nil {
		return node.Config{}, nil, err
	}
	c.DHT = dht.Config{Bootstrap: n.Bootstrap, MDNS: n.Neighbours(), AddressBook: n.AddressBook}
	c.Store = store.Default(n.Store.Path)
	if c.Store.Limit, err = n.Store.LimitBytes(); err != nil {
		return node.Config{}, nil, fmt.Errorf("%s: %w", n.Home, err)
	}
	scrub, err := n.Store.ScrubPeriod()
	if err != nil {
		return node.Config{}, nil, fmt.Errorf("%s: %w", n.Home, err)
	}
	if scrub > 0 {
		c.Keeper.Scrub = scrub
	}
	rate, err := n.RepairBytes()
	if err != nil {
		return node.Config{}, nil, fmt.Errorf("%s: %w", n.Home, err)
	}
	if rate > 0 {
		c.Keeper.Repair.Rate = rate
	}
	c.Home = n.Home
	if c.Alerts, err = n.Alerts.Compose(); err != nil {
		return node.Config{}, nil, fmt.Errorf("%s: %w", n.Home, err)
	}
	c.Metrics, c.MetricsIfFree = n.MetricsAddr()
	c.Watch = monitornode.Dir(n.Home)
	if err := c.Validate(); err != nil {
		return node.Config{}, nil, fmt.Errorf("%s: %w", n.Home, err)
	}
	consensus := engine.Config{
		Dir: n.Ledger, Genesis: genesis, Timing: engine.DefaultTiming(), Archive: n.Archive, Logger: log,
		Trust: n.Trust, StoodStill: n.StoodStill, NewState: n.NewConsensusState,
	}
	if consensus.StateCache, err = n.StateCacheBytes(); err != nil {
		return node.Config{}, nil, fmt.Errorf("%s: %w", n.Home, err)
	}
	if n.LocalPace() {
		consensus.Timing = engine.DevnetTiming()
	}
	vote, err := votes(genesis, keys)
	if err != nil {
		return node.Config{}, nil, fmt.Errorf("%s: %w", n.Home, err)
	}
	if vote {
		consensus.ConsensusKey, consensus.StateFile = keys.Consensus, n.ConsensusStateFile()
	}
	return c, node.Engine(consensus), nil
}

// allowed returns the peers that a node of a private network admits; nil in an open one.
func allowed(n *config.Node, genesis *ledger.Genesis, key ed25519.PrivateKey) (func(peer.ID) bool, error) {
	operator, err := p2p.OperatorID(key)
	if err != nil {
		return nil, err
	}
	return n.Allowed(genesis, operator)
}

// NodeAllowed reads the allow list of the node at home again. It returns nil for an open network.
func NodeAllowed(home string) (func(peer.ID) bool, error) {
	n, err := config.LoadNode(home)
	if err != nil {
		return nil, err
	}
	genesis, err := config.LoadGenesis(n.Genesis)
	if err != nil {
		return nil, err
	}
	keys, err := config.LoadKeys(n.Home)
	if err != nil {
		return nil, err
	}
	return allowed(n, genesis, keys.P2P)
}

// ClientAllowed reads the allow list of a client's configuration again. It returns nil for an open network.
func ClientAllowed(c *config.Client) (func(peer.ID) bool, error) {
	genesis, err := config.LoadGenesis(c.Genesis)
	if err != nil {
		return nil, err
	}
	return c.Allowed(genesis)
}

// votes reports whether the genesis lets the node with these keys vote on blocks. It returns an error for a validator
// with the wrong consensus key: it would only follow, and nobody would notice until other nodes are down too.
func votes(g *ledger.Genesis, k *config.Keys) (bool, error) {
	id, err := k.PeerID()
	if err != nil {
		return false, err
	}
	for i := range g.Members {
		m := &g.Members[i]
		if m.Node != id || !m.Validates() {
			continue
		}
		if m.Consensus != k.ConsensusKey() {
			return false, fmt.Errorf("the consensus key differs from the key in the genesis for %s: restore %s from a backup",
				m.Name, config.ConsensusKeyFile)
		}
		return true, nil
	}
	return false, nil
}

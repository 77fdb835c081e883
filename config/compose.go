package config

import (
	"log/slog"
	"time"

	"walrus/client"
	"walrus/clientnode"
	"walrus/dht"
	"walrus/ledger/light"
	"walrus/ledger/wallet"
	"walrus/p2p"
)

// ComposeQuery makes the configuration of a process that only asks n's node for its status, as its operator.
func (n *Node) ComposeQuery(version string, log *slog.Logger) (clientnode.Config, error) {
	genesis, err := LoadGenesis(n.Genesis)
	if err != nil {
		return clientnode.Config{}, err
	}
	keys, err := LoadKeys(n.Home)
	if err != nil {
		return clientnode.Config{}, err
	}
	cfg := ClientProcess(genesis.Network, version, log)
	cfg.P2P.Key = p2p.OperatorKey(keys.P2P)
	return cfg, nil
}

// joinTimeout bounds a client's wait for the first node. All bootstrap addresses are tried at once, so a network that
// does not answer within a few dials is down.
const joinTimeout = 15 * time.Second

// ClientProcess returns the configuration of a process that stores and reads in a network, without bootstrap addresses.
func ClientProcess(network, version string, log *slog.Logger) clientnode.Config {
	return clientnode.Config{
		P2P:    p2p.Config{Network: network, UserAgent: "walrus/" + version},
		Client: client.Default(),
		Join:   joinTimeout,
		Logger: log,
	}
}

// Compose makes the configuration of a client process and the function that opens its view of the ledger. payer may be
// nil: the client then cannot pay.
func (c *Client) Compose(version string, payer *wallet.Wallet, log *slog.Logger) (clientnode.Config, clientnode.OpenChain, error) {
	genesis, err := LoadGenesis(c.Genesis)
	if err != nil {
		return clientnode.Config{}, nil, err
	}
	cfg := ClientProcess(genesis.Network, version, log)
	cfg.DHT = dht.Config{Bootstrap: c.Bootstrap, MDNS: c.Neighbours(false), AddressBook: c.AddressBook}
	if cfg.P2P.Allow, err = c.Allowed(genesis); err != nil {
		return clientnode.Config{}, nil, err
	}
	if cfg.P2P.Key, err = c.IdentityKey(); err != nil {
		return clientnode.Config{}, nil, err
	}
	if p2p.IsPublic(c.Bootstrap...) {
		cfg.P2P.Limits = c.Limits()
	}
	cfg.Client.TempDir = c.TempDir
	trust, err := c.trust()
	if err != nil {
		return clientnode.Config{}, nil, err
	}
	return cfg, clientnode.LightFrom(genesis, trust, payer, log), nil
}

// trust returns the start of the client's trust.
func (c *Client) trust() (clientnode.Trust, error) {
	t := clientnode.Trust{File: c.TrustFile, Own: c.Own}
	if c.Trust != "" {
		at, err := light.ParseCheckpoint(c.Trust)
		if err != nil {
			return t, err
		}
		t.Checkpoint = &at
	}
	return t, nil
}

// KeepTrust makes at the newest block that the client's next run believes.
func (c *Client) KeepTrust(at light.Point) error {
	genesis, err := LoadGenesis(c.Genesis)
	if err != nil {
		return err
	}
	trust, err := c.trust()
	if err != nil {
		return err
	}
	return trust.Keep(genesis, at)
}

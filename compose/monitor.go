package compose

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"walrus/clientnode"
	"walrus/config"
	"walrus/monitornode"
	"walrus/node"
)

// Monitor configures a monitor in c's network, without the addresses at which it listens, and the function that opens
// its view of the ledger. The home gets the key that it lacks.
func Monitor(c *config.Client, home, version string, log *slog.Logger) (cfg monitornode.Config, open clientnode.OpenChain, err error) {
	cfg = monitornode.Config{Home: home, Version: version, Logger: log}
	if cfg.Genesis, err = config.LoadGenesis(c.Genesis); err != nil {
		return cfg, nil, err
	}
	if err := os.MkdirAll(home, 0o700); err != nil {
		return cfg, nil, fmt.Errorf("make the home of the monitor: %w", err)
	}
	if cfg.Client, open, err = c.Compose(version, nil, log); err != nil {
		return cfg, nil, err
	}
	cfg.Client.DHT.AddressBook, cfg.Client.DHT.MDNS = filepath.Join(home, "peers.json"), c.Neighbours(true)
	cfg.Client.P2P.Key, err = config.MonitorKey(home)
	return cfg, open, err
}

// NodeMonitor opens a monitor on the host of the running node n, which must outlive it. Its home and its key are the
// node's.
func NodeMonitor(ctx context.Context, n *config.Node, running *node.Node, version string, log *slog.Logger) (*monitornode.Node, error) {
	genesis, err := config.LoadGenesis(n.Genesis)
	if err != nil {
		return nil, err
	}
	keys, err := config.LoadKeys(n.Home)
	if err != nil {
		return nil, err
	}
	if running.Watch() == nil {
		return nil, errors.New("monitor: the node does not listen to monitors")
	}
	cfg := monitornode.Config{Home: n.Home, Genesis: genesis, Client: config.ClientProcess(genesis.Network, version, log), Version: version, Logger: log}
	cfg.Client.P2P.Key = keys.P2P
	if cfg.ReceiptBytes, err = n.Monitor.ReceiptBytes(); err != nil {
		return nil, err
	}
	host, table := running.Parts()
	return monitornode.OpenBeside(ctx, cfg, host, table, running.Watch(), clientnode.LightFrom(genesis, clientnode.Trust{Own: running.Newest}, nil, log))
}

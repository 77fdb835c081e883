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
	"walrus/node"
	"walrus/pin"
	"walrus/pinapi"
	"walrus/pinnode"
	"walrus/shards"
)

// PinDir returns the folder of the pins themselves in a pinner's home.
func PinDir(home string) string { return filepath.Join(home, "pins") }

// PinTokens opens the tokens of a pinner's home, and makes the home if it does not exist.
func PinTokens(home string) (*pinapi.Tokens, error) {
	if err := os.MkdirAll(home, 0o700); err != nil {
		return nil, fmt.Errorf("make the home of the pins: %w", err)
	}
	return pinapi.OpenTokens(filepath.Join(home, "tokens"))
}

// Pinner configures a pinner in c's network, without the addresses at which it listens, and the function that opens its
// view of the ledger. The home gets what it lacks: a key, and a file of tokens later.
func Pinner(c *config.Client, home, version string, log *slog.Logger) (cfg pinnode.Config, open clientnode.OpenChain, err error) {
	params, err := pinParams(c)
	if err != nil {
		return cfg, nil, err
	}
	cfg = pinnode.Config{Home: home, Pins: pin.Config{Dir: PinDir(home), Params: params}, Version: version, Logger: log}
	if cfg.Client, open, err = c.Compose(version, nil, log); err != nil {
		return cfg, nil, err
	}
	cfg.Client.DHT.AddressBook, cfg.Client.DHT.MDNS = filepath.Join(home, "peers.json"), c.Neighbours(true)
	if cfg.Client.P2P.Key, err = config.PinKey(home); err != nil {
		return cfg, nil, err
	}
	cfg.Tokens, err = PinTokens(home)
	return cfg, open, err
}

// NodePins opens the pinner that n asks for, on the host of the running node, which must outlive it. Its home is the
// node's, and the node's metrics have those of the pins.
func NodePins(ctx context.Context, n *config.Node, running *node.Node, version string, log *slog.Logger) (*pinnode.Node, error) {
	genesis, err := config.LoadGenesis(n.Genesis)
	if err != nil {
		return nil, err
	}
	params, err := shards.NewParams(genesis.Shards)
	if err != nil {
		return nil, fmt.Errorf("open pins: %w", err)
	}
	cfg := pinnode.Config{
		Home: n.Home, Client: config.ClientProcess(genesis.Network, version, log), Pins: pin.Config{Dir: PinDir(n.Home), Params: params},
		Blocklist: n.Pins.Blocklist, API: n.Pins.PinningAPI, Version: version, Logger: log,
	}
	if cfg.API != "" {
		if cfg.Tokens, err = PinTokens(n.Home); err != nil {
			return nil, err
		}
	}
	if cfg.Pins.Limit, cfg.Pins.Rate, cfg.Pins.Daily, err = n.Pins.Sizes(); err != nil {
		return nil, err
	}
	cfg.Client.DHT.Bootstrap, cfg.Client.DHT.MDNS = n.Bootstrap, n.Neighbours()
	cfg.Heard = running.Fresh()
	host, table := running.Parts()
	p, err := pinnode.OpenBeside(ctx, cfg, host, table, clientnode.LightFrom(genesis, clientnode.Trust{Own: running.Newest}, nil, log))
	if err != nil {
		return nil, err
	}
	if err := running.Export(p.Collector()); err != nil {
		return nil, errors.Join(err, p.Close())
	}
	return p, nil
}

// OpenPinStore opens the pins of a home without a network: requests can be made and copies read, nothing is fetched.
// limit bounds the disk space in bytes; 0: none.
func OpenPinStore(c *config.Client, home string, limit int64, log *slog.Logger) (*pin.Keeper, error) {
	params, err := pinParams(c)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(home, 0o700); err != nil {
		return nil, fmt.Errorf("make the home of the pins: %w", err)
	}
	return pin.Open(pin.Config{Dir: PinDir(home), Params: params, Limit: limit, Source: offline{}, Logger: log})
}

// pinParams returns the encoding of c's network.
func pinParams(c *config.Client) (shards.Params, error) {
	genesis, err := config.LoadGenesis(c.Genesis)
	if err != nil {
		return shards.Params{}, err
	}
	params, err := shards.NewParams(genesis.Shards)
	if err != nil {
		return shards.Params{}, fmt.Errorf("open pins: %w", err)
	}
	return params, nil
}

// offline finds no blobs.
type offline struct{}

func (offline) Open(context.Context, shards.BlobID, []string) (pin.Remote, error) {
	return nil, errors.New("no pin process is running")
}

package node

import (
	"errors"
	"fmt"
	"log/slog"

	"walrus/alert"
	"walrus/dht"
	"walrus/ledger"
	"walrus/node/keeper"
	"walrus/p2p"
	"walrus/store"
)

// Config of a storage node. The parts' configurations are embedded.
type Config struct {
	// Name for people, in logs and status.
	Name string
	// Version of the program, shown in the status.
	Version string
	// Genesis of the network. Required.
	Genesis *ledger.Genesis
	// P2P configures the host; its Role, Protocols and Logger are set by New.
	P2P p2p.Config
	// DHT configures the way into the network; its Network, Server and Logger are set by New.
	DHT dht.Config
	// Store configures the disk; its Logger is set by New.
	Store store.Config
	// Keeper configures the storage node's duty; its Name, Genesis and Logger are set by New.
	Keeper keeper.Config
	// Watch is the folder of what monitors say. Default "": the node does not listen to them.
	Watch string
	// Metrics is the address of Prometheus metrics at /metrics, and of /healthz and /readyz. They need no secret:
	// keep it on loopback, or behind a firewall. Default "": none.
	Metrics string
	// MetricsIfFree: if the metrics address is taken, the node runs without metrics. Default false.
	MetricsIfFree bool
	// Home is the folder in which alert.Folder keeps the last alerts and evidence. Default "": they are not kept.
	Home string
	// Alerts configures the ways by which the operator hears of trouble. Default: the Logger alone.
	Alerts alert.Config
	// Logger gets all events that an operator should know. Required.
	Logger *slog.Logger
}

// Default is the configuration of a node without its identity, addresses and directory.
func Default() Config { return Config{Version: "unknown", Keeper: keeper.Default()} }

// Validate reports settings that are missing or out of range; the parts validate their own.
func (c *Config) Validate() error {
	switch {
	case c.Logger == nil:
		return errors.New("node: a logger is required")
	case c.Genesis == nil:
		return errors.New("node: a genesis is required")
	case c.Genesis.Network != c.P2P.Network:
		return fmt.Errorf("node: the genesis is of network %q, the host of %q", c.Genesis.Network, c.P2P.Network)
	}
	if err := c.Alerts.Validate(); err != nil {
		return fmt.Errorf("node: alerts: %w", err)
	}
	return c.Keeper.Validate()
}

package node

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"walrus/certs"
	"walrus/dht"
	"walrus/ledger"
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
	// Key signs confirmations; its public half is in the committee.
	Key *certs.SecretKey
	// UploadMemory limits the bytes held by all clients' uploads together; beyond it the answer is busy. One upload
	// alone is always admitted. Default 256 MiB: 16 streams of a client to a node with 15 of 100 shards.
	UploadMemory int64
	// Ready bounds how long a starting node waits for others before it reports that it is ready. Default 3 s: if
	// nodes are started one by one, the first must not wait for the last.
	Ready time.Duration
	// Repair bounds the work on slivers the node lacks.
	Repair RepairConfig
	// Metrics is the address of Prometheus metrics at /metrics, and of /healthz and /readyz. They need no secret:
	// keep it on loopback, or behind a firewall. Default "": none.
	Metrics string
	// MetricsIfFree: if the metrics address is taken, the node runs without metrics. Default false.
	MetricsIfFree bool
	// Sync is the pause between comparisons of certificates with other members. They show blobs whose gossip the node
	// missed. Default 20 s: half the time in which an operator expects a restarted node to be well again.
	Sync time.Duration
	// Scrub is the pause between full reads that check everything stored. One also runs at every start. Default 24 h.
	Scrub time.Duration
	// Logger gets all events that an operator should know. Required.
	Logger *slog.Logger
}

// RepairConfig bounds the work on slivers the node lacks.
type RepairConfig struct {
	// Grace delays the repair of a newly certified blob, because its upload may still be under way. Default 3 s.
	// Repair also waits for an upload that it sees going on.
	Grace time.Duration
	// Memory limits the bytes of symbols held while slivers are rebuilt, for all blobs together. One sliver is always
	// rebuilt, whatever its size. Default 128 MiB.
	Memory int64
	// Blobs limits the blobs repaired at once. Default 4.
	Blobs int
	// Requests limits the requests for symbols under way for one blob. Default 8.
	Requests int
	// Backoff is the pause after a failed repair of a blob; it doubles up to MaxBackoff. Default 1 s and 15 s.
	Backoff, MaxBackoff time.Duration
}

// Default is the configuration of a node without its identity, addresses and directory.
func Default() Config {
	return Config{
		Version:      "unknown",
		UploadMemory: 256 << 20,
		Ready:        3 * time.Second,
		Repair: RepairConfig{
			Grace: 3 * time.Second, Memory: 128 << 20, Blobs: 4, Requests: 8, Backoff: time.Second, MaxBackoff: 15 * time.Second,
		},
		Sync:  20 * time.Second,
		Scrub: 24 * time.Hour,
	}
}

// Validate reports settings that are missing or out of range; the parts validate their own.
func (c *Config) Validate() error {
	switch {
	case c.Logger == nil:
		return errors.New("node: a logger is required")
	case c.Genesis == nil:
		return errors.New("node: a genesis is required")
	case c.Genesis.Network != c.P2P.Network:
		return fmt.Errorf("node: the genesis is of network %q, the host of %q", c.Genesis.Network, c.P2P.Network)
	case c.Key == nil:
		return errors.New("node: a BLS key is required")
	case c.Sync <= 0 || c.Scrub <= 0 || c.Ready <= 0 || c.UploadMemory <= 0:
		return fmt.Errorf("node: sync every %v, scrub every %v, ready after %v, upload memory %d: must be positive", c.Sync, c.Scrub, c.Ready, c.UploadMemory)
	}
	r := c.Repair
	if r.Grace < 0 || r.Memory <= 0 || r.Blobs <= 0 || r.Requests <= 0 || r.Backoff <= 0 || r.MaxBackoff < r.Backoff {
		return fmt.Errorf("node: repair settings %+v: must be positive", r)
	}
	return nil
}

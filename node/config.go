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

// Config of a storage node: that of its parts, and its own.
type Config struct {
	// Name is for people: logs and status.
	Name string
	// Version of the program, told in the status.
	Version string
	// Genesis of the network. Required.
	Genesis *ledger.Genesis
	// P2P is the host; its Role, Protocols and Logger are set by New.
	P2P p2p.Config
	// DHT is the way into the network; its Network, Server and Logger are set by New.
	DHT dht.Config
	// Store is the disk; its Logger is set by New.
	Store store.Config
	// Key signs confirmations; its public half is in the committee.
	Key *certs.SecretKey
	// UploadMemory bounds what uploads hold, in bytes, for all clients together; beyond that the answer is busy. One
	// upload alone is always admitted. Default 256 MiB: 16 streams of a client to a node with 15 of 100 shards.
	UploadMemory int64
	// Ready bounds how long a starting node waits for others before it says that it is ready. Default 3 s: someone who
	// starts nodes one by one must not wait for those that come later.
	Ready time.Duration
	// Repair bounds the work on slivers the node lacks.
	Repair RepairConfig
	// Metrics is the address of Prometheus metrics at /metrics, and of /healthz and /readyz. They need no secret: keep it on
	// loopback, or behind a firewall. Default "": none.
	Metrics string
	// MetricsIfFree does without them if somebody else listens there. Default false.
	MetricsIfFree bool
	// Sync is how often the node compares its certificates with those of others, to learn of blobs whose gossip it
	// missed. Default 20 s: half the time in which an operator expects a restarted node to be well again.
	Sync time.Duration
	// Scrub is how often everything stored is read back and checked; once at every start too. Default 24 h.
	Scrub time.Duration
	// Logger gets everything the node does that an operator should know. Required.
	Logger *slog.Logger
}

// RepairConfig bounds the work on slivers the node lacks.
type RepairConfig struct {
	// Grace is how long after a blob's certificate its repair waits, because its upload may still be under way.
	// Default 3 s; an upload that is seen to go on is waited for in any case.
	Grace time.Duration
	// Memory bounds the symbols held while slivers are rebuilt, in bytes, for all blobs together; one sliver is
	// always rebuilt, whatever its size. Default 128 MiB.
	Memory int64
	// Blobs is how many blobs are repaired at once. Default 4.
	Blobs int
	// Requests is how many requests for symbols are under way for one blob. Default 8.
	Requests int
	// Backoff is how long a blob waits after a repair that failed; it doubles up to MaxBackoff. Default 1 s and 15 s.
	Backoff, MaxBackoff time.Duration
}

// Default is the configuration of a node but for its identity, addresses and directory.
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

// Validate says what is missing; the parts validate their own.
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

package keeper

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"walrus/certs"
	"walrus/ledger"
)

// Config of a storage node's duty.
type Config struct {
	// Name for people, in logs; set by package node, as are Genesis and Logger.
	Name string
	// Genesis of the network.
	Genesis *ledger.Genesis
	// Logger gets all events that an operator should know.
	Logger *slog.Logger
	// Key signs confirmations; its public half is in the committee. Required.
	Key *certs.SecretKey
	// UploadMemory limits the bytes held by all clients' uploads together; beyond it the answer is busy. One upload
	// alone is always admitted. Default 256 MiB: 16 streams of a client to a node with 15 of 100 shards.
	UploadMemory int64
	// Ready bounds how long a starting node waits for others before it reports that it is ready. Default 3 s: if
	// nodes are started one by one, the first must not wait for the last.
	Ready time.Duration
	// Repair bounds the work on slivers the node lacks.
	Repair RepairConfig
	// Sync is the pause between comparisons of certificates with other members. They show blobs whose gossip the node
	// missed. Default 20 s: half the time in which an operator expects a restarted node to be well again.
	Sync time.Duration
	// Scrub is the period in which everything stored is read back and checked once, at an even pace. A small store is read
	// at 4 MiB a second, and then rests. Default 14 days.
	Scrub time.Duration
}

// RepairConfig bounds the work on slivers the node lacks.
type RepairConfig struct {
	// Grace delays the repair of a newly certified blob, because its upload may still be under way. Default 3 s.
	// Repair also waits for an upload that it sees going on.
	Grace time.Duration
	// Memory limits the bytes of symbols held while slivers are rebuilt, for all blobs together. Slivers above it are
	// rebuilt part by part. Default 128 MiB.
	Memory int64
	// Rate limits the traffic of all repairs together, in bytes per second. While users read or upload here, repair gets a
	// quarter of it. Default 64 MiB: half of a line of 1 Gbit/s.
	Rate int64
	// Blobs limits the blobs repaired at once. Default 4.
	Blobs int
	// Requests limits the requests for symbols under way for one blob. Default 8.
	Requests int
	// Backoff is the pause after a failed repair of a blob; it doubles up to MaxBackoff. Default 1 s and 5 min. All that
	// wait are tried again once a member that was out of reach answers.
	Backoff, MaxBackoff time.Duration
}

// Default is the configuration without the key.
func Default() Config {
	return Config{
		UploadMemory: 256 << 20,
		Ready:        3 * time.Second,
		Repair: RepairConfig{
			Grace: 3 * time.Second, Memory: 128 << 20, Rate: 64 << 20, Blobs: 4, Requests: 8, Backoff: time.Second,
			MaxBackoff: 5 * time.Minute,
		},
		Sync:  20 * time.Second,
		Scrub: 14 * 24 * time.Hour,
	}
}

// Validate reports settings that are missing or out of range.
func (c *Config) Validate() error {
	if c.Key == nil {
		return errors.New("keeper: a BLS key is required")
	}
	if c.Sync <= 0 || c.Scrub <= 0 || c.Ready <= 0 || c.UploadMemory <= 0 {
		return fmt.Errorf("keeper: sync every %v, scrub every %v, ready after %v, upload memory %d: must be positive", c.Sync,
			c.Scrub, c.Ready, c.UploadMemory)
	}
	r := c.Repair
	if r.Grace < 0 || r.Memory <= 0 || r.Rate <= 0 || r.Blobs <= 0 || r.Requests <= 0 || r.Backoff <= 0 ||
		r.MaxBackoff < r.Backoff {
		return fmt.Errorf("keeper: repair settings %+v: must be positive", r)
	}
	return nil
}

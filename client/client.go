// Package client stores and reads blobs: straight lines over the few things it needs from the swarm, which it
// declares itself. It trusts no node: everything fetched is checked against the
// blob ID before it is used. Start with Client.
package client

import (
	"context"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"walrus/certs"
	"walrus/p2p"
	"walrus/shards"
)

// Control is what the client asks the network's control plane: the genesis file now, the ledger later.
type Control interface {
	// Committee of the current epoch.
	Committee(ctx context.Context) (*certs.Committee, error)
	// MayStore returns the epoch at whose start storage of blob ends, or why it may not be stored.
	MayStore(ctx context.Context, blob shards.BlobID) (endEpoch uint32, err error)
}

// Swarm reaches storage nodes by peer ID. The sliver operations are those of p2p.Host; their errors wrap its sentinels.
type Swarm interface {
	// Connect finds a node's addresses and dials it, unless connected.
	Connect(ctx context.Context, node peer.ID) error
	uploader
	fetcher
}

type uploader interface {
	PutMetadata(ctx context.Context, to peer.ID, id shards.BlobID, metadata []byte) (held []int, err error)
	StorePairs(ctx context.Context, to peer.ID, id shards.BlobID, pairs []int, size int64, body func(io.Writer) error) error
	Confirm(ctx context.Context, to peer.ID, id shards.BlobID) (confirmation []byte, err error)
	PutCertificate(ctx context.Context, to peer.ID, certificate []byte) error
}

type fetcher interface {
	Metadata(ctx context.Context, to peer.ID, id shards.BlobID, max int) ([]byte, error)
	FetchSliver(ctx context.Context, to peer.ID, id shards.BlobID, axis shards.Axis, index int, offset, length int64) (io.ReadCloser, error)
	BlobStatus(ctx context.Context, to peer.ID, id shards.BlobID) (p2p.BlobStatus, error)
	NodeStatus(ctx context.Context, to peer.ID) (p2p.NodeStatus, error)
}

// Config bounds what a client uses.
type Config struct {
	// UploadMemory is how many bytes of encoded strips may wait for slow nodes while a blob is stored.
	// Default 192 MiB: two strips of the largest network's (64 MiB each at n = 1000) and one being made.
	UploadMemory int64
	// ReadMemory is how many bytes of rows a read holds: those fetched ahead of the one being written out, or all of
	// them if they fit. A single row above half of it, and what decoding must keep, wait in a temporary file. Default 96 MiB.
	ReadMemory int64
	// Stall is how long one node may hold up the others in an upload, in all, before it is left to repair itself. Default 10 s.
	Stall time.Duration
	// DialTimeout bounds finding and dialling one node. Default 5 s: a node that needs longer is treated as down.
	DialTimeout time.Duration
	// Hedge is the least time after which a row that holds up a read is decoded from others instead. Default 2 s.
	Hedge time.Duration
	// TempDir is where rows wait that do not fit in memory; empty means the system's.
	TempDir string
}

// Default is the configuration of a client on an ordinary machine.
func Default() Config {
	return Config{
		UploadMemory: 192 << 20,
		ReadMemory:   96 << 20,
		Stall:        10 * time.Second,
		DialTimeout:  5 * time.Second,
		Hedge:        2 * time.Second,
	}
}

// Client stores and reads blobs in one network. It is safe for concurrent use, holds nothing to close and remembers
// nothing but which nodes were silent a moment ago.
type Client struct {
	cfg     Config  // constant after New
	swarm   Swarm   // constant after New
	control Control // constant after New
	log     *slog.Logger

	mu     sync.Mutex
	silent map[peer.ID]time.Time // nodes that did not answer in a read, and when; guarded by mu
}

// New makes a client over swarm; it starts nothing.
func New(cfg Config, swarm Swarm, control Control, log *slog.Logger) *Client {
	return &Client{cfg: cfg, swarm: swarm, control: control, log: log, silent: map[peer.ID]time.Time{}}
}

// Committee of the current epoch.
func (c *Client) Committee(ctx context.Context) (*certs.Committee, error) {
	return c.control.Committee(ctx)
}

// Stage names what a Progress call is about.
type Stage int

// Stages of storing and reading.
const (
	Encoding  Stage = iota // bytes of the blob hashed and encoded, before anything is sent
	Uploading              // bytes of slivers sent
	Reading                // bytes of the blob written out
)

// String is the stage in a word.
func (s Stage) String() string {
	return [...]string{"encoding", "uploading", "reading"}[s]
}

// Progress is told, now and then and from one goroutine at a time, how far a stage is. It must not block.
type Progress func(stage Stage, done, total int64)

func (p Progress) report(stage Stage, done, total int64) {
	if p != nil {
		p(stage, done, total)
	}
}

// connect dials node within the configured time.
func (c *Client) connect(ctx context.Context, node peer.ID) error {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.DialTimeout)
	defer cancel()
	return c.swarm.Connect(ctx, node)
}

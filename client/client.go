// Package client stores and reads blobs: straight lines over the few things it needs from the swarm, which it
// declares itself, and the records of the ledger that pay for them. It trusts no node: everything fetched is checked
// against the blob ID, and everything the ledger says is proven, before it is used. Start with Client.
package client

import (
	"context"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"walrus/certs"
	"walrus/ledger"
	"walrus/p2p"
	"walrus/shards"
)

// Ledger answers questions about the network's ledger, each answer proven to this process, which holds none of it.
// Errors wrap ErrStalled when the ledger stands still.
type Ledger interface {
	// Committee of the current epoch. If the ledger cannot be asked, of the newest epoch that is known: the nodes stay
	// the same, and so reads go on.
	Committee(ctx context.Context) (*certs.Committee, error)
	// Read reads the values of keys, all at one height, not before that of a receipt this process has seen. The result
	// knows no other keys.
	Read(ctx context.Context, keys ...[]byte) (ledger.Reader, error)
	// Peek is Read for those who can do with less: it does not wait for a ledger that stands still, or only begins to move, and
	// may then return the last state there was together with ErrStalled.
	Peek(ctx context.Context, keys ...[]byte) (ledger.Reader, error)
	// Objects are all that owner owns, expired or not.
	Objects(ctx context.Context, owner ledger.Address) (map[ledger.ObjectID]ledger.Storage, map[ledger.ObjectID]ledger.Blob, error)
}

// Payer runs operations from an account.
type Payer interface {
	// Address of the account.
	Address() ledger.Address
	// Do signs a transaction of the operations that compose returns and waits for its receipt. compose is told which
	// object the operation of an index makes, and is called again if the transaction must be signed anew. A transaction
	// that fails is a *ledger.OpError.
	Do(ctx context.Context, compose func(object func(op int) ledger.ObjectID) []ledger.Op) (ledger.Receipt, error)
}

// Swarm reaches storage nodes by peer ID. The sliver operations are those of p2p.Host; their errors wrap its sentinels.
type Swarm interface {
	// Connect finds a node's addresses and dials it, unless connected.
	Connect(ctx context.Context, node peer.ID) error
	Uploader
	Fetcher
}

// Uploader hands a blob to one node.
type Uploader interface {
	PutMetadata(ctx context.Context, to peer.ID, id shards.BlobID, metadata []byte) (held []int, err error)
	StorePairs(ctx context.Context, to peer.ID, id shards.BlobID, pairs []int, size int64, body func(io.Writer) error) error
	Confirm(ctx context.Context, to peer.ID, id shards.BlobID, p certs.Persistence) (confirmation []byte, err error)
	PutCertificate(ctx context.Context, to peer.ID, certificate []byte) error
}

// Fetcher asks one node for what it has.
type Fetcher interface {
	Metadata(ctx context.Context, to peer.ID, id shards.BlobID, max int) ([]byte, error)
	FetchSliver(ctx context.Context, to peer.ID, id shards.BlobID, axis shards.Axis, index int, offset, length int64) (io.ReadCloser, error)
	Symbols(ctx context.Context, to peer.ID, id shards.BlobID, axis shards.Axis, index int, targets []int, symbolSize int64, proofLen int) ([]shards.Symbol, error)
	BlobStatus(ctx context.Context, to peer.ID, id shards.BlobID) (p2p.BlobStatus, error)
	NodeStatus(ctx context.Context, to peer.ID) (p2p.NodeStatus, error)
	NodeHistory(ctx context.Context, to peer.ID) ([]p2p.HistoryPoint, error)
}

// Config bounds what a client uses.
type Config struct {
	// UploadMemory is how many bytes of encoded strips may wait for slow nodes while a blob is stored.
	// Default 192 MiB: two strips of the largest network's (64 MiB each at n = 1000) and one being made.
	UploadMemory int64
	// ReadMemory is how many bytes of rows a read holds: those fetched ahead of the one being written out, or all of
	// them if they fit. A single row above half of it, and what decoding must keep, wait in a temporary file. Default 96 MiB.
	ReadMemory int64
	// Stall is how long a node that is far slower than the others may hold them up in an upload before it is left to repair itself.
	// Default 10 s. What all nodes take because the client's own line is slow does not count.
	Stall time.Duration
	// DialTimeout bounds finding and dialling one node. Default 5 s: a node that needs longer is treated as down, unless others
	// need long too, because the client's own line is slow: then up to three times as long.
	DialTimeout time.Duration
	// Hedge is the least time after which a row that holds up a read is decoded from others instead. Default 2 s.
	Hedge time.Duration
	// Commit is how long a transaction is waited for before the client looks, and again each time, whether the ledger stands
	// still: then it gives up. Default 30 s: a ledger that goes on needs below one.
	Commit time.Duration
	// Cache keeps rows on disk that were read, for later reads. Default: no cache.
	Cache CacheConfig
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
		Commit:       30 * time.Second,
	}
}

// Client stores and reads blobs in one network. It is safe for concurrent use. It holds nothing to close, unless a cache was
// opened, and remembers nothing else but for a few seconds: which nodes were silent, and which blobs were opened.
type Client struct {
	cfg     Config // constant after New, as the next ten
	swarm   Swarm
	chain   Ledger
	payer   Payer // nil: nothing that costs
	log     *slog.Logger
	buffers *buffers
	flights *sharing[rowKey, *flight] // rows that reads want just now
	// decoding has a place for whoever decodes rows of a blob
	decoding *sharing[shards.BlobID, chan struct{}]
	opened   *openedBlobs
	claims   *claims
	patience patience  // guards itself
	cache    *rowCache // constant after OpenCache; nil: none

	mu     sync.Mutex
	silent map[peer.ID]time.Time // nodes that did not answer in a read, and when; guarded by mu
}

// New makes a client over swarm; it starts nothing. Without a payer, which is nil, it reads and cannot store.
func New(cfg Config, swarm Swarm, chain Ledger, payer Payer, log *slog.Logger) *Client {
	return &Client{
		cfg: cfg, swarm: swarm, chain: chain, payer: payer, log: log,
		buffers: &buffers{}, flights: newSharing[rowKey]((*flight).end),
		decoding: newSharing[shards.BlobID, chan struct{}](nil), opened: newOpenedBlobs(),
		claims: &claims{held: map[ledger.ObjectID]bool{}}, silent: map[peer.ID]time.Time{},
	}
}

// OpenCache opens the cache of rows that the configuration names, if it does. Call it before anything is read, and Close at
// the end.
func (c *Client) OpenCache() (err error) {
	c.cache, err = openCache(c.cfg.Cache, c.log)
	return err
}

// Close closes the cache, when all reads have ended. What is in it stays for the next time.
func (c *Client) Close() { c.cache.close() }

// CacheStats tells how the cache does; all zero without one.
func (c *Client) CacheStats() CacheStats { return c.cache.stats() }

// Committee of the current epoch.
func (c *Client) Committee(ctx context.Context) (*certs.Committee, error) {
	return c.chain.Committee(ctx)
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

// connect dials node within the configured time, or what a slow line of our own makes of it.
func (c *Client) connect(ctx context.Context, node peer.ID) error {
	return c.patience.within(ctx, c.cfg.DialTimeout, func(ctx context.Context) error { return c.swarm.Connect(ctx, node) })
}

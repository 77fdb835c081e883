// Package client stores and reads blobs, and manages the ledger records that pay for them. It declares the few things
// it needs from the swarm and the ledger as interfaces. It trusts no node: everything fetched is checked against the
// blob ID, and everything the ledger says is proven, before it is used. Start with Client.
package client

import (
	"context"
	"io"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"walrus/certs"
	"walrus/ledger"
	"walrus/p2p"
	"walrus/shards"
)

// Ledger answers questions about the network's ledger. This process holds no copy of the ledger: each answer comes with
// a proof that was checked. Errors wrap ErrStalled when the ledger is stalled.
type Ledger interface {
	// Committees returns the current epoch and the committees known in it, the current one among them. If the ledger
	// cannot be asked, it returns the newest epoch known: nodes mostly stay the same, so reads continue.
	Committees(ctx context.Context) (epoch uint32, all certs.Committees, err error)
	// Read reads the values of keys, all at one height, at or above the height of every receipt this process has seen.
	// The result knows no other keys.
	Read(ctx context.Context, keys ...[]byte) (ledger.Reader, error)
	// Peek is Read without the wait. If the ledger is stalled, or only begins to move, Peek may return the last known
	// state together with ErrStalled.
	Peek(ctx context.Context, keys ...[]byte) (ledger.Reader, error)
	// CatchUp makes sure, if it can, that no later Read is older than what most nodes have.
	CatchUp(ctx context.Context)
	// Objects returns everything owner owns, expired or not.
	Objects(ctx context.Context, owner ledger.Address) (map[ledger.ObjectID]ledger.Storage, map[ledger.ObjectID]ledger.Blob, error)
	// Offers names objects that are offered to an account, at most limit. Some may be missing, or not offered.
	Offers(ctx context.Context, to ledger.Address, limit int) ([]ledger.ObjectID, error)
}

// Historian finds events of the past. A Ledger may implement it.
type Historian interface {
	// Certifying finds the newest event that certified or extended a permanent record of a blob to an end; nil if no
	// node that was asked keeps it. Errors are temporary.
	Certifying(ctx context.Context, blob shards.BlobID, end uint32) (*Event, error)
}

// Event names an event of a transaction on the ledger.
type Event struct {
	Tx  ledger.TxID
	Seq int // index in the transaction's events
}

// Payer runs operations from an account.
type Payer interface {
	// Address of the account.
	Address() ledger.Address
	// SignToken signs an upload token as the account.
	SignToken(t *ledger.UploadToken)
	// Do signs a transaction of the operations that build returns and waits for its receipt. It calls build again if
	// the transaction must be signed anew. A failed transaction returns a *ledger.OpError.
	Do(ctx context.Context, build ledger.Build) (ledger.Receipt, error)
}

// Swarm reaches storage nodes by peer ID.
type Swarm struct {
	Dialer
	Uploader
	Fetcher
	Checker
	// Pins are asked for blobs that the committee does not have or does not give. Default nil: they are not.
	Pins Pins
	// Rounds are asked what monitors saw. Default nil: nobody is.
	Rounds Rounds
}

// Dialer connects to nodes. *dht.DHT implements it.
type Dialer interface {
	// Connect finds a node's addresses and dials it, unless connected.
	Connect(ctx context.Context, node peer.ID) error
}

// Uploader sends a blob's parts to one node. *p2p.Host implements it; errors wrap its sentinels.
type Uploader interface {
	// ID returns the peer ID that nodes see.
	ID() peer.ID
	PutMetadata(ctx context.Context, to peer.ID, id shards.BlobID, token, metadata []byte) (held []int, err error)
	StorePairs(ctx context.Context, to peer.ID, id shards.BlobID, token []byte, pairs []int, size int64, body func(io.Writer) error) error
	Confirm(ctx context.Context, to peer.ID, id shards.BlobID, p certs.Persistence) (confirmation []byte, err error)
	PutCertificate(ctx context.Context, to peer.ID, certificate []byte) error
}

// Fetcher fetches blob parts and status from one node. *p2p.Host implements it; errors wrap its sentinels.
type Fetcher interface {
	Metadata(ctx context.Context, to peer.ID, id shards.BlobID, max int) ([]byte, error)
	FetchSliver(ctx context.Context, to peer.ID, id shards.BlobID, axis shards.Axis, index int, offset, length int64) (io.ReadCloser, error)
	SymbolParts(ctx context.Context, to peer.ID, q p2p.SymbolQuery) ([]shards.Symbol, error)
	BlobStatus(ctx context.Context, to peer.ID, id shards.BlobID) (p2p.BlobStatus, error)
	NodeStatus(ctx context.Context, to peer.ID) (p2p.NodeStatus, error)
	NodeHistory(ctx context.Context, to peer.ID) ([]p2p.HistoryPoint, error)
}

// Checker compares cells of a blob and passes on proofs that it is invalid. p2p.Checks implements it; errors wrap the
// sentinels of p2p.
type Checker interface {
	Leaves(ctx context.Context, to peer.ID, id shards.BlobID, axis shards.Axis, index int, targets []int, proofLen int) ([]shards.Opening, error)
	AllLeaves(ctx context.Context, to peer.ID, id shards.BlobID, axis shards.Axis, index, n int) ([]shards.Hash, error)
	PutProof(ctx context.Context, to peer.ID, id shards.BlobID, proof []byte) error
}

// Config bounds the memory and the waiting of a client.
type Config struct {
	// UploadMemory bounds the bytes of encoded strips that wait for slow nodes while a blob is stored. Default 192 MiB:
	// two strips of the largest network (64 MiB each at n = 1000) and one being made.
	UploadMemory int64
	// ReadMemory bounds the bytes of rows a read holds: all rows if they fit, otherwise the rows fetched ahead of the
	// one being written out. A single row above half of it, and rows kept for decoding, wait in a temporary file.
	// Default 96 MiB.
	ReadMemory int64
	// Stall: a node far slower than the others may hold up an upload this long. Then it is left to repair itself.
	// Default 10 s. Time that all nodes take because the client's own line is slow does not count.
	Stall time.Duration
	// DialTimeout bounds finding and dialling one node. Default 5 s: a node that needs longer is treated as down. If
	// other nodes need long too, the client's own line is slow, and the bound grows to up to three times as long.
	DialTimeout time.Duration
	// Hedge: a row that holds up a read is decoded from other rows after this time at the earliest. Default 2 s.
	Hedge time.Duration
	// Commit: each time this long has passed without a receipt, the client checks whether the ledger is stalled, and
	// if so gives up. Default 30 s: a working ledger needs less than one second.
	Commit time.Duration
	// Cache keeps rows that were read on disk, for later reads. Default: no cache.
	Cache CacheConfig
	// TempDir holds rows that do not fit in memory; empty means the system's temporary directory.
	TempDir string
}

// Default returns the configuration for an ordinary machine.
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

// Client stores and reads blobs in one network. It is safe for concurrent use. It needs Close only after OpenCache. For
// a few seconds it remembers which nodes were silent and which blobs were opened.
type Client struct {
	cfg Config // constant after New, as the next nine
	books
	nodes   *nodes
	pins    *pinners
	log     *slog.Logger
	buffers *buffers
	flights *sharing[rowKey, *flight] // rows being fetched now
	// decoding lets one read at a time decode rows of a blob
	decoding *sharing[shards.BlobID, chan struct{}]
	opened   *openedBlobs
	secret   uint64 // chooses the columns of checks
	claims   *claims
	cache    *rowCache // constant after OpenCache; nil: none
}

// New makes a client over swarm; it starts nothing. Without a payer, nil, the client can only read.
func New(cfg Config, swarm Swarm, chain Ledger, payer Payer, log *slog.Logger) *Client {
	return &Client{
		cfg: cfg, books: books{chain, payer, cfg.Commit}, nodes: newNodes(swarm, cfg.DialTimeout), pins: newPinners(swarm), log: log,
		buffers: &buffers{}, flights: newSharing[rowKey]((*flight).end),
		decoding: newSharing[shards.BlobID, chan struct{}](nil), opened: newOpenedBlobs(), secret: rand.Uint64(),
		claims: &claims{held: map[ledger.ObjectID]bool{}},
	}
}

// OpenCache opens the row cache if the configuration names one. Call it before the first read, and Close at the end.
func (c *Client) OpenCache() (err error) {
	c.cache, err = openCache(c.cfg.Cache, c.log)
	return err
}

// Close closes the cache. Call it after all reads have ended. The cached rows stay on disk for the next process.
func (c *Client) Close() { c.cache.close() }

// CacheStats returns the cache's counters; all zero without a cache.
func (c *Client) CacheStats() CacheStats { return c.cache.stats() }

// Committee returns the committee of the current epoch. If the ledger cannot be asked, it is the newest known one.
func (c *Client) Committee(ctx context.Context) (*certs.Committee, error) {
	epoch, all, err := c.chain.Committees(ctx)
	if err != nil {
		return nil, err
	}
	return all.At(epoch)
}

// Stage names the part of an operation that a Progress call reports on.
type Stage int

// Stages of storing and reading.
const (
	Encoding  Stage = iota // bytes of the blob hashed and encoded, before anything is sent
	Uploading              // bytes of slivers sent
	Reading                // bytes of the blob written out
)

// String names the stage in one word.
func (s Stage) String() string {
	return [...]string{"encoding", "uploading", "reading"}[s]
}

// Progress reports how far a stage has come, now and then and from one goroutine at a time. It must not block.
type Progress func(stage Stage, done, total int64)

func (p Progress) report(stage Stage, done, total int64) {
	if p != nil {
		p(stage, done, total)
	}
}

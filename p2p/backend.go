package p2p

import (
	"context"
	"io"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"walrus/certs"
	"walrus/shards"
)

// Backend is what a serving node provides. Its methods are called concurrently. Each ctx ends when the host is closed
// or the context of Serve ends; except for StorePairs and OpenSliver, which last as long as their bytes move, also after
// Limits.ResponseTimeout. Blob IDs, axes and list lengths have been checked, and indices to be below 65535: whether they
// exist in this network is for the Backend to say. Errors wrap the sentinels of this package; any other error is sent as
// ErrInternal without detail.
type Backend interface {
	// PutMetadata takes the metadata of a blob before its sliver pairs. It returns the pairs (by index) of which this
	// node already has both slivers. ErrNotRegistered, ErrMismatch.
	PutMetadata(ctx context.Context, from peer.ID, id shards.BlobID, metadata []byte) (held []int, err error)
	// StorePairs reads exactly size bytes from body: for each strip, for each of pairs in the order given: the strip
	// of its primary sliver, then that of its secondary sliver. It may return an error before the end of body.
	// ErrBadRequest for a size that is not what the metadata says, ErrNotFound without metadata, ErrNotOwner, ErrMismatch.
	StorePairs(ctx context.Context, from peer.ID, id shards.BlobID, pairs []int, body io.Reader, size int64) error
	// Confirm returns the node's confirmation, at most MaxConfirmation bytes, once every pair it is responsible for is
	// verified and durable, for a registration of that persistence. ErrNotFound while pairs are missing,
	// ErrNotRegistered without such a registration.
	Confirm(ctx context.Context, from peer.ID, id shards.BlobID, p certs.Persistence) (confirmation []byte, err error)
	// Metadata returns the metadata of the blob in binary form. ErrNotFound.
	Metadata(ctx context.Context, from peer.ID, id shards.BlobID) ([]byte, error)
	// OpenSliver gives access to a sliver in strip order. The caller closes it. ErrNotFound, ErrNotOwner, ErrCorrupt.
	OpenSliver(ctx context.Context, from peer.ID, id shards.BlobID, axis shards.Axis, index int) (SliverReader, error)
	// Symbols returns, for each of targets in order, the symbol at that position of the expansion of a sliver, with
	// its proof. It should refuse with ErrBadRequest when that is more than MaxSymbolsBytes. ErrNotFound, ErrNotOwner,
	// ErrCorrupt.
	Symbols(ctx context.Context, from peer.ID, id shards.BlobID, axis shards.Axis, index int, targets []int) ([]shards.Symbol, error)
	// BlobStatus says what the node has of a blob; for an unknown blob the zero BlobStatus and no error.
	BlobStatus(ctx context.Context, from peer.ID, id shards.BlobID) (BlobStatus, error)
	// NodeStatus describes the node.
	NodeStatus(ctx context.Context, from peer.ID) (NodeStatus, error)
	// NodeHistory is how the node was: at most MaxHistory points, the oldest first.
	NodeHistory(ctx context.Context, from peer.ID) ([]HistoryPoint, error)
	// Certificate returns the blob's certificate, at most MaxCertificate bytes. ErrNotFound.
	Certificate(ctx context.Context, from peer.ID, id shards.BlobID) ([]byte, error)
	// PutCertificate takes a certificate after checking it. ErrBadRequest for one that does not verify.
	PutCertificate(ctx context.Context, from peer.ID, certificate []byte) error
	// Certificates returns up to limit certificates in blob ID order, strictly after the given ID (all zero: from
	// the start), and whether there are more. It may return fewer than limit.
	Certificates(ctx context.Context, from peer.ID, after shards.BlobID, limit int) (certificates [][]byte, more bool, err error)
}

// SliverReader is an open sliver, its bytes in strip order.
type SliverReader interface {
	io.ReaderAt
	// Size of the sliver, in bytes.
	Size() int64
	io.Closer
}

// BlobStatus is what one node says it has of a blob.
type BlobStatus struct {
	Metadata    bool         // has the metadata
	Certificate []byte       // nil when it knows of none; at most MaxCertificate bytes
	Slivers     []ShardState // by shard, only shards of which it has or should have something; at most 65535
}

// ShardState is what a node has of a blob's sliver pair on one of its shards.
type ShardState struct {
	Shard              int
	Primary, Secondary bool // that sliver is stored complete
	Corrupt            bool // found damaged; repair is due
	Repairing          bool // being fetched or rebuilt
}

// NodeStatus is what a node says about itself. None of it is proven.
type NodeStatus struct {
	Version   string // at most MaxStatusText bytes
	State     string // joining, syncing, serving, read-only, …; at most MaxStatusText bytes
	Epoch     uint32
	Shards    []int  // held in Epoch, ascending; at most 65535
	Blobs     uint64 // with anything stored
	Slivers   uint64 // stored
	Owed      uint64 // slivers it should have and does not
	Corrupt   uint64 // slivers found damaged and not yet repaired
	DiskBytes uint64 // used by stored data
	Uptime    time.Duration
	Peers     int      // connected
	Incidents []string // newest first; at most MaxIncidents, each at most MaxStatusText bytes
	Height    uint64   // of the newest block of the ledger here
	Addresses []string // by which it says it is reached; at most MaxAddresses, each at most MaxStatusText bytes
	// ClockAhead is how far the node finds its clock ahead of the other members'; negative: behind; 0 as long as it does not know.
	ClockAhead time.Duration
	Ledger     string // how the ledger is, for people: that it goes on, or since when it stands still and why; at most MaxStatusText bytes

	Refuses     string // why it takes no new data, for people; empty while it does; at most MaxStatusText bytes
	DiskLimit   uint64 // most bytes that stored data may use; 0: no bound but the disk
	DiskFree    uint64 // free bytes on the disk of the stored data
	DiskReserve uint64 // free bytes below which it takes no new data
}

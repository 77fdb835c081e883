package p2p

import (
	"context"
	"io"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"walrus/certs"
	"walrus/probe"
	"walrus/shards"
)

// Backend answers the requests that a serving node gets, by protocol. Its methods are called concurrently.
//
// Each ctx ends when the host is closed, when the context of Serve ends, after Limits.ResponseTimeout, or when the peer
// that asks resets its stream or is gone. StorePairs and OpenSliver have no such timeout: they last as long as their
// bytes move. So does Symbols from its first write on. The ctx of PutMetadata and PutCertificate does not end with
// their peer: what it sent is complete.
//
// Blob IDs, axes and the lengths of lists have been checked. Indices are below 65535, but the Backend must check that
// they exist in its network.
//
// Errors wrap the sentinels of this package. Any other error is logged here and sent as ErrInternal without its text.
type Backend interface {
	BlobBackend
	CheckBackend
	NodeBackend
}

// CheckBackend answers the requests of the sliver protocol that find wrongly encoded blobs.
type CheckBackend interface {
	// Leaves returns the hashes of symbols of a sliver's expansion: for each target in order, with its proof; without
	// targets all of them, without proofs. ErrBusy, ErrNotFound, ErrNotOwner, ErrCorrupt.
	Leaves(ctx context.Context, r LeafRequest) ([]shards.Opening, error)
	// PutProof takes a cell proof or a refutation certificate, at most MaxEvidence bytes. ErrBadRequest for one that
	// does not verify.
	PutProof(ctx context.Context, from peer.ID, id shards.BlobID, proof []byte) error
	// LineProof opens a line proof that this node has made, followed by its sliver. ErrNotFound.
	LineProof(ctx context.Context, from peer.ID, id shards.BlobID, axis shards.Axis, index int) (SliverReader, error)
	// Refute fetches a line proof from the peer that asks and verifies it. It returns this node's signature that the
	// blob is invalid. ErrBadRequest for a proof that does not verify, ErrNotOwner for a peer that is no member.
	Refute(ctx context.Context, from peer.ID, id shards.BlobID, axis shards.Axis, index int) (refutation []byte, err error)
}

// LeafRequest asks for hashes of the symbols of one sliver's expansion.
type LeafRequest struct {
	From    peer.ID
	Blob    shards.BlobID
	Axis    shards.Axis
	Index   int
	Targets []int // positions in the expansion, each once; at most MaxLeaves. None: all positions
}

// ContentBackend answers the requests that read blobs. The pin protocol has no others.
type ContentBackend interface {
	// Metadata returns the blob's metadata in binary form. ErrNotFound.
	Metadata(ctx context.Context, id shards.BlobID) ([]byte, error)
	// OpenSliver opens a sliver for reading in strip order. The caller closes it. ErrNotFound, ErrNotOwner, ErrCorrupt.
	OpenSliver(ctx context.Context, id shards.BlobID, axis shards.Axis, index int) (SliverReader, error)
	// Symbols expands slivers and writes, for each sliver and each target in order, the part of the symbol and the
	// hashes of its proof. It checks everything that it can before its first write: later errors cut the stream. It
	// holds little memory and no share of the CPU while a write waits for a slow peer. ErrBadRequest if the blob has
	// other sizes than those expected, ErrBusy, ErrNotFound, ErrNotOwner, ErrCorrupt.
	Symbols(ctx context.Context, r SymbolRequest, w io.Writer) error
}

// BlobBackend answers the requests of the sliver protocol.
type BlobBackend interface {
	// PutMetadata takes the metadata of a blob from a peer, and so the offer of its sliver pairs. read fetches the
	// metadata, size bytes; until it is called, the peer has cost nothing but its header. PutMetadata returns the
	// indices of the pairs whose two slivers this node already has. Before it reads: ErrDenied, ErrMismatch for a size
	// that this network's metadata does not have. Later: ErrMismatch; ErrBusy if there is no room for an upload now.
	PutMetadata(ctx context.Context, from peer.ID, id shards.BlobID, token []byte, size int64,
		read func() ([]byte, error)) (held []int, err error)
	// StorePairs takes sliver pairs from a peer: exactly size bytes of body. For each strip, and within it for each
	// pair in the order given, body has the strip of the primary sliver, then the strip of the secondary sliver.
	// StorePairs may fail before the end of body. The first Read accepts the upload, if the peer waits for that.
	// ErrDenied, ErrNotRegistered; ErrBadRequest for a size that the metadata contradicts, ErrNotFound without
	// metadata, ErrNotOwner, ErrMismatch, ErrBusy, ErrSpent; ErrHave, before it reads anything, if all these slivers
	// are here.
	StorePairs(ctx context.Context, from peer.ID, id shards.BlobID, token []byte, pairs []int, body Body, size int64) error
	// Confirm returns the node's confirmation of a blob registered with persistence p, at most MaxConfirmation bytes.
	// Every pair the node is responsible for is then verified and durable. ErrNotFound while pairs are missing,
	// ErrNotRegistered without such a registration.
	Confirm(ctx context.Context, id shards.BlobID, p certs.Persistence) (confirmation []byte, err error)
	ContentBackend
	// BlobStatus reports what the node has of a blob: the zero BlobStatus, without an error, for an unknown one.
	BlobStatus(ctx context.Context, id shards.BlobID) (BlobStatus, error)
}

// NodeBackend answers the requests of the node protocol.
type NodeBackend interface {
	// NodeStatus describes the node now, in constant time. Only the node's operator sees local paths, see OperatorID.
	NodeStatus(ctx context.Context, from peer.ID) (NodeStatus, error)
	// NodeHistory describes the node's past: at most MaxHistory points, oldest first.
	NodeHistory(ctx context.Context) ([]HistoryPoint, error)
	// Certificate returns the blob's certificate, at most MaxCertificate bytes. ErrNotFound.
	Certificate(ctx context.Context, id shards.BlobID) ([]byte, error)
	// PutCertificate verifies and takes a certificate. ErrBadRequest for one that does not verify.
	PutCertificate(ctx context.Context, certificate []byte) error
	// Certificates returns a page of up to limit certificates, which may hold fewer, and whether more follow it. The
	// page is in blob ID order and begins strictly after the given ID; an ID of zeros begins at the start.
	Certificates(ctx context.Context, after shards.BlobID, limit int) (certificates [][]byte, more bool, err error)
}

// Body is the payload of an upload.
type Body interface {
	io.Reader
	// End makes a Read that waits, and all later ones, fail with err.
	End(err error)
}

// SymbolRequest is a peer's query. Its sizes are those that the peer expects.
type SymbolRequest struct {
	From peer.ID
	SymbolQuery
}

// SymbolQuery asks for symbols of several slivers' expansions, and for their proofs. All of it together has at most
// MaxSymbolsBytes. With a nonce the node is asked to sign what it answers; Network and Shards are not sent.
type SymbolQuery = probe.Question

// Notary is a Backend that lets its host sign answers to questions with a nonce, by the host's own key. A host whose
// Backend is none signs nothing.
type Notary interface {
	// Stamp names the network, by its ID and its shards, and the height of the node's own ledger. Height 0: the node
	// must not sign now.
	Stamp() (network certs.NetworkID, n int, height uint64)
}

// Lack is an error of Symbols: the sliver Sliver of the request is not here. Err wraps ErrNotFound, ErrNotOwner or
// ErrCorrupt, and is sent to the peer. Only refusals that are a *Lack are signed, and a signed one of ErrNotFound or
// ErrCorrupt convicts the node: it must owe that sliver by its own ledger, for long enough.
type Lack struct {
	Sliver int
	Err    error
}

func (l *Lack) Error() string { return l.Err.Error() }

func (l *Lack) Unwrap() error { return l.Err }

// SliverReader reads an open sliver, its bytes in strip order.
type SliverReader interface {
	io.ReaderAt
	// Size returns the size of the sliver, in bytes.
	Size() int64
	io.Closer
}

// BlobStatus lists the parts of a blob that one node claims to have.
type BlobStatus struct {
	Metadata    bool         // has the metadata
	Certificate []byte       // at most MaxCertificate bytes; nil if the node knows no certificate
	Slivers     []ShardState // by shard; only shards where the node has or should have a sliver; at most 65535
}

// ShardState describes a blob's sliver pair on one of a node's shards.
type ShardState struct {
	Shard              int
	Primary, Secondary bool // the sliver is stored complete
	Corrupt            bool // found damaged, waiting for repair
	Repairing          bool // being fetched or rebuilt
}

// NodeStatus holds a node's claims about itself. None of them is proven.
type NodeStatus struct {
	Version string // at most MaxStatusText bytes
	State   string // joining, syncing, serving, read-only, …; at most MaxStatusText bytes
	Epoch   uint32
	Shards  []int  // held in Epoch, ascending; at most 65535
	Blobs   uint64 // blobs with any part stored
	Slivers uint64 // stored slivers
	RepairState
	Invalid   uint64 // blobs that it learned to be encoded wrongly since its start; it keeps nothing of them
	DiskBytes uint64 // used by stored data
	Uptime    time.Duration
	Peers     int      // connected
	Incidents []string // newest first; at most MaxIncidents, each at most MaxStatusText bytes
	Height    uint64   // of the newest block of the ledger on this node
	Presence
	// ClockAhead compares the node's clock with the clocks of other members. Negative: behind. 0: equal, or not known
	// yet.
	ClockAhead time.Duration
	Ledger     string // state of the ledger, for people: progress, or why it stalls; at most MaxStatusText bytes

	Refuses     string // for people: why the node takes no new data; empty while it does; at most MaxStatusText bytes
	DiskLimit   uint64 // bytes that stored data may use; 0: only the disk bounds it
	DiskFree    uint64 // free bytes on the disk of the stored data
	DiskReserve uint64 // with fewer free bytes than this it takes no new data
}

// Presence tells where others find a node.
type Presence struct {
	Addresses []string // the node's addresses for others; at most MaxAddresses, each at most MaxStatusText bytes
	Reach     string   // how others reach it, for people: a Reach's Summary; at most MaxStatusText bytes
	Seen      string   // for its operator only: what monitors said of it lately; at most MaxStatusText bytes
}

// RepairState tells how far a node's repair is.
type RepairState struct {
	Owed    uint64 // slivers that the node should have but lacks
	Corrupt uint64 // slivers found damaged and not yet repaired
	// RepairRate is the number of slivers rebuilt per hour, lately. RepairLeft estimates the time until none is owed.
	// 0: nothing is owed, or not known.
	RepairRate uint64
	RepairLeft time.Duration
}

package keeper

import (
	"context"
	"io"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"walrus/p2p"
	"walrus/shards"
)

const (
	// dialTimeout bounds finding and dialling one member.
	dialTimeout = 5 * time.Second
	// requestTimeout bounds a request with a small answer, so that a silent member does not delay the others.
	requestTimeout = 10 * time.Second
)

// Peers asks connected nodes. *p2p.Host implements it; its methods state the errors.
type Peers interface {
	Metadata(ctx context.Context, to peer.ID, id shards.BlobID, most int) ([]byte, error)
	SymbolParts(ctx context.Context, to peer.ID, q p2p.SymbolQuery) ([]shards.Symbol, error)
	NodeStatus(ctx context.Context, to peer.ID) (p2p.NodeStatus, error)
	Certificates(ctx context.Context, to peer.ID, after shards.BlobID, limit int) (certificates [][]byte,
		more bool, err error)
	// SetProtected keeps room for ids and the connections to them, for a reason; those it kept before lose it.
	SetProtected(reason string, ids []peer.ID)
	// Recognize sets a peer apart from strangers until a time: it has a token of an account that pays for its uploads.
	Recognize(id peer.ID, account p2p.Account, until time.Time)
}

// Checks asks connected nodes about wrongly encoded blobs. p2p.Checks implements it.
type Checks interface {
	Leaves(ctx context.Context, to peer.ID, id shards.BlobID, axis shards.Axis, index int, targets []int,
		proofSize int) ([]shards.Opening, error)
	PutProof(ctx context.Context, to peer.ID, id shards.BlobID, proof []byte) error
	FetchLineProof(ctx context.Context, to peer.ID, id shards.BlobID, axis shards.Axis, index int,
		size int64) (io.ReadCloser, error)
	Refute(ctx context.Context, to peer.ID, id shards.BlobID, axis shards.Axis, index int) (refutation []byte, err error)
}

// Network finds nodes. *dht.DHT implements it.
type Network interface {
	// Connect finds and dials a node.
	Connect(ctx context.Context, id peer.ID) error
	// Joined waits until another node of this network has been reached.
	Joined(ctx context.Context) error
	// Elsewhere names the other network that all bootstrap nodes belong to; "" if they do not.
	Elsewhere() string
}

// swarm holds all views of the other nodes.
type swarm struct {
	Peers
	Checks
	Network
}

// connect finds and dials a member within dialTimeout.
func (s swarm) connect(ctx context.Context, id peer.ID) error {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	return s.Connect(ctx, id)
}

// bounded makes a small request with requestTimeout.
func bounded[T any](ctx context.Context, request func(context.Context) (T, error)) (T, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	return request(ctx)
}

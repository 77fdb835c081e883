package client

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/libp2p/go-libp2p/core/peer"

	"walrus/certs"
	"walrus/gather"
	"walrus/shards"
)

// ReadOptions configures one Read or CopyRange call.
type ReadOptions struct {
	Progress Progress
	// Strict encodes the whole blob again and compares the blob ID before the first byte is written out. This also
	// finds a writer who encoded parity wrongly. The default checks every source row against the metadata, without
	// waiting. For files of a quilt, Strict compares every cell of their columns with its row, and the default some.
	Strict bool
}

// ReadResult reports how a read went.
type ReadResult struct {
	Size    uint64    // bytes of the blob
	Fetched int64     // bytes of slivers received and verified
	Cached  int64     // bytes of slivers taken from the cache or from another read
	Decoded int       // source rows decoded from parity because their nodes did not deliver
	Bad     []BadNode // nodes and pinners that served wrong bytes or did not deliver
	Pinned  int64     // of Fetched: bytes from peers that pin the blob
	Pinners []peer.ID // the peers that gave them
	// WhyPinned says why the committee did not give them; nil if Pinners is empty.
	WhyPinned error
}

// Read writes blob id to w, source row by source row, as rows come in and are verified. Rows that are missing or slow
// are decoded from parity. Unverified bytes are never written. Read works while the ledger is stalled. If the ledger
// says that the blob has ended or was never certified, Read returns ErrNotFound. Errors: ErrNotFound, ErrInvalidBlob,
// *NotEnoughError, or w's own. Bytes written before an error are a correct prefix of the blob. With an error Read also
// returns the result so far.
func (c *Client) Read(ctx context.Context, id shards.BlobID, w io.Writer, opt ReadOptions) (*ReadResult, error) {
	b, err := c.Open(ctx, id)
	if err != nil {
		return nil, err
	}
	return b.CopyRange(ctx, w, 0, int64(b.Size()), opt)
}

// metadata fetches the blob's metadata from the first node that has it. op begins its errors. The BadNodes returned
// served false metadata. The error is an *InvalidBlobError if nodes say so whose shards cannot all lie.
func (c *Client) metadata(ctx context.Context, com *certs.Committee, id shards.BlobID, op string) (*shards.Metadata, []BadNode, error) {
	params := com.Params()
	var meta *shards.Metadata
	tally := c.nodes.ask(ctx, com, func(ctx context.Context, i int, m *certs.Member) (any, error) {
		b, err := c.nodes.Metadata(ctx, m.Node, id, params.MetadataSize())
		if err != nil {
			return nil, err
		}
		return shards.UnmarshalMetadata(params, id, b)
	}, func(a answers) bool {
		if m, ok := a.last.(*shards.Metadata); ok {
			meta = m
		}
		return meta != nil || a.notFound >= com.Quorum() || a.invalid >= com.OneHonest()
	})
	var liars []BadNode
	for _, b := range tally.bad {
		if b.Lied {
			liars = append(liars, b)
		}
	}
	switch {
	case tally.invalid >= com.OneHonest(): // one of them is honest
		return nil, nil, fmt.Errorf("%s: %w", op, &InvalidBlobError{BlobID: id, Said: tally.invalid})
	case meta != nil:
		return meta, liars, nil
	case ctx.Err() != nil:
		return nil, nil, fmt.Errorf("%s: %w", op, ctx.Err())
	case tally.notFound >= com.Quorum():
		return nil, nil, fmt.Errorf("%s: %w", op, ErrNotFound)
	}
	return nil, nil, &NotEnoughError{
		Op: op, Did: "answered (that they do not know the blob)", Have: tally.notFound, Needed: com.Quorum(),
		Shards: params.Shards(), Nodes: tally.bad, Advice: "too few to say whether the blob exists; try again when more nodes are up",
	}
}

// errLied marks a well-formed answer to another question.
var errLied = errors.New("answered another question than was asked")

// lied reports whether err proves that the node served wrong bytes. Other errors are failures.
func lied(err error) bool {
	for _, lie := range []error{errLied, certs.ErrFormat, certs.ErrEpoch, certs.ErrSigners, certs.ErrSignature, certs.ErrWeight} {
		if errors.Is(err, lie) {
			return true
		}
	}
	return gather.Judge(err) == gather.Lied
}

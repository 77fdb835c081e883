package p2p

import (
	"context"
	"fmt"
	"io"

	"github.com/libp2p/go-libp2p/core/peer"

	"walrus/p2p/internal/wire"
	"walrus/shards"
)

// leaves answers with hashes of symbols: for each target its hash, then its proof.
func (x *request) leaves(ctx context.Context, op *wire.GetLeaves) error {
	list, err := x.backend.Leaves(ctx, LeafRequest{
		From: x.from, Blob: x.id, Axis: shards.Axis(op.GetAxis()), Index: int(op.GetIndex()), Targets: ints(op.GetTargets()),
	})
	if err != nil {
		return err
	}
	if n := len(op.GetTargets()); n > 0 && len(list) != n {
		return fmt.Errorf("backend returned %d hashes of symbols: asked for %d", len(list), n)
	}
	var payload []byte
	for i := range list {
		payload = append(payload, list[i].Leaf[:]...)
		for _, h := range list[i].Path {
			payload = append(payload, h[:]...)
		}
	}
	return x.replyBytes(payload, nil)
}

// Checks asks peers about wrongly encoded blobs. Errors are as of the other requests.
type Checks struct{ h *Host }

// Checks returns the requests about wrongly encoded blobs.
func (h *Host) Checks() Checks { return Checks{h} }

// Leaves fetches the unverified hashes of the symbols at targets of a sliver's expansion, each with a proof of proofLen
// hashes. shards.Metadata.VerifyOpenings checks them.
func (c Checks) Leaves(ctx context.Context, to peer.ID, id shards.BlobID, axis shards.Axis, index int, targets []int, proofLen int) (leaves []shards.Opening, err error) {
	defer describe(&err, to, "hashes of %s sliver %d of %s", axis, index, id)
	if len(targets) == 0 || len(targets) > MaxLeaves || proofLen < 0 || proofLen > wire.MaxProof {
		return nil, fmt.Errorf("%w: %d hashes with proofs of %d", ErrBadRequest, len(targets), proofLen)
	}
	a, err := c.askLeaves(ctx, to, id, axis, index, targets, len(targets)*(1+proofLen))
	if err != nil {
		return nil, err
	}
	defer a.Close()
	for range targets {
		l := shards.Opening{Path: make([]shards.Hash, proofLen)}
		if _, err := io.ReadFull(a, l.Leaf[:]); err != nil {
			return nil, err
		}
		for i := range l.Path {
			if _, err := io.ReadFull(a, l.Path[i][:]); err != nil {
				return nil, err
			}
		}
		leaves = append(leaves, l)
	}
	return leaves, nil
}

// AllLeaves fetches the unverified hashes of all n symbols of a sliver's expansion. shards.Metadata.NewExpansion checks
// them.
func (c Checks) AllLeaves(ctx context.Context, to peer.ID, id shards.BlobID, axis shards.Axis, index, n int) (leaves []shards.Hash, err error) {
	defer describe(&err, to, "hashes of %s sliver %d of %s", axis, index, id)
	if n < 1 || n > wire.MaxShards {
		return nil, fmt.Errorf("%w: %d hashes", ErrBadRequest, n)
	}
	a, err := c.askLeaves(ctx, to, id, axis, index, nil, n)
	if err != nil {
		return nil, err
	}
	defer a.Close()
	leaves = make([]shards.Hash, n)
	for i := range leaves {
		if _, err := io.ReadFull(a, leaves[i][:]); err != nil {
			return nil, err
		}
	}
	return leaves, nil
}

// askLeaves opens an answer of a known number of hashes.
func (c Checks) askLeaves(ctx context.Context, to peer.ID, id shards.BlobID, axis shards.Axis, index int, targets []int, hashes int) (*answer, error) {
	list, err := indices(targets)
	if err != nil {
		return nil, err
	}
	if index < 0 || index >= wire.MaxShards {
		return nil, fmt.Errorf("%w: sliver %d", ErrBadRequest, index)
	}
	req := &wire.Request{BlobId: id[:], Op: &wire.Request_GetLeaves{GetLeaves: &wire.GetLeaves{
		Axis: uint32(axis), Index: uint32(index), Targets: list,
	}}}
	a, err := c.h.ask(ctx, target{to, sliverProtocol}, req, nil)
	if err != nil {
		return nil, err
	}
	if want := int64(hashes) * shards.HashSize; a.payload.left != want {
		return nil, a.broken("hashes of %d bytes: want %d", a.payload.left, want)
	}
	return a, nil
}

// PutProof gives a node a proof that a blob was encoded wrongly.
func (c Checks) PutProof(ctx context.Context, to peer.ID, id shards.BlobID, proof []byte) (err error) {
	defer describe(&err, to, "put a proof about %s", id)
	if len(proof) > MaxEvidence {
		return fmt.Errorf("%w: proof of %d bytes: the limit is %d", ErrBadRequest, len(proof), MaxEvidence)
	}
	req := &wire.Request{BlobId: id[:], Op: &wire.Request_PutProof{PutProof: new(wire.PutProof)}}
	_, err = c.h.askBytes(ctx, target{to, sliverProtocol}, req, proof)
	return err
}

// FetchLineProof opens an unverified line proof that a node has made, followed by its sliver: size bytes in all. It
// is like FetchSliver otherwise.
func (c Checks) FetchLineProof(ctx context.Context, to peer.ID, id shards.BlobID, axis shards.Axis, index int, size int64) (r io.ReadCloser, err error) {
	defer describe(&err, to, "line proof for %s sliver %d of %s", axis, index, id)
	req := &wire.Request{BlobId: id[:], Op: &wire.Request_GetLineProof{GetLineProof: &wire.GetLineProof{Axis: uint32(axis), Index: uint32(index)}}}
	a, err := c.h.ask(ctx, target{to, sliverProtocol}, req, nil)
	if err != nil {
		return nil, err
	}
	if a.payload.left != size {
		return nil, a.broken("line proof of %d bytes: want %d", a.payload.left, size)
	}
	return a, nil
}

// Refute asks a member to fetch our line proof, to verify it and to sign that the blob is invalid.
func (c Checks) Refute(ctx context.Context, to peer.ID, id shards.BlobID, axis shards.Axis, index int) (refutation []byte, err error) {
	defer describe(&err, to, "refute %s", id)
	req := &wire.Request{BlobId: id[:], Op: &wire.Request_Refute{Refute: &wire.Refute{Axis: uint32(axis), Index: uint32(index)}}}
	return c.h.askBytes(ctx, target{to, sliverProtocol}, req, nil)
}

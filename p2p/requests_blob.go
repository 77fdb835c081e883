package p2p

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"

	"github.com/libp2p/go-libp2p/core/peer"

	"walrus/certs"
	"walrus/p2p/internal/wire"
	"walrus/shards"
)

// The methods below ask a peer. Their errors are one of:
//   - the sentinel that the peer reported, wrapped;
//   - ErrUnavailable, wrapped: the peer cannot be reached, breaks off, or stalls;
//   - ErrProtocol, wrapped: the answer is nonsense;
//   - the cause of the end of ctx.
//
// The timeouts of Limits apply even if ctx has no deadline, so a silent peer cannot block a request for ever.

// describe adds the request and the peer to an error.
func describe(err *error, to peer.ID, format string, args ...any) {
	if *err != nil {
		*err = fmt.Errorf("%s: peer %s: %w", fmt.Sprintf(format, args...), to, *err)
	}
}

// PutMetadata offers a blob to a node by its metadata. It returns the indices of the pairs that the node already has;
// the node has room for the others now. token is an upload token for this peer.
func (h *Host) PutMetadata(ctx context.Context, to peer.ID, id shards.BlobID, token, metadata []byte) (held []int, err error) {
	defer describe(&err, to, "put metadata of %s", id)
	req := &wire.Request{BlobId: id[:], Op: &wire.Request_PutMetadata{PutMetadata: &wire.PutMetadata{Token: token}}}
	var a *answer
	if len(metadata) <= smallPayload {
		a, err = h.ask(ctx, target{to, sliverProtocol}, req, metadata)
	} else {
		a, err = h.upload(ctx, target{to, sliverProtocol}, req, int64(len(metadata)), func(w io.Writer) error {
			_, err := w.Write(metadata)
			return err
		})
	}
	if err != nil {
		return nil, err
	}
	defer a.Close()
	return a.indices()
}

// StorePairs uploads at most MaxPairs sliver pairs of a blob. body writes size bytes, in the order given at
// BlobBackend.StorePairs, in writes of any size. If they are more than InlinePairs, the node is asked first, and body
// is not called before it accepts. When the node refuses later, body's next Write fails and StorePairs returns the
// node's error.
func (h *Host) StorePairs(ctx context.Context, to peer.ID, id shards.BlobID, token []byte, pairs []int, size int64,
	body func(io.Writer) error) (err error) {
	defer describe(&err, to, "store %d pairs of %s", len(pairs), id)
	list, err := indices(pairs)
	if err != nil {
		return err
	}
	op := &wire.StorePairs{Pairs: list, Token: token, Offer: size > InlinePairs}
	req := &wire.Request{BlobId: id[:], Op: &wire.Request_StorePairs{StorePairs: op}}
	a, err := h.upload(ctx, target{to, sliverProtocol}, req, size, body)
	if err != nil {
		return err
	}
	return a.Close()
}

// Confirm asks for the node's confirmation of a blob that is registered with persistence p.
func (h *Host) Confirm(ctx context.Context, to peer.ID, id shards.BlobID, p certs.Persistence) (confirmation []byte, err error) {
	defer describe(&err, to, "confirm %s", id)
	op := new(wire.Confirm)
	if p.Deletable {
		op.Object = p.Object[:]
	}
	req := &wire.Request{BlobId: id[:], Op: &wire.Request_Confirm{Confirm: op}}
	return h.askBytes(ctx, target{to, sliverProtocol}, req, nil)
}

// BlobStatus asks a node for the parts of a blob that it has.
func (h *Host) BlobStatus(ctx context.Context, to peer.ID, id shards.BlobID) (status BlobStatus, err error) {
	defer describe(&err, to, "status of %s", id)
	req := &wire.Request{BlobId: id[:], Op: &wire.Request_GetBlobStatus{GetBlobStatus: new(wire.GetBlobStatus)}}
	a, err := h.ask(ctx, target{to, sliverProtocol}, req, nil)
	if err != nil {
		return BlobStatus{}, err
	}
	defer a.Close()
	result := a.GetBlobStatus()
	if result == nil {
		return BlobStatus{}, a.broken("no blob status in the response")
	}
	b, err := a.bytes()
	if err != nil {
		return BlobStatus{}, err
	}
	status.Metadata = result.GetMetadata()
	if n := result.GetCertificate(); n > 0 {
		status.Certificate = b[:n:n]
	}
	for b = b[result.GetCertificate():]; len(b) > 0; b = b[wire.ShardStateSize:] {
		bits := b[wire.ShardSize]
		status.Slivers = append(status.Slivers, ShardState{
			Shard:     int(binary.LittleEndian.Uint16(b)),
			Primary:   bits&statePrimary != 0,
			Secondary: bits&stateSecondary != 0,
			Corrupt:   bits&stateCorrupt != 0,
			Repairing: bits&stateRepairing != 0,
		})
	}
	return status, nil
}

// askBytes sends a request and returns the whole payload of the response.
func (h *Host) askBytes(ctx context.Context, to target, req *wire.Request, small []byte) ([]byte, error) {
	a, err := h.ask(ctx, to, req, small)
	if err != nil {
		return nil, err
	}
	defer a.Close()
	return a.bytes()
}

// bytes reads the whole payload. Its size has been checked.
func (a *answer) bytes() ([]byte, error) {
	b, err := a.payload.all()
	if err != nil {
		return nil, a.fail(err)
	}
	return b, nil
}

// indices decodes a payload of shards or pairs.
func (a *answer) indices() ([]int, error) {
	b, err := a.bytes()
	if err != nil {
		return nil, err
	}
	if len(b)%wire.ShardSize != 0 {
		return nil, a.broken("list of %d bytes", len(b))
	}
	list := make([]int, 0, len(b)/wire.ShardSize)
	for ; len(b) > 0; b = b[wire.ShardSize:] {
		i := int(binary.LittleEndian.Uint16(b))
		if i >= wire.MaxShards {
			return nil, a.broken("index %d", i)
		}
		list = append(list, i)
	}
	return list, nil
}

func indices(list []int) ([]uint32, error) {
	out := make([]uint32, len(list))
	for k, i := range list {
		if i < 0 || i >= wire.MaxShards {
			return nil, fmt.Errorf("%w: index %d: must be below %d", ErrBadRequest, i, wire.MaxShards)
		}
		out[k] = uint32(i)
	}
	return out, nil
}

package p2p

import (
	"context"
	"fmt"
	"io"

	"github.com/libp2p/go-libp2p/core/peer"

	"walrus/p2p/internal/wire"
	"walrus/probe"
	"walrus/shards"
)

// Content asks peers for what blobs consist of: nodes of the committee, as part of Host, or pinners. Errors are as of
// the other requests.
type Content struct {
	h        *Host
	protocol string
}

// Pins returns the requests to peers that pin blobs.
func (h *Host) Pins() Content { return Content{h, pinProtocol} }

// Metadata fetches the unverified metadata of a blob. An answer above most bytes, its size in this network, fails.
func (c Content) Metadata(ctx context.Context, to peer.ID, id shards.BlobID, most int) (metadata []byte, err error) {
	defer describe(&err, to, "metadata of %s", id)
	req := &wire.Request{BlobId: id[:], Op: &wire.Request_GetMetadata{GetMetadata: new(wire.GetMetadata)}}
	a, err := c.h.ask(ctx, target{to, c.protocol}, req, nil)
	if err != nil {
		return nil, err
	}
	defer a.Close()
	if a.payload.left > int64(most) {
		return nil, a.broken("metadata of %d bytes: want at most %d", a.payload.left, most)
	}
	return a.bytes()
}

// FetchSliver opens the unverified bytes [offset, offset+length) of a sliver in strip order. The caller closes the
// reader. It returns exactly length bytes, then io.EOF. The error of a broken transfer wraps io.ErrUnexpectedEOF and
// ErrUnavailable. The reader fails when ctx ends.
func (c Content) FetchSliver(ctx context.Context, to peer.ID, id shards.BlobID, axis shards.Axis, index int,
	offset, length int64) (r io.ReadCloser, err error) {
	defer describe(&err, to, "fetch %s sliver %d of %s", axis, index, id)
	if index < 0 || index >= wire.MaxShards || offset < 0 || length < 0 {
		return nil, fmt.Errorf("%w: sliver %d, %d bytes at %d", ErrBadRequest, index, length, offset)
	}
	req := &wire.Request{BlobId: id[:], Op: &wire.Request_ReadSliver{ReadSliver: &wire.ReadSliver{
		Axis: uint32(axis), Index: uint32(index), Offset: uint64(offset), Length: uint64(length),
	}}}
	a, err := c.h.ask(ctx, target{to, c.protocol}, req, nil)
	if err != nil {
		return nil, err
	}
	if a.GetSliver() == nil || a.payload.left != length || int64(a.GetSliver().GetSize()) < offset+length {
		return nil, a.broken("%d bytes of a sliver of %d: asked for %d at %d", a.payload.left, a.GetSliver().GetSize(), length, offset)
	}
	return a, nil
}

// Symbols fetches unverified recovery symbols of a sliver with their proofs, one for each of targets, in order. Each
// has symbolSize bytes and a proof of proofLen hashes. Together they have at most MaxSymbolsBytes.
func (c Content) Symbols(ctx context.Context, to peer.ID, id shards.BlobID, axis shards.Axis, index int,
	targets []int, symbolSize int64, proofLen int) (symbols []shards.Symbol, err error) {
	return c.SymbolParts(ctx, to, SymbolQuery{
		Blob: id, Axis: axis, Slivers: []int{index}, Targets: targets, SymbolSize: symbolSize, Length: symbolSize, ProofLen: proofLen,
	})
}

// SymbolParts fetches what q asks for, unverified: for each sliver in order, a symbol for each target in order. A
// question with a nonce costs a signature, which is not looked at: see Host.Probe.
func (c Content) SymbolParts(ctx context.Context, to peer.ID, q SymbolQuery) (symbols []shards.Symbol, err error) {
	defer describe(&err, to, "symbols of %d %s slivers of %s", len(q.Slivers), q.Axis, q.Blob)
	a, signed, err := c.askSymbols(ctx, to, &q)
	if err != nil {
		return nil, err
	}
	defer a.Close()
	symbols = make([]shards.Symbol, 0, len(q.Slivers)*len(q.Targets))
	for range cap(symbols) {
		sym := shards.Symbol{Data: make([]byte, q.Length), Proof: make([]shards.Hash, q.ProofLen)}
		if _, err := io.ReadFull(a, sym.Data); err != nil {
			return nil, err
		}
		for i := range sym.Proof {
			if _, err := io.ReadFull(a, sym.Proof[i][:]); err != nil {
				return nil, err
			}
		}
		symbols = append(symbols, sym)
	}
	if signed {
		_, err = io.CopyN(io.Discard, a, wire.SignatureSize)
	}
	return symbols, err
}

// askSymbols asks for symbols, and tells whether a signature follows them.
func (c Content) askSymbols(ctx context.Context, to peer.ID, q *SymbolQuery) (a *answer, signed bool, err error) {
	op, err := encodeQuery(q)
	if err != nil {
		return nil, false, err
	}
	req := &wire.Request{BlobId: q.Blob[:], Op: &wire.Request_GetSymbols{GetSymbols: op}}
	if err := req.Validate(); err != nil {
		return nil, false, fmt.Errorf("%w: %w", ErrBadRequest, err)
	}
	a, err = c.h.ask(ctx, target{to, c.protocol}, req, nil)
	if err != nil {
		return nil, false, err
	}
	want := int64(op.Symbols())
	signed = len(op.GetNonce()) > 0 && a.payload.left == want+wire.SignatureSize
	if a.payload.left != want && !signed {
		return nil, false, a.broken("symbols of %d bytes: want %d", a.payload.left, want)
	}
	return a, signed, nil
}

// encodeQuery makes the operation. On the wire a length of 0 reaches to the end of the symbols.
func encodeQuery(q *SymbolQuery) (*wire.GetSymbols, error) {
	targets, err := indices(q.Targets)
	if err != nil {
		return nil, err
	}
	slivers, err := indices(q.Slivers)
	if err != nil {
		return nil, err
	}
	if len(slivers) == 0 || q.SymbolSize < 1 || q.ProofLen < 0 || q.Offset < 0 || q.Length < 0 {
		return nil, fmt.Errorf("%w: %d slivers, bytes [%d, %d) of symbols of %d bytes with %d hashes",
			ErrBadRequest, len(slivers), q.Offset, q.Offset+q.Length, q.SymbolSize, q.ProofLen)
	}
	op := &wire.GetSymbols{
		Axis: uint32(q.Axis), Index: slivers[0], More: slivers[1:], Targets: targets,
		SymbolSize: uint64(q.SymbolSize), ProofLen: uint32(q.ProofLen), Offset: uint64(q.Offset), Length: uint64(q.Length),
	}
	if q.Nonce != (probe.Nonce{}) {
		op.Nonce, op.Height = q.Nonce[:], q.Height
	}
	switch {
	case q.Length == 0:
		op.Offset = op.SymbolSize
	case q.Offset+q.Length == q.SymbolSize:
		op.Length = 0
	}
	return op, nil
}

// decodeQuery reads a valid operation.
func decodeQuery(id shards.BlobID, op *wire.GetSymbols) SymbolQuery {
	q := SymbolQuery{
		Blob: id, Axis: shards.Axis(op.GetAxis()), Slivers: append([]int{int(op.GetIndex())}, ints(op.GetMore())...), Targets: ints(op.GetTargets()),
		SymbolSize: int64(op.GetSymbolSize()), ProofLen: int(op.GetProofLen()), Offset: int64(op.GetOffset()), Length: int64(op.GetLength()),
	}
	if q.Length == 0 {
		q.Length = q.SymbolSize - q.Offset
	}
	if len(op.GetNonce()) > 0 {
		q.Nonce, q.Height = probe.Nonce(op.GetNonce()), op.GetHeight()
	}
	return q
}

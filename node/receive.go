package node

import (
	"context"
	"fmt"
	"io"

	"github.com/libp2p/go-libp2p/core/peer"

	"walrus/p2p"
	"walrus/shards"
	"walrus/store"
)

// StorePairs takes sliver pairs of a blob whose metadata is here, once the blob is registered. Slivers are verified
// strip by strip as they arrive. Verified slivers become visible at the end; others are discarded.
func (b backend) StorePairs(ctx context.Context, from peer.ID, id shards.BlobID, pairs []int, body io.Reader, size int64) (err error) {
	n := b.n
	defer func() { n.countRefusal(err) }()
	raw, early, err := n.uploadMetadata(id)
	if err != nil {
		return wireError(err)
	}
	meta, err := shards.UnmarshalMetadata(n.params, id, raw)
	if err != nil {
		return err
	}
	want := int64(len(pairs)) * (meta.Layout(shards.Primary).Size() + meta.Layout(shards.Secondary).Size())
	if size != want {
		return fmt.Errorf("%w: %d bytes announced for %d pairs: they have %d", p2p.ErrBadRequest, size, len(pairs), want)
	}
	var end uint32
	if err := n.pending.await(ctx, func() (err error) { end, err = n.mayStore(id); return err }); err != nil {
		return err
	}
	if early {
		if err := n.store.PutBlob(id, raw, end); err != nil {
			return wireError(err)
		}
		n.pending.remove(id)
	}
	if err := n.admit(meta, len(pairs)); err != nil {
		return err
	}
	defer n.release(meta, len(pairs))
	defer n.debts.upload(id)()
	in := make([]*incoming, 0, len(axes)*len(pairs))
	defer func() {
		for _, s := range in {
			s.writer.Abort()
		}
	}()
	for _, pair := range pairs {
		for _, axis := range axes {
			s, err := n.expect(meta, id, axis, pair)
			if err != nil {
				return err
			}
			in = append(in, s)
		}
	}
	if err := receive(meta, in, body); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	for _, s := range in {
		if err := s.verifier.Close(); err != nil {
			n.log.Warn("peer sent a sliver that does not match its blob", "peer", from.String(), "blob", id.String(), "shard", s.ref.Shard, "err", err)
			return fmt.Errorf("%w: shard %d: %w", p2p.ErrMismatch, s.ref.Shard, err)
		}
		if err := s.writer.Commit(); err != nil {
			return wireError(err)
		}
		n.damaged.mended(s.ref)
		n.meters.stored(s.ref.Axis)
	}
	if n.certified(id) {
		return n.recount(id, 0)
	}
	return nil
}

// uploadMetadata returns the metadata of a blob that is being uploaded. early tells that it came before the
// registration.
func (n *Node) uploadMetadata(id shards.BlobID) (raw []byte, early bool, err error) {
	if raw := n.pending.get(id); raw != nil {
		return raw, true, nil
	}
	raw, err = n.store.Metadata(id)
	return raw, false, err
}

// uploadWeight estimates the bytes of memory that incoming pairs of a blob need: for each sliver a segment, or the
// whole if smaller, and the hash states of its n symbols.
func (n *Node) uploadWeight(meta *shards.Metadata, pairs int) int64 {
	const segment, state = 512 << 10, 128
	var each int64
	for _, axis := range axes {
		each += min(meta.Layout(axis).Size(), segment) + int64(n.params.Shards())*state
	}
	return min(int64(pairs)*each, n.cfg.UploadMemory)
}

// admit reserves memory for an upload; ErrBusy if there is none.
func (n *Node) admit(meta *shards.Metadata, pairs int) error {
	if !n.uploadMemory.TryAcquire(n.uploadWeight(meta, pairs)) {
		return fmt.Errorf("%w: too many uploads at once", p2p.ErrBusy)
	}
	return nil
}

func (n *Node) release(meta *shards.Metadata, pairs int) {
	n.uploadMemory.Release(n.uploadWeight(meta, pairs))
}

// incoming is a sliver being received.
type incoming struct {
	ref      store.Ref
	verifier *shards.Verifier
	writer   *store.SliverWriter
}

// expect opens a verifier and a writer for a sliver of pair; ErrNotOwner if it does not belong here.
func (n *Node) expect(meta *shards.Metadata, id shards.BlobID, axis shards.Axis, pair int) (*incoming, error) {
	if pair < 0 || pair >= n.params.Shards() {
		return nil, fmt.Errorf("%w: no sliver pair %d among %d", p2p.ErrBadRequest, pair, n.params.Shards())
	}
	index := n.params.SliverOfPair(axis, pair)
	ref, err := n.locate(id, axis, index)
	if err != nil {
		return nil, err
	}
	verifier, err := shards.NewVerifier(meta, axis, index)
	if err != nil {
		return nil, err
	}
	writer, err := n.store.Create(ref, meta.Layout(axis).Size())
	if err != nil {
		return nil, wireError(err)
	}
	return &incoming{ref: ref, verifier: verifier, writer: writer}, nil
}

// receive reads body strip by strip: strip t of every sliver, then strip t+1. It holds one strip in memory.
func receive(meta *shards.Metadata, in []*incoming, body io.Reader) error {
	_, size := meta.Layout(shards.Primary).Strip(0)
	buf := make([]byte, size)
	for t := range meta.Layout(shards.Primary).Strips() {
		for _, s := range in {
			_, size := meta.Layout(s.ref.Axis).Strip(t)
			strip := buf[:size]
			if _, err := io.ReadFull(body, strip); err != nil {
				return fmt.Errorf("receive strip %d: %w", t, err)
			}
			if err := s.verifier.WriteStrip(strip); err != nil {
				return fmt.Errorf("%w: shard %d: %w", p2p.ErrMismatch, s.ref.Shard, err)
			}
			if _, err := s.writer.Write(strip); err != nil {
				return wireError(err)
			}
		}
	}
	return nil
}

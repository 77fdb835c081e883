package keeper

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"

	"github.com/libp2p/go-libp2p/core/peer"
	"golang.org/x/sync/semaphore"

	"walrus/p2p"
	"walrus/shards"
	"walrus/store"
)

// receiver takes blobs from clients.
type receiver struct {
	shelf   *shelf
	chain   chain
	book    *book
	debts   *debts
	damage  *damage
	pending *pending
	meters  *meters
	limit   int64               // Config.UploadMemory
	memory  *semaphore.Weighted // of limit
	log     *slog.Logger
}

// PutMetadata stores the metadata of a registered blob and returns the pairs that are here already. Metadata of a
// blob not yet registered is held for registrationPatience.
func (r *receiver) PutMetadata(_ context.Context, from peer.ID, id shards.BlobID, metadata []byte) (held []int, err error) {
	defer func() { r.countRefusal(err) }()
	if _, err := shards.UnmarshalMetadata(r.shelf.params, id, metadata); err != nil {
		return nil, fmt.Errorf("%w: %w", p2p.ErrMismatch, err)
	}
	end, err := r.chain.mayStore(id)
	if notYet(err) {
		return nil, r.pending.put(from, id, metadata)
	}
	if err != nil {
		return nil, err
	}
	if err := r.shelf.PutBlob(id, metadata, end); err != nil {
		return nil, wireError(err)
	}
	r.meters.metadataStored.Inc()
	at, err := r.shelf.seats.now()
	if err != nil {
		return nil, err
	}
	missing, err := r.shelf.missing(id, at)
	if err != nil {
		return nil, wireError(err)
	}
	lacks := make(map[int]bool, len(missing))
	for _, ref := range missing {
		lacks[ref.Shard] = true
	}
	for _, shard := range at.shards {
		if !lacks[shard] {
			held = append(held, r.shelf.params.PairOnShard(id, shard))
		}
	}
	return held, nil
}

// countRefusal counts a request to store that was refused for lack of space.
func (r *receiver) countRefusal(err error) {
	if errors.Is(err, store.ErrFull) {
		r.meters.refused.Inc()
	}
}

// StorePairs takes sliver pairs of a blob whose metadata is here, once the blob is registered. Slivers are verified
// strip by strip as they arrive. Verified slivers become visible at the end; others are discarded.
func (r *receiver) StorePairs(ctx context.Context, from peer.ID, id shards.BlobID, pairs []int, body io.Reader, size int64) (err error) {
	defer func() { r.countRefusal(err) }()
	raw, early, err := r.uploadMetadata(id)
	if err != nil {
		return wireError(err)
	}
	meta, err := shards.UnmarshalMetadata(r.shelf.params, id, raw)
	if err != nil {
		return err
	}
	want := int64(len(pairs)) * (meta.Layout(shards.Primary).Size() + meta.Layout(shards.Secondary).Size())
	if size != want {
		return fmt.Errorf("%w: %d bytes announced for %d pairs: they have %d", p2p.ErrBadRequest, size, len(pairs), want)
	}
	var end uint32
	if err := r.pending.await(ctx, func() (err error) { end, err = r.chain.mayStore(id); return err }); err != nil {
		return err
	}
	if early {
		if err := r.shelf.PutBlob(id, raw, end); err != nil {
			return wireError(err)
		}
		r.pending.remove(id)
	}
	release, err := r.admit(meta, len(pairs))
	if err != nil {
		return err
	}
	defer release()
	defer r.debts.upload(id)()
	in := make([]*incoming, 0, len(axes)*len(pairs))
	defer func() {
		for _, s := range in {
			s.writer.Abort()
		}
	}()
	for _, pair := range pairs {
		for _, axis := range axes {
			s, err := r.expect(meta, id, axis, pair)
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
			r.log.Warn("peer sent a sliver that does not match its blob", "peer", from.String(), "blob", id.String(), "shard", s.ref.Shard, "err", err)
			return fmt.Errorf("%w: shard %d: %w", p2p.ErrMismatch, s.ref.Shard, err)
		}
		if err := s.writer.Commit(); err != nil {
			return wireError(err)
		}
		r.damage.mended(s.ref)
		r.meters.stored(s.ref.Axis)
	}
	if r.shelf.certified(id) {
		return r.book.recount(id, 0)
	}
	return nil
}

// uploadMetadata returns the metadata of a blob that is being uploaded. early tells that it came before the
// registration.
func (r *receiver) uploadMetadata(id shards.BlobID) (raw []byte, early bool, err error) {
	if raw := r.pending.get(id); raw != nil {
		return raw, true, nil
	}
	raw, err = r.shelf.Metadata(id)
	return raw, false, err
}

// admit reserves memory for an upload until release; ErrBusy if there is none. It estimates the bytes that incoming
// pairs of a blob need: for each sliver a segment, or the whole if smaller, and the hash states of its n symbols.
func (r *receiver) admit(meta *shards.Metadata, pairs int) (release func(), err error) {
	const segment, state = 512 << 10, 128
	var each int64
	for _, axis := range axes {
		each += min(meta.Layout(axis).Size(), segment) + int64(r.shelf.params.Shards())*state
	}
	weight := min(int64(pairs)*each, r.limit)
	if !r.memory.TryAcquire(weight) {
		return nil, fmt.Errorf("%w: too many uploads at once", p2p.ErrBusy)
	}
	return func() { r.memory.Release(weight) }, nil
}

// incoming holds what a sliver needs while it is received.
type incoming struct {
	ref      store.Ref
	verifier *shards.Verifier
	writer   *store.SliverWriter
}

// expect opens a verifier and a writer for a sliver of pair; ErrNotOwner if it does not belong here.
func (r *receiver) expect(meta *shards.Metadata, id shards.BlobID, axis shards.Axis, pair int) (*incoming, error) {
	if pair < 0 || pair >= r.shelf.params.Shards() {
		return nil, fmt.Errorf("%w: no sliver pair %d among %d", p2p.ErrBadRequest, pair, r.shelf.params.Shards())
	}
	index := r.shelf.params.SliverOfPair(axis, pair)
	ref, err := r.shelf.locate(id, axis, index)
	if err != nil {
		return nil, err
	}
	verifier, err := shards.NewVerifier(meta, axis, index)
	if err != nil {
		return nil, err
	}
	writer, err := r.shelf.Create(ref, meta.Layout(axis).Size())
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

package keeper

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"

	"github.com/libp2p/go-libp2p/core/peer"

	"walrus/ledger"
	"walrus/p2p"
	"walrus/shards"
	"walrus/store"
)

// receiver takes blobs from clients.
type receiver struct {
	admitted *admission
	shelf    *shelf
	chain    chain
	book     *book
	debts    *debts
	damage   *damage
	pending  *pending
	tokens   *tokens
	meters   *meters
	uploads  *uploads
	leaves   *leaves // of the slivers taken
	log      *slog.Logger
}

// PutMetadata stores the metadata of a registered blob and returns the pairs that are here already. Metadata of a
// blob not yet registered by the token's account is held for registrationPatience. ErrBusy if there is no memory for an
// upload now. Nothing is read without a valid token of an account that owns a record of the blob, or that can pay for
// the smallest one.
func (r *receiver) PutMetadata(_ context.Context, from peer.ID, id shards.BlobID, raw []byte, size int64,
	read func() ([]byte, error)) (held []int, err error) {
	defer func() { r.countRefusal(err) }()
	if err := r.admitted.check(); err != nil {
		return nil, err
	}
	token, err := r.tokens.read(from, id, raw)
	if err != nil {
		return nil, err
	}
	if want := int64(r.shelf.params.MetadataSize()); size != want {
		return nil, fmt.Errorf("%w: %d bytes of metadata announced: a blob of this network has %d", p2p.ErrMismatch, size, want)
	}
	record, end, err := r.tokens.record(token)
	early := notYet(err)
	if early {
		err = r.tokens.promise(token, 0)
	}
	if err != nil {
		return nil, err
	}
	metadata, err := read()
	if err != nil {
		return nil, err
	}
	meta, err := shards.UnmarshalMetadata(r.shelf.params, id, metadata)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", p2p.ErrMismatch, err)
	}
	if early {
		if err := r.tokens.promise(token, meta.Length); err != nil {
			return nil, err
		}
	}
	held, lacks, err := r.have(id)
	if err != nil {
		return nil, err
	}
	if lacks > 0 {
		if err := r.shelf.Refuses(); err != nil {
			return nil, wireError(err)
		}
		who := uploader{from, token.Account.Address(), record}
		if err := r.uploads.fits(who, r.memory(meta, (lacks+usualStreams-1)/usualStreams)); err != nil {
			return nil, err
		}
	}
	if early {
		return held, r.pending.put(from, token.Account.Address(), id, metadata)
	}
	if err := r.shelf.PutBlob(id, metadata, end); err != nil {
		return nil, wireError(err)
	}
	r.meters.metadataStored.Inc()
	return held, nil
}

// usualStreams carry a node's pairs of a blob, if its client is ours.
const usualStreams = 4

// have returns the pairs of a blob that are here, of those that belong here, and the number of the others.
func (r *receiver) have(id shards.BlobID) (held []int, lacks int, err error) {
	at, err := r.shelf.seats.now()
	if err != nil {
		return nil, 0, err
	}
	missing, err := r.shelf.missing(id, at)
	if err != nil {
		return nil, 0, wireError(err)
	}
	lacking := make(map[int]bool, len(missing))
	for _, ref := range missing {
		lacking[ref.Shard] = true
	}
	for _, shard := range at.shards {
		if !lacking[shard] {
			held = append(held, r.shelf.params.PairOnShard(id, shard))
		}
	}
	return held, len(lacking), nil
}

// countRefusal counts a request to store that was refused for lack of space.
func (r *receiver) countRefusal(err error) {
	if errors.Is(err, store.ErrFull) {
		r.meters.refused.Inc()
	}
}

// StorePairs takes sliver pairs of a blob whose metadata is here, once the token's account has registered the blob.
// Slivers are verified strip by strip as they arrive. Verified slivers become visible at the end; others are discarded.
func (r *receiver) StorePairs(ctx context.Context, from peer.ID, id shards.BlobID, rawToken []byte, pairs []int, body p2p.Body, size int64) (err error) {
	defer func() { r.countRefusal(err) }()
	if err := r.admitted.check(); err != nil {
		return err
	}
	token, err := r.tokens.read(from, id, rawToken)
	if err != nil {
		return err
	}
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
	who := uploader{from: from, account: token.Account.Address()}
	end, err := r.right(ctx, token, &who, meta.Length)
	if err != nil {
		return err
	}
	if early {
		if err := r.shelf.PutBlob(id, raw, end); err != nil {
			return wireError(err)
		}
		if r.pending.remove(id) {
			r.meters.metadataStored.Inc()
		}
	}
	in, err := r.expect(meta, id, pairs)
	if err != nil {
		return err
	}
	memory := r.memory(meta, len(pairs))
	release, err := r.uploads.admit(who, memory)
	if err != nil {
		return err
	}
	defer release()
	written, err := r.uploads.write(who.record, lacking(meta, in), r.space(meta))
	if err != nil {
		return err
	}
	defer func() { written(abort(in)) }()
	defer r.debts.upload(id)()
	if err := r.receive(meta, in, newPacedBody(body, r.uploads, memory)); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := r.commit(from, in); err != nil {
		return err
	}
	if r.shelf.certified(id) {
		return r.book.recount(id, 0)
	}
	return nil
}

// right waits until the ledger has the record that lets a token's account upload, notes it in who, and returns the
// epoch at whose start storage of the blob ends.
func (r *receiver) right(ctx context.Context, token *ledger.UploadToken, who *uploader, size uint64) (end uint32, err error) {
	record, end, err := r.tokens.record(token)
	if notYet(err) {
		if err := r.tokens.promise(token, size); err != nil {
			return 0, err
		}
		err = r.pending.awaitUpload(ctx, who.account, func() (err error) { record, end, err = r.tokens.record(token); return err })
	}
	who.record = record
	return end, err
}

// commit makes the received slivers visible, up to the first that does not match its root.
func (r *receiver) commit(from peer.ID, in []*incoming) error {
	for _, s := range in {
		if s.here {
			continue
		}
		hashes, err := s.verifier.CloseLeaves()
		if err != nil {
			r.log.Warn("peer sent a sliver that does not match its blob", "peer", from.String(), "blob", s.ref.Blob.String(), "shard", s.ref.Shard, "err", err)
			return fmt.Errorf("%w: shard %d: %w", p2p.ErrMismatch, s.ref.Shard, err)
		}
		if err := s.writer.Commit(); err != nil {
			return wireError(err)
		}
		s.here = true
		r.leaves.put(s.ref, hashes)
		r.damage.mended(s.ref)
		r.meters.stored(s.ref.Axis)
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

// memory estimates the bytes that incoming pairs of a blob need: for each sliver a segment, or the whole if smaller,
// and the hash states of its n symbols.
func (r *receiver) memory(meta *shards.Metadata, pairs int) (bytes int64) {
	const segment, state = 512 << 10, 128
	for _, axis := range axes {
		bytes += min(meta.Layout(axis).Size(), segment) + int64(r.shelf.params.Shards())*state
	}
	return int64(pairs) * bytes
}

// space returns the bytes that uploads of a blob may take on the disk in all: twice the slivers that belong here.
func (r *receiver) space(meta *shards.Metadata) (bytes int64) {
	at, err := r.shelf.seats.now()
	if err != nil {
		return 0
	}
	for _, ref := range at.slivers(meta.ID()) {
		bytes += 2 * meta.Layout(ref.Axis).Size()
		if here, err := r.shelf.HasSliver(ref); err == nil && here {
			bytes -= meta.Layout(ref.Axis).Size()
		}
	}
	return bytes
}

// incoming holds what a sliver needs while it is received.
type incoming struct {
	ref      store.Ref
	index    int  // of the sliver along its axis
	here     bool // already: its bytes are skipped
	verifier *shards.Verifier
	writer   *store.SliverWriter
}

// expect lists the slivers of an upload, in the order in which they come, and refuses it if all of them are here
// already. ErrNotOwner if one does not belong here.
func (r *receiver) expect(meta *shards.Metadata, id shards.BlobID, pairs []int) (in []*incoming, err error) {
	for _, pair := range pairs {
		if pair < 0 || pair >= r.shelf.params.Shards() {
			return nil, fmt.Errorf("%w: no sliver pair %d among %d", p2p.ErrBadRequest, pair, r.shelf.params.Shards())
		}
		for _, axis := range axes {
			s := &incoming{index: r.shelf.params.SliverOfPair(axis, pair)}
			if s.ref, err = r.shelf.locate(id, axis, s.index); err != nil {
				return nil, err
			}
			if s.here, err = r.shelf.HasSliver(s.ref); err != nil && !errors.Is(err, store.ErrCorrupt) {
				return nil, wireError(err)
			}
			in = append(in, s)
		}
	}
	if lacking(meta, in) == 0 {
		return nil, fmt.Errorf("%w: all slivers of these pairs are here", p2p.ErrHave)
	}
	return in, nil
}

// lacking returns the bytes of the slivers that are not here.
func lacking(meta *shards.Metadata, in []*incoming) (bytes int64) {
	for _, s := range in {
		if !s.here {
			bytes += meta.Layout(s.ref.Axis).Size()
		}
	}
	return bytes
}

// abort ends all writers. It returns the bytes that lie on the disk and belong to no sliver, also of slivers that
// another upload has brought meanwhile: the store frees their space late.
func abort(in []*incoming) (wasted int64) {
	for _, s := range in {
		if s.writer != nil {
			s.writer.Abort()
			wasted += s.writer.Wasted()
		}
	}
	return wasted
}

// open opens a verifier and a writer for a sliver, unless it is here.
func (r *receiver) open(meta *shards.Metadata, s *incoming) (err error) {
	if s.here {
		return nil
	}
	if s.verifier, err = shards.NewVerifier(meta, s.ref.Axis, s.index); err != nil {
		return err
	}
	if s.writer, err = r.shelf.Create(s.ref, meta.Layout(s.ref.Axis).Size()); err != nil {
		return wireError(err)
	}
	return nil
}

// receive reads body strip by strip: strip t of every sliver, then strip t+1. It holds one strip in memory.
func (r *receiver) receive(meta *shards.Metadata, in []*incoming, body io.Reader) error {
	for _, s := range in {
		if err := r.open(meta, s); err != nil {
			return err
		}
	}
	_, size := meta.Layout(shards.Primary).Strip(0)
	buf := make([]byte, size)
	for t := range meta.Layout(shards.Primary).Strips() {
		for _, s := range in {
			_, size := meta.Layout(s.ref.Axis).Strip(t)
			strip := buf[:size]
			if _, err := io.ReadFull(body, strip); err != nil {
				return fmt.Errorf("receive strip %d: %w", t, err)
			}
			if s.here {
				continue
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

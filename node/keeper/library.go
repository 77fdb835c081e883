package keeper

import (
	"context"
	"errors"
	"fmt"
	"io"

	"walrus/p2p"
	"walrus/shards"
	"walrus/store"
)

// library serves the metadata, slivers and symbols that are here.
type library struct {
	shelf  *shelf
	chain  chain
	debts  *debts
	damage *damage
	meters *meters
}

// Metadata of a blob. If the blob may exist elsewhere, the error is ErrUnavailable, never ErrNotFound.
func (l *library) Metadata(_ context.Context, id shards.BlobID) ([]byte, error) {
	if l.chain.invalid(id) {
		return nil, errInvalid
	}
	raw, err := l.shelf.Metadata(id)
	if errors.Is(err, store.ErrCorrupt) {
		l.damage.noteRecord(id, err)
	}
	if errors.Is(err, store.ErrNotFound) && l.chain.mayExist(id) {
		return nil, fmt.Errorf("%w: this node does not have the blob yet", p2p.ErrUnavailable)
	}
	return raw, wireError(err)
}

// OpenSliver opens a sliver for reading. Damage found while reading is reported to the peer, never served, and
// repaired.
func (l *library) OpenSliver(_ context.Context, id shards.BlobID, axis shards.Axis, index int) (p2p.SliverReader, error) {
	if l.chain.invalid(id) {
		return nil, errInvalid
	}
	ref, err := l.shelf.locate(id, axis, index)
	if err != nil {
		return nil, err
	}
	r, err := l.open(ref)
	if err != nil {
		return nil, wireError(err)
	}
	l.meters.retrieved(axis)
	return r, nil
}

// open opens a sliver. Damage found now or in later reads is noted.
func (l *library) open(ref store.Ref) (*watchedSliver, error) {
	r, err := l.shelf.OpenSliver(ref)
	if err != nil {
		l.damage.note(ref, err)
		return nil, err
	}
	return &watchedSliver{SliverReader: r, damage: l.damage, ref: ref}, nil
}

// watchedSliver notes damage that a read finds.
type watchedSliver struct {
	*store.SliverReader
	damage *damage
	ref    store.Ref
}

// Close does nothing: a store's reader holds nothing open.
func (w *watchedSliver) Close() error { return nil }

// ReadAt reads verified bytes. Errors wrap p2p's sentinels.
func (w *watchedSliver) ReadAt(p []byte, off int64) (int, error) {
	k, err := w.SliverReader.ReadAt(p, off)
	w.damage.note(w.ref, err)
	return k, wireError(err)
}

// symbols reads one of our slivers and extracts symbols of its expansion, for our own repair.
func (l *library) symbols(meta *shards.Metadata, ref store.Ref, index int, targets []int) ([]shards.Symbol, error) {
	r, err := l.open(ref)
	if err != nil {
		return nil, err
	}
	symbols, err := meta.ExtractSymbols(ref.Axis, index, io.NewSectionReader(r, 0, r.Size()), targets)
	if errors.Is(err, shards.ErrSliver) { // the checksums hold, so wrong data was written
		err = fmt.Errorf("%w: %w", store.ErrCorrupt, err)
		l.damage.note(ref, err)
	}
	return symbols, err
}

// BlobStatus reports which records and slivers of a blob are here.
func (l *library) BlobStatus(_ context.Context, id shards.BlobID) (p2p.BlobStatus, error) {
	if l.chain.invalid(id) {
		return p2p.BlobStatus{}, errInvalid
	}
	var st p2p.BlobStatus
	if _, err := l.shelf.Metadata(id); err == nil {
		st.Metadata = true
	}
	if raw, err := l.shelf.Certificate(id); err == nil {
		st.Certificate = raw
	}
	if !st.Metadata && st.Certificate == nil {
		return st, nil
	}
	at, err := l.shelf.seats.now()
	if err != nil {
		return p2p.BlobStatus{}, err
	}
	repairing := l.debts.repairing(id)
	for _, shard := range at.shards {
		s := p2p.ShardState{Shard: shard, Repairing: repairing}
		primary, secondary := store.Ref{Blob: id, Shard: shard, Axis: shards.Primary}, store.Ref{Blob: id, Shard: shard, Axis: shards.Secondary}
		s.Primary, _ = l.shelf.HasSliver(primary)
		s.Secondary, _ = l.shelf.HasSliver(secondary)
		s.Corrupt = l.damage.has(primary) || l.damage.has(secondary)
		st.Slivers = append(st.Slivers, s)
	}
	return st, nil
}

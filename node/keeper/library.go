package keeper

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"walrus/p2p"
	"walrus/shards"
	"walrus/store"
)

// library serves the metadata, slivers and symbols that are here.
type library struct {
	shelf   *shelf
	chain   chain
	debts   *debts
	damage  *damage
	meters  *meters
	witness *witness

	readers  atomic.Int64 // slivers that users read now
	lastRead atomic.Int64 // when one of them was opened or closed last, in Unix nanoseconds
}

// readingTime: for so long after a read, more reads are expected.
const readingTime = time.Second

// reading reports whether users read slivers, or did a moment ago.
func (l *library) reading() bool {
	return l.readers.Load() > 0 || time.Since(time.Unix(0, l.lastRead.Load())) < readingTime
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
func (l *library) OpenSliver(_ context.Context, id shards.BlobID, axis shards.Axis,
	index int) (p2p.SliverReader, error) {
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
	l.readers.Add(1)
	l.lastRead.Store(time.Now().UnixNano())
	return &servedSliver{watchedSliver: r, library: l}, nil
}

// servedSliver is open for a user.
type servedSliver struct {
	*watchedSliver
	library *library
}

// Close ends the read. Call it once.
func (s *servedSliver) Close() error {
	s.library.readers.Add(-1)
	s.library.lastRead.Store(time.Now().UnixNano())
	return nil
}

// open opens a sliver. Damage found now or in later reads is noted.
func (l *library) open(ref store.Ref) (*watchedSliver, error) {
	r, err := l.shelf.OpenSliver(ref)
	if err != nil {
		l.damage.note(ref, err)
		if errors.Is(err, store.ErrNotFound) {
			l.witness.miss(ref)
		}
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

// ReadAt reads verified bytes. Errors wrap p2p's sentinels.
func (w *watchedSliver) ReadAt(p []byte, off int64) (int, error) {
	k, err := w.SliverReader.ReadAt(p, off)
	w.damage.note(w.ref, err)
	return k, wireError(err)
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
		primary, secondary := store.Ref{Blob: id, Shard: shard, Axis: shards.Primary}, store.Ref{Blob: id, Shard: shard,
			Axis: shards.Secondary}
		s.Primary, _ = l.shelf.HasSliver(primary)
		s.Secondary, _ = l.shelf.HasSliver(secondary)
		s.Corrupt = l.damage.has(primary) || l.damage.has(secondary)
		st.Slivers = append(st.Slivers, s)
	}
	return st, nil
}

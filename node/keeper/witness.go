package keeper

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"walrus/p2p"
	"walrus/shards"
	"walrus/store"
)

// Sliver names a sliver of this node.
type Sliver struct {
	Blob  shards.BlobID
	Axis  shards.Axis
	Index int
}

// Loss is a sliver that the node owes and has found gone, or damaged, without having known of it.
type Loss struct {
	Sliver
	Corrupt bool // damaged on the disk; else not there
}

// Finding sums up the state of a sliver that others doubt.
type Finding string

// The findings.
const (
	// Sound: the sliver is stored, and what is stored has its root.
	Sound Finding = "sound"
	// Gone: the sliver is not stored. It is owed now, and due for repair at once.
	Gone Finding = "gone"
	// Damaged: the stored sliver was not right. It is removed, and due for repair at once.
	Damaged Finding = "damaged"
	// NotOwed: this node owes no such sliver: the blob has ended, or the shard is another's.
	NotOwed Finding = "not owed"
)

// witness hears of slivers that are not as the node believes.
type witness struct {
	shelf  *shelf
	chain  chain
	book   *book
	tell   func(Loss) // must not block; nil: nobody listens
	expand func(ctx context.Context, ref store.Ref, index int) error

	one sync.Mutex // one sliver is examined at a time: it takes CPU and disk
}

// report tells of a loss.
func (w *witness) report(ref store.Ref, corrupt bool) {
	if w.tell != nil {
		w.tell(Loss{w.shelf.sliver(ref), corrupt})
	}
}

// miss handles a sliver that was asked for and is not here. If the node owes it and does not know that it lacks it, it
// is repaired at once.
func (w *witness) miss(ref store.Ref) {
	if !w.shelf.certified(ref.Blob) || w.book.kept.owes(ref.Blob) || w.chain.certified(ref.Blob) != nil {
		return
	}
	if err := w.recount(ref.Blob); err != nil {
		w.book.log.Error("cannot count the slivers of a blob", "blob", ref.Blob.String(), "err", err)
	}
}

// recount counts what a certified blob lacks, and tells of the first sliver if nobody knew that any is missing.
func (w *witness) recount(id shards.BlobID) error {
	known := w.book.kept.owes(id)
	if err := w.book.recount(id, 0); err != nil || known || !w.book.kept.owes(id) {
		return err
	}
	missing, err := w.shelf.missingNow(id)
	if err == nil && len(missing) > 0 { // else only its metadata or its record is
		w.book.log.Error("slivers are not on the disk although they were; they will be repaired from other nodes", "blob",
			id.String(), "slivers", len(missing))
		w.report(missing[0], false)
	}
	return err
}

// examine looks at a sliver that others doubt: it reads and hashes it whole. What is gone or damaged becomes due for
// repair at once. Errors are temporary.
func (w *witness) examine(ctx context.Context, s Sliver) (Finding, error) {
	ref, err := w.shelf.locate(s.Blob, s.Axis, s.Index)
	if errors.Is(err, p2p.ErrNotOwner) || errors.Is(err, p2p.ErrBadRequest) {
		return NotOwed, nil
	}
	if err == nil && !w.shelf.certified(s.Blob) {
		err = w.chain.certified(s.Blob)
		if errors.Is(err, p2p.ErrNotRegistered) || errors.Is(err, p2p.ErrInvalid) {
			return NotOwed, nil
		}
		w.book.resync.ring() // the certificate is missing, too: other members have it
	}
	if err != nil {
		return "", fmt.Errorf("examine a sliver: %w", err)
	}
	w.one.Lock()
	defer w.one.Unlock()
	found := Sound
	if ok, err := w.shelf.HasSliver(ref); err == nil && !ok {
		found = Gone
	} else if err = w.expand(ctx, ref, s.Index); errors.Is(err, store.ErrCorrupt) { // noted where it was found
		found = Damaged
	} else if errors.Is(err, store.ErrNotFound) {
		found = Gone
	} else if err != nil {
		return "", fmt.Errorf("examine a sliver: %w", wireError(err))
	}
	if found != Sound {
		w.book.owe(s.Blob)
		w.book.debts.urge(s.Blob, time.Now())
	}
	return found, nil
}

// sliver names a stored sliver by its index.
func (s *shelf) sliver(ref store.Ref) Sliver {
	return Sliver{ref.Blob, ref.Axis, s.params.SliverOfPair(ref.Axis, s.params.PairOnShard(ref.Blob, ref.Shard))}
}

// prove reads a sliver and compares it with its root. Wrong data under good checksums is noted as damage, like the
// rest.
func (l *library) prove(ctx context.Context, ref store.Ref, index int) error {
	meta, err := l.shelf.metadata(ref.Blob)
	if err != nil {
		return err
	}
	r, err := l.open(ref)
	if err != nil {
		return err
	}
	raw := readerAtFunc(func(p []byte, off int64) (int, error) {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		k, err := r.SliverReader.ReadAt(p, off)
		l.damage.note(ref, err)
		return k, err
	})
	_, _, err = meta.Expand(ref.Axis, index, io.NewSectionReader(raw, 0, r.Size()), nil)
	if errors.Is(err, shards.ErrSliver) { // the checksums hold, so wrong data was written
		err = fmt.Errorf("%w: %w", store.ErrCorrupt, err)
		l.damage.note(ref, err)
	}
	return err
}

// Examine looks at a sliver that others doubt. What is gone or damaged is repaired at once. Errors are temporary.
func (k *Keeper) Examine(ctx context.Context, s Sliver) (Finding, error) {
	return k.library.witness.examine(ctx, s)
}

// Settled reports whether nothing is wrong with a sliver any more, as far as is known without reading it: it is stored,
// or not owed.
func (k *Keeper) Settled(s Sliver) bool {
	ref, err := k.shelf.locate(s.Blob, s.Axis, s.Index)
	if errors.Is(err, p2p.ErrNotOwner) {
		return true
	}
	if err != nil {
		return false
	}
	if err := k.chain.certified(s.Blob); errors.Is(err, p2p.ErrNotRegistered) || errors.Is(err, p2p.ErrInvalid) {
		return true
	}
	ok, err := k.shelf.HasSliver(ref)
	return err == nil && ok && !k.damage.has(ref)
}

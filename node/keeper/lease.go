package keeper

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"walrus/shards"
	"walrus/store"
)

// leases keep blobs until their registrations on the ledger end.
type leases struct {
	shelf    *shelf
	chain    chain
	book     *book
	debts    *debts
	damage   *damage
	dropping sync.RWMutex // read-locked while a blob is confirmed, locked while an ended blob is removed
	log      *slog.Logger
}

// hold keeps blobs from being removed until release is called.
func (l *leases) hold() (release func()) {
	l.dropping.RLock()
	return l.dropping.RUnlock
}

// prolong extends the storage of a blob that is here to the end of its registration.
func (l *leases) prolong(id shards.BlobID) error {
	rec, err := l.shelf.Blob(id)
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	info, epoch, lerr := l.chain.lookUp(id)
	if lerr != nil {
		return lerr
	}
	end := info.RegisteredUntil(epoch)
	if end == 0 || err == nil && end <= rec.EndEpoch {
		return nil
	}
	raw, err := l.shelf.Metadata(id)
	if err != nil {
		if l.shelf.certified(id) {
			l.book.owe(id)
		}
		return nil // repair restores the metadata and the record
	}
	return l.shelf.PutBlob(id, raw, end)
}

// dropDead removes a blob without a live registration. Confirm waits meanwhile, so a blob registered anew is not
// confirmed and then removed.
func (l *leases) dropDead(id shards.BlobID) error {
	l.dropping.Lock()
	defer l.dropping.Unlock()
	if !l.chain.dead(id) {
		return nil
	}
	held, err := l.shelf.seats.recent()
	if err != nil {
		return err
	}
	l.debts.forget(id)
	l.damage.forget(id)
	l.book.kept.forget(id)
	return l.shelf.DropBlob(id, held)
}

// endEpochs removes ended blobs: first it records the later end of those that were extended, then it drops all that
// have ended, then all others without a live registration. What ends with a blob whose end cannot be looked up stays,
// and what ends later. If a later epoch has begun already, it does nothing: the event of that epoch will follow.
func (l *leases) endEpochs(began uint32) error {
	epoch, err := l.chain.epoch()
	if err != nil || began < epoch {
		return err
	}
	last := epoch
	var owed error
	ended := 0
	err = l.eachBlob(func(id shards.BlobID) error {
		rec, err := l.shelf.Blob(id)
		if err != nil || rec.EndEpoch > last {
			return nil
		}
		err = l.prolong(id)
		if rec, rerr := l.shelf.Blob(id); rerr == nil && rec.EndEpoch <= epoch {
			ended++
		}
		if err != nil {
			last = max(rec.EndEpoch, 1) - 1
			owed = fmt.Errorf("keep the slivers that end in epoch %d: a blob among them may have been extended: %w",
				rec.EndEpoch, err)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if err := l.shelf.DropEpoch(last); err != nil {
		return err
	}
	if ended > 0 {
		l.log.Info("removed the blobs that ended", "epoch", last)
	}
	if owed != nil {
		return owed
	}
	return l.eachBlob(l.dropDead)
}

// compare drops a blob that has ended, and prolongs one that was extended.
func (l *leases) compare(id shards.BlobID) error {
	if l.chain.dead(id) {
		return l.dropDead(id)
	}
	return l.prolong(id)
}

// dropEnded removes what has ended by the ledger here, if anything may have.
func (l *leases) dropEnded() error {
	epoch, err := l.chain.epoch()
	if err != nil {
		return err
	}
	if !l.shelf.HasEnded(epoch) {
		return nil
	}
	return l.endEpochs(epoch)
}

// eachBlob calls fn for every blob and every certificate in the store; a blob with both gets two calls.
func (l *leases) eachBlob(fn func(shards.BlobID) error) error {
	if err := eachOf(l.shelf.Blobs, fn); err != nil {
		return err
	}
	return eachOf(l.shelf.Certificates, fn)
}

package keeper

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"walrus/certs"
	"walrus/ledger"
	"walrus/p2p"
	"walrus/store"
)

// follower hears the ledger's events.
type follower struct {
	shelf     *shelf
	chain     chain
	book      *book
	kept      *kept
	inventory *inventory
	leases    *leases
	pending   *pending
	invalids  *invalids
	life      *life
	peers     Peers
	grace     time.Duration // RepairConfig.Grace
	log       *slog.Logger
}

// run processes the ledger's events: it records certificates, prolongs extended blobs and removes deleted and
// ended ones. After a restart it continues at the same height, and so learns what has changed meanwhile. Where events
// have been pruned, all blobs are in doubt.
func (f *follower) run(ctx context.Context) error {
	select {
	case <-f.chain.Ready():
	case <-ctx.Done():
		return nil
	}
	followed, err := f.kept.followed()
	if err != nil {
		return err
	}
	if !f.reach(ctx, followed) {
		return nil
	}
	f.life.reached.set()
	for {
		f.guard() // epochs may have passed without their events
		_, height := f.chain.State()
		if followed >= height {
			f.isLevel()
		}
		kept, err := f.chain.Follow(ctx, followed+1, func(at uint64, events []ledger.Event) error {
			f.apply(at, events)
			if at >= height {
				f.isLevel()
			}
			return nil
		})
		switch {
		case ctx.Err() != nil:
			return nil
		case kept:
			return err
		}
		f.inventory.suspect(fmt.Sprintf("the ledger's events from height %d to %d, since this node last ran, were pruned",
			followed+1, height))
		followed = height
		f.kept.applied(followed, true)
	}
}

// isLevel notes that the events until the start have been processed.
func (f *follower) isLevel() {
	if !f.life.level.isSet() {
		f.life.level.set()
		f.inventory.wake.ring()
	}
}

// reach waits until the ledger here is at height, where it was before a restart. A ledger that lost its end in a
// crash may lack blobs that are stored: they must not be dropped. False when ctx has ended.
func (f *follower) reach(ctx context.Context, height uint64) bool {
	for {
		news := f.pending.changed()
		if _, at := f.chain.State(); at >= height {
			return true
		}
		select {
		case <-news:
		case <-ctx.Done():
			return false
		}
	}
}

// apply processes the events of a block. Failures are logged and left to the inventory: events come in order, and one
// that the disk refuses must not delay the others.
func (f *follower) apply(height uint64, events []ledger.Event) {
	handled := false
	for i := range events {
		e := &events[i]
		var err error
		switch e.Kind {
		case ledger.EventCertified:
			err = f.takeEvent(e)
		case ledger.EventRegistered, ledger.EventExtended:
			err = f.leases.prolong(e.Blob)
		case ledger.EventInvalid:
			err = f.invalids.marked(e.Blob)
		case ledger.EventDeleted:
			err = f.leases.dropDead(e.Blob)
		case ledger.EventEpoch:
			f.log.Info("epoch began", "epoch", e.Epoch)
			f.guard()
			err = f.leases.endEpochs(e.Epoch)
		default:
			continue
		}
		handled = true
		if errors.Is(err, store.ErrClosed) {
			return // the node is stopping
		}
		if err != nil {
			f.log.Error("cannot apply an event of the ledger; it will be tried again", "event", string(e.Kind),
				"blob", e.Blob.String(), "height", height, "err", err)
			f.inventory.suspect("an event of the ledger could not be applied")
		}
	}
	f.kept.applied(height, handled)
}

// takeEvent records the certificate of an event, which the network has verified. It skips a blob that was deleted
// since. A new registration of that blob promises nothing until it is certified.
func (f *follower) takeEvent(e *ledger.Event) error {
	if err := f.chain.certified(e.Blob); errors.Is(err, p2p.ErrNotRegistered) || errors.Is(err, p2p.ErrInvalid) {
		return nil
	} else if err != nil {
		return err
	}
	if f.shelf.certified(e.Blob) { // by an earlier record, perhaps one that has ended
		return f.book.recount(e.Blob, f.grace)
	}
	cert, err := certs.UnmarshalCertificate(e.Certificate)
	if err != nil {
		return err
	}
	return f.book.record(cert, e.Certificate, f.grace)
}

// guard keeps room for the members of the current epoch, and the connections to them.
func (f *follower) guard() {
	epoch, err := f.chain.epoch()
	if err != nil { // a new node, whose ledger is still to come: run asks again
		return
	}
	if err := f.shelf.seats.guard(f.peers, epoch); err != nil {
		f.log.Error("cannot protect the connections to the committee", "err", err)
	}
}

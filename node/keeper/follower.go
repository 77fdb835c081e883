package keeper

import (
	"context"
	"encoding/binary"
	"errors"
	"log/slog"
	"time"

	"walrus/certs"
	"walrus/ledger"
	"walrus/p2p"
	"walrus/store"
)

// stateFollowed, followed by the network ID, is the store's key for the height up to which the events of that
// network's ledger have been processed. The value is a u64, big-endian.
const stateFollowed = "ledger-followed-"

// follower hears the ledger's events.
type follower struct {
	shelf   *shelf
	chain   chain
	book    *book
	leases  *leases
	pending *pending
	life    *life
	peers   Peers
	key     string        // in the store's small state: stateFollowed with the network ID
	grace   time.Duration // RepairConfig.Grace
	log     *slog.Logger
}

// run processes the ledger's events: it records certificates, prolongs extended blobs and removes deleted and
// ended ones. After a restart it continues at the same height. At every start, and where events have been pruned, it
// also compares the whole store with the state.
func (f *follower) run(ctx context.Context) error {
	select {
	case <-f.chain.Ready():
	case <-ctx.Done():
		return nil
	}
	followed, err := f.followed()
	if err != nil {
		return err
	}
	if !f.reach(ctx, followed) {
		return nil
	}
	for {
		f.guard() // epochs may have passed without their events
		_, height := f.chain.State()
		f.leases.compareWithLedger(ctx)
		f.life.compared.set()
		kept, err := f.chain.Follow(ctx, followed+1, f.apply)
		switch {
		case ctx.Err() != nil:
			return nil
		case kept:
			return err
		}
		f.log.Warn("the ledger's events since this node last ran were pruned; comparing with its state and with other nodes", "from", followed+1, "to", height)
		followed = height
		if err := f.follow(followed); err != nil {
			return err
		}
		f.book.resync.ring() // other members have the certificates
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

// followed returns the height up to which events have been processed.
func (f *follower) followed() (uint64, error) {
	b, err := f.shelf.State(f.key)
	if errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrCorrupt) || err == nil && len(b) != 8 {
		return 0, nil // from the start: events may be processed twice
	}
	if err != nil {
		return 0, err
	}
	return binary.BigEndian.Uint64(b), nil
}

func (f *follower) follow(height uint64) error {
	return f.shelf.PutState(f.key, binary.BigEndian.AppendUint64(nil, height))
}

// apply processes the events of a block. Failures are logged and left to the comparisons: events come in order, and
// one that the disk refuses must not delay the others.
func (f *follower) apply(height uint64, events []ledger.Event) error {
	handled := false
	for i := range events {
		e := &events[i]
		var err error
		switch e.Kind {
		case ledger.EventCertified:
			err = f.takeEvent(e)
		case ledger.EventRegistered, ledger.EventExtended:
			err = f.leases.prolong(e.Blob)
		case ledger.EventDeleted, ledger.EventInvalid:
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
			return nil // the node is stopping
		}
		if err != nil {
			f.log.Error("cannot apply an event of the ledger; the next comparison tries again", "event", string(e.Kind), "blob", e.Blob.String(), "height", height, "err", err)
			f.book.resync.ring()
		}
	}
	if !handled {
		return nil
	}
	if err := f.follow(height); err != nil && !errors.Is(err, store.ErrClosed) {
		f.log.Error("cannot note how far the ledger was followed; after a restart its events are processed again", "height", height, "err", err)
	}
	return nil
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

package node

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"walrus/certs"
	"walrus/ledger"
	"walrus/shards"
	"walrus/store"
)

// stateFollowed, followed by the network ID, is the store's key for the height up to which the events of that
// network's ledger have been processed. The value is a u64, big-endian.
const stateFollowed = "ledger-followed-"

func (n *Node) followedKey() string { return stateFollowed + n.committee.Network().String() }

// runFollow processes the ledger's events: it records certificates, prolongs extended blobs and removes deleted and
// ended ones. After a restart it continues at the same height. At every start, and where events have been pruned, it
// also compares the whole store with the state.
func (n *Node) runFollow(ctx context.Context) error {
	select {
	case <-n.ledger.Ready():
	case <-ctx.Done():
		return nil
	}
	followed, err := n.followed()
	if err != nil {
		return err
	}
	if !n.reach(ctx, followed) {
		return nil
	}
	for {
		_, height := n.ledger.State()
		n.compareWithLedger(ctx)
		n.life.compare()
		kept, err := n.ledger.Follow(ctx, followed+1, n.apply)
		switch {
		case ctx.Err() != nil:
			return nil
		case kept:
			return err
		}
		n.log.Warn("the ledger's events since this node ran last are not kept any more; comparing with its state and with other nodes", "from", followed+1, "to", height)
		followed = height
		if err := n.follow(followed); err != nil {
			return err
		}
		n.requestSync() // other members have the certificates
	}
}

// reach waits until the ledger here is at height, where it was before a restart. A ledger that lost its end in a
// crash may lack blobs that are stored: they must not be dropped. False when ctx has ended.
func (n *Node) reach(ctx context.Context, height uint64) bool {
	for {
		news := n.pending.changed()
		if _, at := n.ledger.State(); at >= height {
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
func (n *Node) followed() (uint64, error) {
	b, err := n.store.State(n.followedKey())
	if errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrCorrupt) || err == nil && len(b) != 8 {
		return 0, nil // from the start: events may be processed twice
	}
	if err != nil {
		return 0, err
	}
	return binary.BigEndian.Uint64(b), nil
}

func (n *Node) follow(height uint64) error {
	return n.store.PutState(n.followedKey(), binary.BigEndian.AppendUint64(nil, height))
}

// apply processes the events of a block. Failures are logged and left to the comparisons: events come in order, and
// one that the disk refuses must not delay the others.
func (n *Node) apply(height uint64, events []ledger.Event) error {
	worked := false
	for i := range events {
		e := &events[i]
		var err error
		switch e.Kind {
		case ledger.EventCertified:
			err = n.takeEvent(e)
		case ledger.EventRegistered, ledger.EventExtended:
			err = n.prolong(e.Blob)
		case ledger.EventDeleted:
			err = n.dropDead(e.Blob)
		case ledger.EventEpoch:
			n.log.Info("epoch began", "epoch", e.Epoch)
			err = n.endEpochs(e.Epoch)
		default:
			continue
		}
		worked = true
		if errors.Is(err, store.ErrClosed) {
			return nil // the node is stopping
		}
		if err != nil {
			n.log.Error("cannot do what the ledger asks; it is tried again at the next comparison", "event", string(e.Kind), "blob", e.Blob.String(), "height", height, "err", err)
			n.requestSync()
		}
	}
	if !worked {
		return nil
	}
	if err := n.follow(height); err != nil && !errors.Is(err, store.ErrClosed) {
		n.log.Error("cannot note how far the ledger was followed; its events are worked off again after a restart", "height", height, "err", err)
	}
	return nil
}

// takeEvent records the certificate of an event, which the network has verified. It skips a blob that was deleted
// since. A new registration of that blob promises nothing until it is certified.
func (n *Node) takeEvent(e *ledger.Event) error {
	info, epoch, err := n.lookUp(e.Blob)
	if err != nil || info.CertifiedUntil(epoch) == 0 || n.certified(e.Blob) {
		return err
	}
	cert, err := certs.UnmarshalCertificate(e.Certificate)
	if err != nil {
		return err
	}
	return n.record(cert, e.Certificate, n.cfg.Repair.Grace)
}

// prolong extends the storage of a blob that is here to the end of its registration.
func (n *Node) prolong(id shards.BlobID) error {
	rec, err := n.store.Blob(id)
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	info, epoch, lerr := n.lookUp(id)
	if lerr != nil {
		return lerr
	}
	end := info.RegisteredUntil(epoch)
	if end == 0 || err == nil && end <= rec.EndEpoch {
		return nil
	}
	raw, err := n.store.Metadata(id)
	if err != nil {
		if n.certified(id) {
			n.owe(id)
		}
		return nil // repair restores the metadata and the record
	}
	return n.store.PutBlob(id, raw, end)
}

// dropDead removes a blob without a live registration. Confirm waits meanwhile, so a blob registered anew is not
// confirmed and then removed.
func (n *Node) dropDead(id shards.BlobID) error {
	n.dropping.Lock()
	defer n.dropping.Unlock()
	if !n.dead(id) {
		return nil
	}
	n.debts.forget(id)
	n.damaged.forget(id)
	return n.store.DropBlob(id, n.shards)
}

// endEpochs removes ended blobs: first it moves extended blobs to their later end, then it drops whole buckets, then
// whatever else has no live registration. A bucket stays while a blob in it cannot be moved. If a later epoch has
// begun already, it does nothing: the event of that epoch will follow.
func (n *Node) endEpochs(began uint32) error {
	epoch, err := n.epoch()
	if err != nil || began < epoch {
		return err
	}
	owed := map[uint32]error{}
	err = n.eachBlob(func(id shards.BlobID) error {
		rec, err := n.store.Blob(id)
		if err != nil || rec.EndEpoch > epoch {
			return nil
		}
		if err := n.prolong(id); err != nil {
			owed[rec.EndEpoch] = err
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, end := range n.store.EndEpochs() {
		if end > epoch {
			break
		}
		if err := owed[end]; err != nil {
			return fmt.Errorf("keep what ended in epoch %d: %w", end, err)
		}
		if err := n.store.DropEpoch(end); err != nil {
			return err
		}
		n.log.Info("removed what ended", "epoch", end)
	}
	return n.eachBlob(n.dropDead)
}

// compareWithLedger drops what ended and prolongs what was extended while this node was away. Failures are left to
// the next comparison: a full disk must not keep the node from serving.
func (n *Node) compareWithLedger(ctx context.Context) {
	err := n.eachBlob(func(id shards.BlobID) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		if n.dead(id) {
			return n.dropDead(id)
		}
		return n.prolong(id)
	})
	if err == nil {
		var epoch uint32
		if epoch, err = n.epoch(); err == nil {
			err = n.endEpochs(epoch)
		}
	}
	if err != nil && ctx.Err() == nil && !errors.Is(err, store.ErrClosed) {
		n.log.Error("cannot compare what is stored with the ledger; the next comparison tries again", "err", err)
	}
}

// eachBlob calls fn for every blob and every certificate in the store; a blob with both gets two calls.
func (n *Node) eachBlob(fn func(shards.BlobID) error) error {
	for _, list := range []func(shards.BlobID, int) ([]shards.BlobID, error){n.store.Blobs, n.store.Certificates} {
		var after shards.BlobID
		for {
			ids, err := list(after, pageSize)
			if err != nil {
				return err
			}
			for _, id := range ids {
				if err := fn(id); err != nil {
					return err
				}
			}
			if len(ids) < pageSize {
				break
			}
			after = ids[len(ids)-1]
		}
	}
	return nil
}

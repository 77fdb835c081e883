package keeper

import (
	"context"
	"errors"
	"fmt"
	"time"

	"walrus/certs"
	"walrus/ledger"
	"walrus/p2p"
	"walrus/shards"
)

// Ledger is a node's own copy of the ledger on which the network has agreed.
type Ledger interface {
	// Ready is closed when the copy has caught up with the network for the first time.
	Ready() <-chan struct{}
	// State returns the newest state here and its height. The returned state does not change.
	State() (state ledger.Reader, height uint64)
	// Follow calls fn with the events of each block from a height on, in order and without a gap, until ctx ends or
	// fn fails. If the events of that height have been pruned, kept is false and fn was not called.
	Follow(ctx context.Context, from uint64, fn func(height uint64, events []ledger.Event) error) (kept bool, err error)
	// Health returns the newest block here and its time. If the ledger stalls, trouble tells people for how long and
	// why.
	Health() (height uint64, at time.Time, trouble string)
	// Submit queues a transaction for a block. It also succeeds if it is queued or committed already.
	Submit(ctx context.Context, tx []byte) error
}

// chain answers questions about blobs from the ledger's copy here. Errors of an unreadable copy wrap ErrUnavailable.
type chain struct {
	Ledger
	proven *proven // blobs proved to be invalid here; nil: none
}

// errInvalid refuses a blob whose rows and columns contradict each other.
var errInvalid = fmt.Errorf("%w: it was encoded wrongly by its writer, and its slivers give different contents",
	p2p.ErrInvalid)

func unreadable(err error) error {
	return fmt.Errorf("%w: the ledger here cannot be read: %w", p2p.ErrUnavailable, err)
}

// epoch returns the current epoch of the ledger here.
func (c chain) epoch() (uint32, error) {
	state, _ := c.State()
	e, err := ledger.ReadEpoch(state)
	if err != nil {
		return 0, unreadable(err)
	}
	return e.Epoch, nil
}

// caughtUp reports whether the ledger here has ever been as new as the network's.
func (c chain) caughtUp() bool {
	select {
	case <-c.Ready():
		return true
	default:
		return false
	}
}

// lookUp reads blob id from the ledger here.
func (c chain) lookUp(id shards.BlobID) (info ledger.BlobInfo, epoch uint32, err error) {
	state, _ := c.State()
	e, err := ledger.ReadEpoch(state)
	if err == nil {
		info, err = ledger.ReadBlobInfo(state, id)
	}
	if err != nil {
		return info, 0, unreadable(err)
	}
	return info, e.Epoch, nil
}

// mayStore returns the epoch at whose start storage of blob id ends. ErrNotRegistered if no registration is alive;
// ErrUnavailable if this node has not caught up and may not know of one.
func (c chain) mayStore(id shards.BlobID) (end uint32, err error) {
	info, epoch, err := c.lookUp(id)
	if err != nil {
		return 0, err
	}
	if c.isInvalid(id, &info) {
		return 0, errInvalid
	}
	if end := info.RegisteredUntil(epoch); end > 0 {
		return end, nil
	}
	return 0, c.notRegistered(epoch)
}

func (c chain) notRegistered(epoch uint32) error {
	if !c.caughtUp() {
		_, height := c.State()
		return fmt.Errorf("%w: this node is at height %d of the ledger and still catching up", p2p.ErrUnavailable, height)
	}
	return fmt.Errorf("%w in epoch %d", p2p.ErrNotRegistered, epoch)
}

// registered returns the current epoch if a registration of blob id with persistence p is alive in it. Errors as from
// mayStore; ErrBadRequest if the object is not a deletable record of this blob.
func (c chain) registered(id shards.BlobID, p certs.Persistence) (epoch uint32, err error) {
	state, _ := c.State()
	e, err := ledger.ReadEpoch(state)
	if err != nil {
		return 0, unreadable(err)
	}
	var end uint32
	if p.Deletable {
		var b ledger.Blob
		b, err = ledger.ReadBlob(state, p.Object)
		if err == nil && (b.BlobID != id || !b.Deletable) {
			return 0, fmt.Errorf("%w: %s is no deletable record of this blob", p2p.ErrBadRequest, p.Object)
		}
		end = b.End
	} else {
		var info ledger.BlobInfo
		info, err = ledger.ReadBlobInfo(state, id)
		end = info.PermanentEnd
	}
	switch {
	case err != nil && !errors.Is(err, ledger.ErrNotFound):
		return 0, unreadable(err)
	case c.invalid(id):
		return 0, errInvalid
	case end <= e.Epoch:
		return 0, c.notRegistered(e.Epoch)
	}
	return e.Epoch, nil
}

// certified returns nil if the ledger here has a certified record of blob id that is alive; only then a certificate of
// the blob is worth anything. ErrNotRegistered if it has none; ErrUnavailable if this node has not caught up and may
// not know of one.
func (c chain) certified(id shards.BlobID) error {
	info, epoch, err := c.lookUp(id)
	switch {
	case err != nil:
		return err
	case c.isInvalid(id, &info):
		return errInvalid
	case info.CertifiedUntil(epoch) > 0:
		return nil
	case info.RegisteredUntil(epoch) == 0 || !c.caughtUp():
		return c.notRegistered(epoch)
	}
	return fmt.Errorf("%w as certified in epoch %d", p2p.ErrNotRegistered, epoch)
}

// dead reports that nothing of blob id must be kept: the ledger here has caught up and has no live registration of it.
func (c chain) dead(id shards.BlobID) bool {
	if !c.caughtUp() {
		return false
	}
	info, epoch, err := c.lookUp(id)
	return err == nil && (info.RegisteredUntil(epoch) == 0 || c.isInvalid(id, &info))
}

// invalid reports that blob id has no content: the ledger here has marked it, or it is proven here.
func (c chain) invalid(id shards.BlobID) bool {
	info, _, err := c.lookUp(id)
	return c.proven.has(id) || err == nil && info.Invalid
}

func (c chain) isInvalid(id shards.BlobID, info *ledger.BlobInfo) bool {
	return info.Invalid || c.proven.has(id)
}

// owesNothing reports that no sliver of blob id is owed: the ledger here has caught up and has no certified record of
// it that is alive, or the blob is invalid. An upload may be under way.
func (c chain) owesNothing(id shards.BlobID) bool {
	err := c.certified(id)
	return errors.Is(err, p2p.ErrNotRegistered) || errors.Is(err, p2p.ErrInvalid)
}

// mayExist reports whether a blob that is not here may exist: the ledger has it certified, or this node has not caught
// up with the ledger and may not know of its certificate.
func (c chain) mayExist(id shards.BlobID) bool {
	return !c.owesNothing(id)
}

// describe sums up the ledger's condition in one line, for the node's status.
func (c chain) describe() (height uint64, text string) {
	height, _, trouble := c.Health()
	switch {
	case trouble != "":
		return height, trouble
	case !c.caughtUp():
		return height, fmt.Sprintf("catching up, at height %d", height)
	}
	return height, "running"
}

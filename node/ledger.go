package node

import (
	"context"
	"fmt"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"

	"walrus/certs"
	"walrus/ledger"
	"walrus/p2p"
	"walrus/shards"
)

// Ledger is a node's own copy of the ledger on which the network has agreed.
type Ledger interface {
	// Run keeps the copy up to date until ctx ends. It returns an error only if the node must stop, because the
	// network's agreement or the copy is broken. A ledger that stands still is no error.
	Run(ctx context.Context) error
	// Close releases the ledger's resources, after Run has returned or instead of Run.
	Close() error
	// Ready is closed when the copy has caught up with the network for the first time.
	Ready() <-chan struct{}
	// State returns the newest state here and its height. The returned state does not change.
	State() (state ledger.Reader, height uint64)
	// Follow calls fn with the events of each block from a height on, in order and without a gap, until ctx ends or
	// fn fails. If the events of that height have been pruned, kept is false and fn was not called.
	Follow(ctx context.Context, from uint64, fn func(height uint64, events []ledger.Event) error) (kept bool, err error)
	// Health returns the newest block here and its time. If the ledger stands still, trouble tells people since when
	// and why.
	Health() (height uint64, at time.Time, trouble string)
}

// OpenLedger opens the ledger of a node over the node's host. connect finds a peer's addresses and dials it.
type OpenLedger func(h host.Host, connect func(context.Context, peer.ID) error) (Ledger, error)

// epoch returns the current epoch of the ledger here.
func (n *Node) epoch() (uint32, error) {
	state, _ := n.ledger.State()
	e, err := ledger.ReadEpoch(state)
	if err != nil {
		return 0, fmt.Errorf("%w: the ledger here cannot be read: %w", p2p.ErrUnavailable, err)
	}
	return e.Epoch, nil
}

// caughtUp reports whether the ledger here has ever been as new as the network's.
func (n *Node) caughtUp() bool {
	select {
	case <-n.ledger.Ready():
		return true
	default:
		return false
	}
}

// lookUp reads blob id from the ledger here.
func (n *Node) lookUp(id shards.BlobID) (info ledger.BlobInfo, epoch uint32, err error) {
	state, _ := n.ledger.State()
	e, err := ledger.ReadEpoch(state)
	if err == nil {
		info, err = ledger.ReadBlobInfo(state, id)
	}
	if err != nil {
		return info, 0, fmt.Errorf("%w: the ledger here cannot be read: %w", p2p.ErrUnavailable, err)
	}
	return info, e.Epoch, nil
}

// mayStore returns the epoch at whose start storage of blob id ends. ErrNotRegistered if no registration is alive;
// ErrUnavailable if this node has not caught up and may not know of one.
func (n *Node) mayStore(id shards.BlobID) (end uint32, err error) {
	info, epoch, err := n.lookUp(id)
	if err != nil {
		return 0, err
	}
	if end := info.RegisteredUntil(epoch); end > 0 {
		return end, nil
	}
	return 0, n.notRegistered(epoch)
}

func (n *Node) notRegistered(epoch uint32) error {
	if !n.caughtUp() {
		_, height := n.ledger.State()
		return fmt.Errorf("%w: this node is at height %d of the ledger and still catching up", p2p.ErrUnavailable, height)
	}
	return fmt.Errorf("%w in epoch %d", p2p.ErrNotRegistered, epoch)
}

// registered returns the current epoch if a registration of blob id with persistence p is alive in it. Errors are
// those of mayStore; ErrBadRequest if the object is not a deletable record of this blob.
func (n *Node) registered(id shards.BlobID, p certs.Persistence) (epoch uint32, err error) {
	state, _ := n.ledger.State()
	e, err := ledger.ReadEpoch(state)
	if err != nil {
		return 0, fmt.Errorf("%w: the ledger here cannot be read: %w", p2p.ErrUnavailable, err)
	}
	if !p.Deletable {
		info, err := ledger.ReadBlobInfo(state, id)
		if err == nil && info.PermanentEnd <= e.Epoch {
			err = n.notRegistered(e.Epoch)
		}
		return e.Epoch, err
	}
	raw, err := state.Get(ledger.KeyBlob(p.Object))
	if err == nil && raw == nil {
		return e.Epoch, n.notRegistered(e.Epoch)
	}
	if err != nil {
		return 0, fmt.Errorf("%w: the ledger here cannot be read: %w", p2p.ErrUnavailable, err)
	}
	b, err := ledger.UnmarshalBlob(raw)
	switch {
	case err != nil:
		return 0, fmt.Errorf("%w: %w", p2p.ErrUnavailable, err)
	case b.BlobID != id || !b.Deletable:
		return 0, fmt.Errorf("%w: %s is no deletable record of this blob", p2p.ErrBadRequest, p.Object)
	case b.End <= e.Epoch:
		return 0, n.notRegistered(e.Epoch)
	}
	return e.Epoch, nil
}

// dead reports that nothing of blob id is owed: the ledger here has caught up and has no live registration of it.
func (n *Node) dead(id shards.BlobID) bool {
	if !n.caughtUp() {
		return false
	}
	info, epoch, err := n.lookUp(id)
	return err == nil && info.RegisteredUntil(epoch) == 0
}

// ledgerText describes the ledger in one line, for the node's status.
func (n *Node) ledgerText() (height uint64, text string) {
	height, _, trouble := n.ledger.Health()
	switch {
	case trouble != "":
		return height, trouble
	case !n.caughtUp():
		return height, fmt.Sprintf("catching up, at height %d", height)
	}
	return height, "goes on"
}

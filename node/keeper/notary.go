package keeper

import (
	"crypto/rand"
	"errors"
	"sync"
	"time"

	"walrus/certs"
	"walrus/p2p"
	"walrus/probe"
	"walrus/shards"
	"walrus/store"
)

// A node signs that it lacks a sliver only once its certificate has been here for a grace: a 144th of an epoch, like a
// monitor's round, within these bounds. Until then an upload may still bring the sliver.
const (
	minOwedGrace = time.Minute
	maxOwedGrace = 10 * time.Minute
	graceParts   = 144
)

// owedGrace returns the grace of a network whose epochs have a length.
func owedGrace(epoch time.Duration) time.Duration {
	return max(minOwedGrace, min(epoch/graceParts, maxOwedGrace))
}

// notary decides which answers the host signs. A signed answer that lacks a sliver convicts this node, so it says no
// more than what is so: the sliver is owed by our own ledger, for longer than a grace, and is not here.
type notary struct {
	shelf   *shelf
	chain   chain
	network certs.NetworkID
	young   young
}

// Stamp names the network and the height of the ledger here; 0 if the ledger has not caught up.
func (x *notary) Stamp() (network certs.NetworkID, n int, height uint64) {
	if x.chain.caughtUp() {
		_, height = x.chain.State()
	}
	return x.network, x.shelf.params.Shards(), height
}

// lack returns err, the reason why a sliver cannot be read, in the form that is signed if it must be.
func (x *notary) lack(ref store.Ref, index int, err error) error {
	switch {
	case errors.Is(err, p2p.ErrNotOwner):
		return &p2p.Lack{Sliver: index, Err: err}
	case errors.Is(err, p2p.ErrNotFound):
		// A compaction may have moved it meanwhile. Ask for it before the ledger: an ended blob goes after its end.
		if here, herr := x.shelf.HasSliver(ref); here || herr != nil {
			return err
		}
	case !errors.Is(err, p2p.ErrCorrupt):
		return err
	}
	if !x.owed(ref) {
		return err
	}
	return &p2p.Lack{Sliver: index, Err: err}
}

// owed reports whether a sliver must be here: the blob is certified and alive, its certificate is here and not young,
// and the shard was ours in the epoch before, too.
func (x *notary) owed(ref store.Ref) bool {
	if x.chain.certified(ref.Blob) != nil || !x.shelf.certified(ref.Blob) || x.young.has(ref.Blob) {
		return false
	}
	now, err := x.shelf.seats.now()
	if err != nil || !now.owns(ref.Shard) {
		return false
	}
	before, err := x.shelf.seats.at(now.Epoch() - 1)
	return err != nil || before.owns(ref.Shard) // the first epoch has none before it
}

// young remembers blobs for a grace after their certificates were recorded. The ledger bounds their number: each was
// certified on it.
type young struct {
	grace time.Duration // constant

	mu           sync.Mutex
	begun        time.Time // of the newer generation; guarded by mu, as is the next
	newer, older map[shards.BlobID]time.Time
}

func (y *young) add(id shards.BlobID) {
	y.mu.Lock()
	defer y.mu.Unlock()
	now := time.Now()
	if y.newer == nil || now.Sub(y.begun) > y.grace {
		y.begun, y.newer, y.older = now, map[shards.BlobID]time.Time{}, y.newer
	}
	y.newer[id] = now
}

func (y *young) has(id shards.BlobID) bool {
	y.mu.Lock()
	defer y.mu.Unlock()
	at, ok := y.newer[id]
	if !ok {
		at, ok = y.older[id]
	}
	return ok && time.Since(at) < y.grace
}

// asked makes a question of a repair the same in form as a monitor's. All questions of one repair have one nonce.
type asked struct {
	nonce  probe.Nonce
	height uint64
}

// asking begins the questions of a repair.
func (c chain) asking() (a asked) {
	_, _ = rand.Read(a.nonce[:]) // it never fails
	if _, height := c.State(); height > probe.Lag {
		a.height = height - probe.Lag
	}
	return a
}

func (a asked) sign(q p2p.SymbolQuery) p2p.SymbolQuery {
	q.Nonce, q.Height = a.nonce, a.height
	return q
}

package keeper

import (
	"context"
	"fmt"

	"walrus/certs"
	"walrus/p2p"
	"walrus/shards"
)

// confirmer signs confirmations: all pairs of a blob that this node must hold are on its disk, synced.
type confirmer struct {
	admitted *admission
	shelf    *shelf
	chain    chain
	pending  *pending
	leases   *leases
	checker  *checker
	key      *certs.SecretKey
	meters   *meters
}

// Confirm signs that every pair this node is responsible for is verified and durable. The ledger must have a live
// registration of the blob with persistence p. The confirmation names the epoch in which the ledger was seen to have
// it.
func (c *confirmer) Confirm(ctx context.Context, id shards.BlobID, p certs.Persistence) ([]byte, error) {
	if err := c.admitted.check(); err != nil {
		return nil, err
	}
	var epoch uint32
	err := c.pending.await(ctx, func() (err error) { epoch, err = c.chain.registered(id, p); return err })
	if err != nil {
		return nil, err
	}
	defer c.leases.hold()()
	if err := c.leases.prolong(id); err != nil { // before signing: keep the blob until this registration ends
		return nil, wireError(err)
	}
	for {
		at, err := c.shelf.seats.at(epoch)
		if err != nil {
			return nil, err
		}
		if len(at.shards) == 0 {
			return nil, fmt.Errorf("%w: this node holds no shard in epoch %d", p2p.ErrNotOwner, epoch)
		}
		if err := c.shelf.durable(id, at); err != nil {
			return nil, err
		}
		if err := c.checker.own(ctx, id, at); err != nil {
			return nil, err
		}
		if epoch, err = c.chain.registered(id, p); err != nil { // it may have ended in the meantime
			return nil, err
		}
		if epoch == at.Epoch() { // else other shards may be ours
			c.meters.confirmations.Inc()
			conf := at.Sign(c.key, at.self, id, p)
			return conf.Marshal(), nil
		}
	}
}

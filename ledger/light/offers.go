package light

import (
	"context"
	"fmt"

	"github.com/libp2p/go-libp2p/core/peer"

	"walrus/ledger"
)

// Offers names objects that are offered to an account, ascending: at most limit, after one. A node may leave some out
// or make some up: read the offers of those that matter.
func (c *Client) Offers(ctx context.Context, to ledger.Address, after ledger.ObjectID, limit int) ([]ledger.ObjectID, error) {
	limit = min(limit, MaxObjects)
	ids, err := first(ctx, c, func(ctx context.Context, id peer.ID) ([]ledger.ObjectID, error) {
		var page objectsAnswer
		request := &objectsRequest{Listing{Account: to, Offers: true}, after, uint32(limit)}
		if err := c.calls.ask(ctx, id, objectsProtocol, request, &page); err != nil {
			return nil, err
		}
		ids := make([]ledger.ObjectID, len(page.Objects))
		for i, o := range page.Objects {
			ids[i] = o.ID
		}
		return ids, nil
	})
	if err != nil {
		return nil, fmt.Errorf("list offers to %s: %w", to, err)
	}
	return ids, nil
}

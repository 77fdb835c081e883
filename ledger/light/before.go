package light

import (
	"context"
	"fmt"
	"time"

	"walrus/ledger"
)

// HeaderBefore returns the newest verified header whose time is before at. Everybody who asks some seconds after at
// gets the same one: a block agreed on later has a later time. A ledger that is stalled has one, too. It fetches a
// number of headers that grows with the logarithm of the number of blocks since at. It returns ledger.ErrNotFound if at
// is before the first block.
func (c *Client) HeaderBefore(ctx context.Context, at time.Time) (*Header, error) {
	head, err := c.Head(ctx)
	if head.Height == 0 {
		return nil, fmt.Errorf("find the block before %s: %w", at.UTC().Format(time.RFC3339), err)
	}
	after, step := head.Height+1, uint64(1)
	below, err := c.Header(ctx, head.Height)
	for err == nil && !below.Time.Before(at) {
		after = below.Height
		if after <= 1 {
			return nil, fmt.Errorf("find the block before %s: the ledger begins later: %w", at.UTC().Format(time.RFC3339), ledger.ErrNotFound)
		}
		below, err = c.Header(ctx, after-min(step, after-1))
		step *= 2
	}
	for err == nil && after-below.Height > 1 {
		var h *Header
		if h, err = c.Header(ctx, below.Height+(after-below.Height)/2); err != nil {
			break
		}
		if h.Time.Before(at) {
			below = h
		} else {
			after = h.Height
		}
	}
	if err != nil {
		return nil, fmt.Errorf("find the block before %s: %w", at.UTC().Format(time.RFC3339), err)
	}
	return below, nil
}

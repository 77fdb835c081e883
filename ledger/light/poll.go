package light

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/cometbft/cometbft/types"
	"github.com/libp2p/go-libp2p/core/peer"
)

const (
	// pollPeers limits the members asked, picked at random: if a third of all lie, they are hardly half of this many.
	pollPeers = 31
	// pollTime bounds a poll. After a quorum has answered, the others get pollGrace.
	pollTime, pollGrace = 3 * time.Second, 200 * time.Millisecond
)

// poll asks a sample of the members at once. ask returns nil for a member that did not answer. It returns the answers,
// the shards of the members that gave them, and the shards of all that were asked. It ends once all have answered, soon
// after those with more than two thirds of the shards have, or after pollTime.
func poll[T any](ctx context.Context, c *Client, ask func(context.Context, peer.ID) *T) (list []T, have, total int) {
	var ids []peer.ID
	for _, at := range rand.Perm(len(c.cfg.Genesis.Members)) {
		if id := c.cfg.Genesis.Members[at].Node; id != c.cfg.Host.ID() && len(ids) < pollPeers {
			ids = append(ids, id)
		}
	}
	limited, cancel := context.WithTimeout(ctx, pollTime)
	var asked sync.WaitGroup
	defer asked.Wait()
	defer cancel()
	type reply struct {
		answer *T
		shards int
	}
	replies := make(chan reply, len(ids))
	for _, id := range ids {
		total += c.shards[id]
		asked.Go(func() { replies <- reply{ask(limited, id), c.shards[id]} })
	}
	var enough <-chan time.Time
	for range ids {
		select {
		case r := <-replies:
			if r.answer == nil {
				continue
			}
			list = append(list, *r.answer)
			if have += r.shards; 3*have > 2*total && enough == nil {
				enough = time.After(pollGrace)
			}
		case <-enough:
			return list, have, total
		case <-limited.Done():
			return list, have, total
		}
	}
	return list, have, total
}

// CatchUp asks many members for their latest block. No later reading is older than the newest one that is proven: a
// node may lag behind, and a client that has seen nothing yet cannot tell. Call it before an answer such as "not enough
// WAL" is final. It takes 3 s at most. If no member answers, nothing changes.
func (c *Client) CatchUp(ctx context.Context) {
	latest := func(ctx context.Context, id peer.ID) (*types.LightBlock, error) { return c.blockFrom(ctx, id, 0) }
	heights, _, _ := poll(ctx, c, func(ctx context.Context, id peer.ID) *uint64 {
		r := judge(ctx, c, id, latest)
		if r.value == nil || r.err != nil && !answered(r.err) {
			return nil
		}
		state := uint64(r.value.Height) - 1 // the block proves the state before it
		return &state
	})
	for _, h := range heights {
		c.raise(h)
	}
}

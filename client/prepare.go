package client

import (
	"bytes"
	"context"
	"errors"
	"time"

	"golang.org/x/sync/errgroup"

	"walrus/gather"
	"walrus/ledger"
	"walrus/p2p"
	"walrus/shards"
)

// prepare connects to all unconfirmed nodes, offers them the blob by its metadata and learns which pairs each lacks.
// A nil entry means that the node takes no part in this round. Once a quorum has accepted, registering begins, and
// prepare waits for the others as long again, plus a quarter of DialTimeout. Without a quorum it goes on asking busy
// nodes for busyTime.
func (u *upload) prepare(ctx context.Context) [][]int {
	lacks := make([][]int, len(u.nodes))
	type answer struct {
		i    int
		held []int
		err  error
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	ch := make(chan answer, len(u.nodes))
	members := u.com.Members()
	var g errgroup.Group
	open, weight := 0, 0
	for i := range members {
		u.mu.Lock()
		confirmed := u.confirmedLocked(i)
		u.nodes[i].gone = false
		u.mu.Unlock()
		if confirmed {
			weight += u.com.Weight(i)
			continue
		}
		open++
		g.Go(func() error {
			a := answer{i: i}
			if a.err = u.c.nodes.Connect(ctx, members[i].Node); a.err == nil {
				a.held, a.err = entitled(ctx, u, func(token []byte) ([]int, error) {
					return u.c.nodes.PutMetadata(ctx, members[i].Node, u.id, token, u.raw)
				})
			} else if ctx.Err() == nil {
				u.mu.Lock()
				u.nodes[i].gone = true
				u.mu.Unlock()
			}
			if !errors.Is(a.err, p2p.ErrBusy) {
				a.err = why(ctx, a.err)
			}
			ch <- a
			return nil
		})
	}
	start := time.Now()
	var late <-chan time.Time
	for ; open > 0; open-- {
		select {
		case a := <-ch:
			if a.err != nil {
				u.endNode(a.i, a.err)
				continue
			}
			lacks[a.i] = u.startNode(a.i, a.held)
			if weight += u.com.Weight(a.i); weight >= u.com.Quorum() && late == nil {
				u.reg.begin()
				late = time.After(time.Since(start) + u.c.cfg.DialTimeout/4)
			}
		case <-late:
			cancel(gather.ErrSilent) // the remaining nodes now end as cancelled
			late = nil
			open++
		}
	}
	_ = g.Wait()
	u.mu.Lock()
	defer u.mu.Unlock()
	u.accepted = weight
	return lacks
}

// startNode lets node i take part in the round and returns the pairs that it lacks; never nil.
func (u *upload) startNode(i int, held []int) []int {
	has := make(map[int]bool, len(held))
	for _, p := range held {
		has[p] = true
	}
	pairs := []int{}
	params := u.com.Params()
	size := u.meta.Layout(shards.Primary).Size() + u.meta.Layout(shards.Secondary).Size()
	for _, s := range u.com.Members()[i].Shards {
		if p := params.PairOnShard(u.id, s); !has[p] {
			pairs = append(pairs, p)
		}
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.nodes[i].working, u.nodes[i].err = true, nil
	u.bytes.total += size * int64(len(pairs))
	u.nodes[i].total += size * int64(len(pairs))
	return pairs
}

const (
	// tokenTime is the life of an upload token. Nodes accept an hour. It is renewed halfway.
	tokenTime = 30 * time.Minute
)

// uploadRight is a token that is used again.
type uploadRight struct {
	object ledger.ObjectID
	until  time.Time
	token  []byte
}

// token returns an upload token for the blob's record, as far as the record's ID is known.
func (u *upload) token() []byte {
	object, now := u.reg.known(), time.Now()
	u.mu.Lock()
	defer u.mu.Unlock()
	if r := &u.right; r.token == nil || r.object != object || r.until.Sub(now) < tokenTime/2 {
		*r = uploadRight{object: object, until: now.Add(tokenTime)}
		t := ledger.UploadToken{Network: u.com.Network(), Blob: u.id, Peer: u.c.nodes.ID(), Object: object, Expiry: uint64(r.until.Unix())}
		u.c.payer.SignToken(&t)
		r.token = t.Marshal()
	}
	return u.right.token
}

// entitled patiently asks a node something that needs a token. If the node refuses the token for a predicted record,
// because another transaction of the account took that ID, it is asked again once the record's real ID is known.
func entitled[T any](ctx context.Context, u *upload, question func(token []byte) (T, error)) (T, error) {
	var token []byte
	ask := func() (T, error) {
		token = u.token()
		return question(token)
	}
	answer, err := patient(ctx, ask)
	if !errors.Is(err, p2p.ErrDenied) || !u.reg.hasBegun() {
		return answer, err
	}
	select {
	case <-u.reg.done:
	case <-ctx.Done():
		return answer, err
	}
	if bytes.Equal(token, u.token()) {
		return answer, err
	}
	return patient(ctx, ask)
}

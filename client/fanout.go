package client

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"walrus/shards"
)

// errStalled is the cause with which a node is cut off that held up the others too long.
var errStalled = errors.New("too slow: it held up the other nodes and was left to repair itself")

// stallTick is how often those who hold up the encoder are looked at.
const stallTick = 250 * time.Millisecond

// fanout hands the strips of one encoding to many taps, each at its own pace, within a bound on the strips in memory:
// the encoder waits for the slowest tap, for a limited time. Its fields are owned by run.
type fanout struct {
	taps    []*tap
	limit   time.Duration // how long a node may hold up the encoder, in all
	stalled map[int]time.Duration
	spare   func(node int) bool // whether the upload can do without a node; asked before it is cut off
}

// tap is one reader of the fanout. Its owner must receive until strips is closed, and release each strip, even after it failed.
type tap struct {
	node   int // index in the committee
	pairs  []int
	strips chan *sharedStrip
	cancel context.CancelCauseFunc // of the node's part in the round
}

type sharedStrip struct {
	*shards.Strip
	users atomic.Int32
}

func (s *sharedStrip) done() {
	if s.users.Add(-1) == 0 {
		s.Release()
	}
}

// add makes a tap that holds back at most window strips.
func (f *fanout) add(node int, pairs []int, window int, cancel context.CancelCauseFunc) *tap {
	t := &tap{node: node, pairs: pairs, strips: make(chan *sharedStrip, window), cancel: cancel}
	f.taps = append(f.taps, t)
	return t
}

// run encodes and hands out every strip, then closes the taps, also on error.
func (f *fanout) run(ctx context.Context, enc *shards.Encoder) error {
	f.stalled = map[int]time.Duration{}
	defer func() {
		for _, t := range f.taps {
			close(t.strips)
		}
	}()
	return enc.Strips(ctx, func(s *shards.Strip) error {
		shared := &sharedStrip{Strip: s}
		shared.users.Store(int32(len(f.taps)))
		for _, t := range f.taps {
			f.send(t, shared)
		}
		return ctx.Err()
	})
}

// send waits until the tap takes the strip. A tap that is cut off drains, and so takes it soon after.
func (f *fanout) send(t *tap, s *sharedStrip) {
	for {
		select {
		case t.strips <- s:
			return
		default:
		}
		timer := time.NewTimer(stallTick)
		select {
		case t.strips <- s:
			timer.Stop()
			return
		case <-timer.C:
			f.charge()
		}
	}
}

// charge counts a tick against every node with a full tap, for all of them hold up the encoder, not only the one it
// happens to wait for, and cuts off those that had their time and can be spared.
func (f *fanout) charge() {
	charged := map[int]bool{}
	for _, t := range f.taps {
		if len(t.strips) < cap(t.strips) || charged[t.node] {
			continue
		}
		charged[t.node] = true
		f.stalled[t.node] += stallTick
		if f.stalled[t.node] >= f.limit && f.spare(t.node) {
			t.cancel(errStalled)
		}
	}
}

package client

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"walrus/shards"
)

// errStalled is the cause with which a tap that held up the others too long is cancelled.
var errStalled = errors.New("too slow: it held up the other nodes and was left to repair itself")

// fanout hands the strips of one encoding to many taps, each at its own pace, within a bound on the strips in memory:
// the encoder waits for the slowest tap, for a limited time.
type fanout struct {
	taps  []*tap
	stall time.Duration // how long a tap may hold up the encoder, in all
	// spare says whether the upload can do without a tap's node; asked before it is cut off.
	spare func(*tap) bool
}

// tap is one reader of the fanout. Its owner must receive until strips is closed, releasing each strip, even after it failed.
type tap struct {
	node    int // index in the committee
	pairs   []int
	strips  chan *sharedStrip
	cancel  context.CancelCauseFunc
	stalled time.Duration // owned by the encoding goroutine
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

// send waits for the tap as long as it may; a tap that is cut off drains and so takes the strip soon after.
func (f *fanout) send(t *tap, s *sharedStrip) {
	select {
	case t.strips <- s:
		return
	default:
	}
	start := time.Now()
	defer func() { t.stalled += time.Since(start) }()
	for {
		timer := time.NewTimer(max(f.stall-t.stalled-time.Since(start), time.Second))
		select {
		case t.strips <- s:
			timer.Stop()
			return
		case <-timer.C:
			if t.stalled+time.Since(start) >= f.stall && f.spare(t) {
				t.cancel(errStalled)
			}
		}
	}
}

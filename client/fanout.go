package client

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"walrus/shards"
)

// errStalled is the cancel cause for a node that held up the others too long.
var errStalled = errors.New("too slow: it held up far faster nodes and was left to repair itself")

// stallTick is the interval at which taps that hold up the encoder are checked.
const stallTick = 250 * time.Millisecond

// drainFrom is the least capacity of a tap that is drained. A tap that holds up the others empties to a quarter before
// the next strip is made. Meanwhile its node has the client's line to itself, which shows how fast it is.
const drainFrom = 4

// fanout hands the strips of one encoding to many taps. Each tap reads at its own pace. Memory is bounded, because the
// encoder waits for the slowest tap, unless laggards finds its node far slower than the others. The goroutine of run
// owns the fields.
type fanout struct {
	taps  []*tap
	limit time.Duration       // how long a node may hold up the encoder in total
	spare func(node int) bool // whether the upload can do without a node; called before it is cut off
	slow  *laggards
	tick  *time.Ticker
}

// tap is one reader of the fanout. Its owner must receive until strips is closed, and release each strip, even after it
// failed.
type tap struct {
	node    int // index in the committee
	pairs   []int
	strips  chan *sharedStrip
	cancel  context.CancelCauseFunc // ends the node's part in the round
	waiting atomic.Bool             // the owner has nothing to do
	ended   atomic.Bool             // the owner only drains the tap
	sent    atomic.Int64            // bytes of all pairs
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

// add makes a tap that queues at most window strips.
func (f *fanout) add(node int, pairs []int, window int, cancel context.CancelCauseFunc) *tap {
	t := &tap{node: node, pairs: pairs, strips: make(chan *sharedStrip, window), cancel: cancel}
	f.taps = append(f.taps, t)
	return t
}

// run encodes and hands out every strip. It closes the taps at the end, also after an error.
func (f *fanout) run(ctx context.Context, enc *shards.Encoder) error {
	f.slow = &laggards{limit: f.limit}
	f.tick = time.NewTicker(stallTick)
	defer f.tick.Stop()
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

// send waits until the tap takes the strip. A tap that was cut off drains, so it takes the strip soon.
func (f *fanout) send(t *tap, s *sharedStrip) {
	select {
	case <-f.tick.C:
		f.cutSlow(false)
	default:
	}
	select {
	case t.strips <- s:
		return
	default:
	}
	for drain := false; ; {
		into := t.strips
		if drain && len(t.strips) > cap(t.strips)/drainFrom && !t.ended.Load() {
			into = nil
		}
		select {
		case into <- s:
			return
		case <-f.tick.C:
			drain = f.cutSlow(true) && cap(t.strips) >= drainFrom
		}
	}
}

// cutSlow tells laggards the state of all nodes and cuts off a node that has used up its time and can be spared. It
// reports whether most other nodes wait. A node holds up the encoder if held is set and its tap is more than a quarter
// full.
func (f *fanout) cutSlow(held bool) bool {
	var seen []sighting
	at := map[int]int{}
	pairs := map[int]int{}
	cancel := map[int]context.CancelCauseFunc{}
	waiting := 0
	for _, t := range f.taps {
		if t.ended.Load() {
			continue
		}
		i, known := at[t.node]
		if !known {
			i = len(seen)
			at[t.node], cancel[t.node] = i, t.cancel
			seen = append(seen, sighting{node: t.node, waiting: true})
		}
		pairs[t.node] += len(t.pairs)
		s := &seen[i]
		s.done += float64(t.sent.Load())
		s.waiting = s.waiting && t.waiting.Load() && len(t.strips) == 0
		s.full = s.full || held && len(t.strips) > cap(t.strips)/drainFrom
	}
	for i := range seen {
		seen[i].done /= float64(pairs[seen[i].node])
		if seen[i].waiting {
			waiting++
		}
	}
	for _, node := range f.slow.step(time.Now(), seen) {
		if f.spare(node) {
			cancel[node](errStalled)
			break // cut off the next only once this one counts as ended
		}
	}
	return 2*waiting >= len(seen)-1
}

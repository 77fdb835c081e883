package light

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"walrus/internal/pause"
)

const (
	// ClockWarning is the offset from the network's clock from which this machine's clock is reported. It is less
	// than clockSkew, beyond which the ledger cannot be used.
	ClockWarning = 5 * time.Second
	// clockGlance bounds a hasty caller's comparison.
	clockGlance = 500 * time.Millisecond
	// clockFresh is the lifetime of a comparison, clockRetry if it had too few answers. WatchClock compares
	// every clockEvery.
	clockFresh, clockRetry, clockEvery = 30 * time.Second, 5 * time.Second, time.Minute
)

// ClockError reports this machine's offset from the network's clock. It wraps ErrClock.
type ClockError struct {
	Ahead time.Duration // negative: behind
}

// Error describes the error for people.
func (e *ClockError) Error() string {
	return fmt.Sprintf("this computer's clock is %s the network's: set it", ClockText(e.Ahead))
}

// Unwrap makes errors.Is(err, ErrClock) true.
func (e *ClockError) Unwrap() error { return ErrClock }

// ClockText returns an offset in words, such as "10 min ahead of", or "10 min behind" for a negative one.
func ClockText(ahead time.Duration) string {
	if ahead < 0 {
		return DurationText(-ahead) + " behind"
	}
	return DurationText(ahead) + " ahead of"
}

// DurationText returns a duration in its most telling unit, such as "14 s", "10 min" or "3 h".
func DurationText(d time.Duration) string {
	for _, unit := range []struct {
		from, size time.Duration
		name       string
	}{{48 * time.Hour, 24 * time.Hour, "days"}, {2 * time.Hour, time.Hour, "h"}, {2 * time.Minute, time.Minute, "min"}} {
		if d >= unit.from {
			return fmt.Sprintf("%.0f %s", float64(d)/float64(unit.size), unit.name)
		}
	}
	return fmt.Sprintf("%.0f s", d.Seconds())
}

// clockMark caches the last comparison of clocks.
type clockMark struct {
	mu    sync.Mutex // held during a comparison, so that concurrent callers share it
	at    time.Time  // time of the last comparison; guarded by mu, as are the next two
	ahead time.Duration
	err   error // the reason why ahead is unknown
}

// Clock compares this machine's clock with the members' clocks and returns its offset from the median, by shards.
// Members with more than two thirds of the shards asked must answer, so that liars are less than half of them;
// otherwise the error wraps ErrUnavailable. A comparison less than half a minute old is reused.
func (c *Client) Clock(ctx context.Context) (ahead time.Duration, err error) {
	m := &c.clock
	m.mu.Lock()
	defer m.mu.Unlock()
	if age := time.Since(m.at); m.at.IsZero() || age > clockFresh || m.err != nil && age >= clockRetry {
		m.ahead, m.err = compareClocks(ctx, c)
		if ctx.Err() != nil {
			return m.ahead, m.err
		}
		m.at = time.Now()
	}
	return m.ahead, m.err
}

// clockSample is this machine's offset from one member's clock.
type clockSample struct {
	ahead  time.Duration
	shards int
}

func compareClocks(ctx context.Context, c *Client) (time.Duration, error) {
	list, have, total := poll(ctx, c, func(ctx context.Context, id peer.ID) *clockSample { return clockOf(ctx, c, id) })
	if 3*have <= 2*total {
		return 0, fmt.Errorf("compare clocks: %w from most nodes: %d of %d shards told their time",
			ErrUnavailable, have, total)
	}
	return medianClock(list), nil
}

// medianClock returns the median offset by shards.
func medianClock(list []clockSample) time.Duration {
	slices.SortFunc(list, func(a, b clockSample) int { return cmp.Compare(a.ahead, b.ahead) })
	total, below := 0, 0
	for _, s := range list {
		total += s.shards
	}
	for _, s := range list {
		if below += s.shards; 2*below >= total {
			return s.ahead
		}
	}
	return 0
}

// clockOf compares clocks with one member; nil without an answer, as from older versions.
func clockOf(ctx context.Context, c *Client, id peer.ID) *clockSample {
	frame, err := encodeRequest(c.id, new(clockRequest))
	if err != nil {
		return nil
	}
	start := time.Now()
	var answer clockAnswer
	if c.calls.attempt(ctx, id, clockProtocol, endpoints[clockProtocol], frame, &answer) != nil {
		return nil
	}
	between := c.trust.now().Add(-time.Since(start) / 2)
	return &clockSample{between.Sub(time.Unix(0, int64(answer.Nanos))), c.shards[id]}
}

// clockFault returns a *ClockError if this machine's clock explains err: the latest block seems to come from
// the future, or seems too old though no node reports a stall. Otherwise it returns nil.
func (c *Client) clockFault(ctx context.Context, err error, hasty bool) error {
	var s *Stall
	old := errors.As(err, &s) && s.Reason == ""
	if !old && !errors.Is(err, ErrClock) {
		return nil
	}
	if hasty {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, clockGlance)
		defer cancel()
	}
	ahead, unknown := c.Clock(ctx)
	if unknown != nil || max(ahead, -ahead) < ClockWarning || old &&
		c.trust.now().Add(-ahead).Sub(s.Time) > s.limit {
		return nil
	}
	return &ClockError{ahead}
}

// WatchClock compares clocks until ctx ends. It calls tell when the clock goes wrong, by ClockWarning or more, when
// the offset changes by as much again, and when the clock is right again.
func (c *Client) WatchClock(ctx context.Context, tell func(ahead time.Duration, wrong bool)) {
	var w clockWatch
	for {
		ahead, err := c.Clock(ctx)
		if err == nil && w.step(ahead) {
			tell(ahead, w.wrong)
		}
		wait := clockEvery
		if err != nil {
			wait = clockRetry
		}
		if !pause.For(ctx, wait) {
			return
		}
	}
}

// clockWatch remembers the last report about a clock.
type clockWatch struct {
	wrong bool
	told  time.Duration
}

// step takes a comparison and reports whether it should be told.
func (w *clockWatch) step(ahead time.Duration) bool {
	wrong := max(ahead, -ahead) >= ClockWarning
	drift := ahead - w.told
	if wrong == w.wrong && (!wrong || max(drift, -drift) < ClockWarning) {
		return false
	}
	w.wrong, w.told = wrong, ahead
	return true
}

// clockRequest asks for the time.
type clockRequest struct{}

func (m *clockRequest) form(*form) {}

func (m *clockRequest) cost() int64 { return smallAnswer }

func (m *clockRequest) answer(context.Context, Source) (message, error) {
	return &clockAnswer{uint64(systemNow().UnixNano())}, nil
}

// clockAnswer has the node's time, in nanoseconds since 1970. It is not proven.
type clockAnswer struct{ Nanos uint64 }

func (m *clockAnswer) form(f *form) { f.u64("nanoseconds", &m.Nanos) }

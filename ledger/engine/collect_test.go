package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"walrus/ledger"
	"walrus/ledger/engine/app"
	"walrus/ledger/light"
	"walrus/ledger/merkle"
)

// tally is a restoration whose units take a number of ranges each.
type tally struct {
	mu    sync.Mutex
	need  [app.RestoreUnits]byte
	wrong error // of Add
}

func newTally(ranges byte) *tally {
	c := new(tally)
	for i := range c.need {
		c.need[i] = ranges
	}
	return c
}

// Left encodes the progress in the path, so that ranges from elsewhere are known.
func (c *tally) Left(unit int) (first, last merkle.Hash, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return merkle.Hash{byte(unit), c.need[unit]}, merkle.Hash{byte(unit), 255}, c.need[unit] > 0
}

func (c *tally) Add(unit int, first, _ merkle.Hash, _ *light.Range) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if first == (merkle.Hash{byte(unit), c.need[unit]}) && c.need[unit] > 0 {
		c.need[unit]--
	}
	return c.wrong
}

// nodes says how a peer answers.
func nodes(behave map[peer.ID]func(ctx context.Context) error) ranges {
	return func(ctx context.Context, from peer.ID, first, last merkle.Hash) (*light.Range, merkle.Hash, error) {
		return new(light.Range), last, behave[from](ctx)
	}
}

func after(d time.Duration, err error) func(context.Context) error {
	return func(ctx context.Context) error {
		select {
		case <-time.After(d):
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// times returns err after n good answers.
func times(n int, err error) func(context.Context) error {
	var asked atomic.Int64
	return func(ctx context.Context) error {
		if asked.Add(1) <= int64(n) {
			return after(20*time.Millisecond, nil)(ctx)
		}
		return err
	}
}

// With one good peer everything is fetched, whatever the others do, and those that are of no use are named.
func TestCollect(t *testing.T) {
	quick, lie := 20*time.Millisecond, &light.Lie{Node: "bad", What: merkle.ErrProof}
	for name, tt := range map[string]struct {
		bad   func(context.Context) error
		left  error // nil: it is not left
		limit time.Duration
	}{
		"good":                  {after(quick, nil), nil, 50 * time.Second},
		"lies in the middle":    {times(40, lie), light.ErrLied, 60 * time.Second},
		"stalls":                {after(time.Hour, nil), light.ErrUnavailable, 60 * time.Second},
		"stalls in the middle":  {times(40, context.DeadlineExceeded), context.DeadlineExceeded, 60 * time.Second},
		"sends slowly":          {after(9*time.Second, nil), light.ErrUnavailable, 60 * time.Second},
		"breaks off":            {times(7, light.ErrUnavailable), light.ErrUnavailable, 60 * time.Second},
		"has the state no more": {times(7, fmt.Errorf("height 7: %w", ledger.ErrNotFound)), ledger.ErrNotFound, 60 * time.Second},
		"is always busy":        {after(0, light.ErrBusy), light.ErrBusy, 60 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newTally(100)
				begin := time.Now()
				left, err := collect(t.Context(), c, []peer.ID{"bad", "good"},
					nodes(map[peer.ID]func(context.Context) error{"bad": tt.bad, "good": after(quick, nil)}),
					slog.New(slog.DiscardHandler))
				if err != nil {
					t.Fatal(err)
				}
				if why := left["bad"]; !errors.Is(why, tt.left) || left["good"] != nil {
					t.Errorf("left %v: want the reason %v", left, tt.left)
				}
				if took := time.Since(begin); took > tt.limit {
					t.Errorf("it took %v", took)
				}
				for unit := range app.RestoreUnits {
					if _, _, ok := c.Left(unit); ok {
						t.Fatalf("unit %d is not complete", unit)
					}
				}
			})
		})
	}
}

// Several peers share the work.
func TestCollectShares(t *testing.T) {
	took := func(peers ...peer.ID) time.Duration {
		var d time.Duration
		synctest.Test(t, func(t *testing.T) {
			begin := time.Now()
			good := after(100*time.Millisecond, nil)
			if _, err := collect(t.Context(), newTally(10), peers,
				nodes(map[peer.ID]func(context.Context) error{"a": good, "b": good, "c": good, "d": good}),
				slog.New(slog.DiscardHandler)); err != nil {
				t.Fatal(err)
			}
			d = time.Since(begin)
		})
		return d
	}
	if one, four := took("a"), took("a", "b", "c", "d"); 3*four > one {
		t.Errorf("one peer takes %v, four take %v", one, four)
	}
}

// It ends with an error when no peer is left, when the disk fails, and when its context ends.
func TestCollectEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := slog.New(slog.DiscardHandler)
		good := nodes(map[peer.ID]func(context.Context) error{"n": after(time.Second, nil)})
		bad := nodes(map[peer.ID]func(context.Context) error{"n": times(3, light.ErrUnavailable), "m": times(3, light.ErrUnavailable)})
		left, err := collect(t.Context(), newTally(10), []peer.ID{"n", "m"}, bad, log)
		if !errors.Is(err, light.ErrUnavailable) || len(left) != 2 {
			t.Errorf("no peer left: %v, %v", left, err)
		}
		full := errors.New("disk full")
		c := newTally(10)
		c.wrong = full
		if _, err := collect(t.Context(), c, []peer.ID{"n"}, good, log); !errors.Is(err, full) {
			t.Errorf("a full disk: %v", err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		if _, err := collect(ctx, newTally(10), []peer.ID{"n"}, good, log); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("its end: %v", err)
		}
		if _, err := collect(t.Context(), newTally(10), nil, good, log); !errors.Is(err, light.ErrUnavailable) {
			t.Errorf("nobody: %v", err)
		}
	})
}

package dht

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

func TestDialsShareOneAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var d dials
		var tries atomic.Int32
		try := func(ctx context.Context, id peer.ID) error {
			tries.Add(1)
			time.Sleep(time.Second)
			return nil
		}
		var wg sync.WaitGroup
		for range 100 {
			wg.Go(func() {
				if err := d.do(t.Context(), "p", try); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if tries.Load() != 1 {
			t.Errorf("%d attempts", tries.Load())
		}
		if err := d.do(t.Context(), "p", try); err != nil || tries.Load() != 2 {
			t.Errorf("a success was remembered: %d attempts, %v", tries.Load(), err)
		}
	})
}

func TestDialFailureIsRememberedForAMoment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var d dials
		dead := errors.New("dead")
		tries := 0
		try := func(context.Context, peer.ID) error { tries++; return dead }
		for range 50 {
			if err := d.do(t.Context(), "p", try); !errors.Is(err, dead) {
				t.Fatal(err)
			}
		}
		if tries != 1 {
			t.Errorf("%d attempts at a dead peer", tries)
		}
		time.Sleep(negativeTTL)
		if err := d.do(t.Context(), "p", try); !errors.Is(err, dead) || tries != 2 {
			t.Errorf("after the wait: %d attempts, %v", tries, err)
		}
		for i := range 2 * maxFailures {
			d.do(t.Context(), peer.ID(string(rune(i+1000))), try)
		}
		if len(d.failed) > maxFailures {
			t.Errorf("%d failures remembered", len(d.failed))
		}
	})
}

func TestDialOutlivesFirstCallerButNotLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var d dials
		var cancelled atomic.Bool
		try := func(ctx context.Context, id peer.ID) error {
			select {
			case <-ctx.Done():
				cancelled.Store(true)
				return ctx.Err()
			case <-time.After(5 * time.Second):
				return nil
			}
		}
		first, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var wg sync.WaitGroup
		wg.Go(func() {
			if err := d.do(first, "p", try); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("first caller: %v", err)
			}
		})
		synctest.Wait()
		wg.Go(func() {
			if err := d.do(t.Context(), "p", try); err != nil {
				t.Errorf("second caller: %v", err)
			}
		})
		wg.Wait()
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := d.do(short, "p", try); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		synctest.Wait()
		if !cancelled.Load() {
			t.Error("the attempt outlived its last waiter")
		}
		// A cancelled attempt is no failure of the peer.
		if err := d.do(t.Context(), "p", try); err != nil {
			t.Errorf("after a cancelled attempt: %v", err)
		}
	})
}

func TestDialsClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var d dials
		try := func(ctx context.Context, id peer.ID) error { <-ctx.Done(); return ctx.Err() }
		var wg sync.WaitGroup
		wg.Go(func() {
			if err := d.do(t.Context(), "p", try); !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		})
		synctest.Wait()
		d.close()
		wg.Wait()
		if err := d.do(t.Context(), "p", try); !errors.Is(err, ErrClosed) {
			t.Error(err)
		}
	})
}

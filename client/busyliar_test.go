package client

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// TestBusyAfterAccepting: a node that accepts a blob and is then busy for ever does not keep the upload from nodes that
// failed for a while. They are tried again as long as the user waits.
func TestBusyAfterAccepting(t *testing.T) {
	// Of seven nodes five make a quorum: the first lies, the last is down, and the second is down for a while.
	const away = 15 * time.Second
	liar := func(t *testing.T, down time.Duration, mood mood) (*fakeSwarm, *Client) {
		f, c := newFake(t, 7, 28)
		f.busy = func(i int, pairs bool) bool { return i == 0 && pairs }
		f.set(6, mood)
		f.set(1, mood)
		time.AfterFunc(down, func() { f.set(1, well) })
		return f, c
	}
	for _, m := range []mood{down, refusing} {
		synctest.Test(t, func(t *testing.T) {
			_, c := liar(t, away, m)
			start := time.Now()
			res, err := store(t, c, noise(7, 1000), StoreOptions{})
			if err != nil || res.Confirmed != 20 {
				t.Fatalf("mood %d: after %v: %+v, %v", m, time.Since(start), res, err)
			}
			if took := time.Since(start); took > time.Minute {
				t.Errorf("mood %d: took %v", m, took)
			}
		})
	}
	// A node that never comes back: the end is an error that names the nodes, not just the user's deadline.
	for _, deadline := range []time.Duration{0, time.Minute, 10 * time.Minute} {
		synctest.Test(t, func(t *testing.T) {
			_, c := liar(t, time.Hour, down)
			ctx, end := t.Context(), retryTime
			if deadline > 0 {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, deadline)
				defer cancel()
				end = deadline
			}
			start := time.Now()
			_, err := c.Store(ctx, bytes.NewReader(noise(8, 1000)), 1000, StoreOptions{})
			var few *NotEnoughError
			if !errors.As(err, &few) || few.Have != 16 || len(few.Nodes) != 3 {
				t.Errorf("deadline %v: %v", deadline, err)
			}
			if took := time.Since(start); took < end/2 || took > end+2*busyTime+maxRoundPause {
				t.Errorf("deadline %v: gave up after %v", deadline, took)
			}
		})
	}
}

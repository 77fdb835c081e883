package keeper

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"walrus/p2p"
)

// TestShares: members come before strangers, strangers never have everything, and no peer keeps others away.
func TestShares(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShares(4, 2, 2)
		var got []string
		ask := func(name string, member bool, amount int64) (who visitor) {
			who = visitor{peer.ID(name), member}
			go func() {
				if err := s.enter(t.Context(), who, amount); err == nil {
					got = append(got, name)
				}
			}()
			synctest.Wait()
			return who
		}
		want := func(names ...string) {
			t.Helper()
			synctest.Wait()
			if !slices.Equal(got, names) {
				t.Fatalf("served %q, want %q", got, names)
			}
			got = nil
		}
		a := ask("a", false, 1)
		ask("a", false, 1)
		b := ask("b", false, 1) // strangers have their half
		m := ask("m", true, 2)  // a member has all it may
		ask("n", true, 2)       // nothing is left
		ask("n", true, 1)       // and this one waits behind
		want("a", "a", "m")
		s.give(m, 2)
		want("n")
		s.give(a, 1) // a stranger waits longer than the member's second request, which its own peer holds up
		want("b")
		s.give(visitor{"n", true}, 2)
		want("n")
		s.give(a, 1)
		s.give(b, 1)
		s.give(visitor{"n", true}, 1)
		if s.used != 0 || s.strange != 0 || len(s.peers) != 0 || len(s.queue) != 0 {
			t.Errorf("left over: %+v", s)
		}
	})
}

// TestSharesWait: a request waits for sharePatience, and not at all in a queue that is long already.
func TestSharesWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShares(2, 1, 1)
		holder := visitor{"holder", false}
		if err := s.enter(t.Context(), holder, 1); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		if err := s.enter(t.Context(), visitor{"late", false}, 1); !errors.Is(err, p2p.ErrBusy) ||
			time.Since(start) != sharePatience {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		results := make(chan error, 1000)
		ctx, cancel := context.WithCancel(t.Context())
		for i := range maxQueued + 1 {
			go func() {
				results <- s.enter(ctx, visitor{peer.ID(fmt.Sprint("one ", i/(maxQueuedPerPeer+1))), false}, 1)
			}()
			synctest.Wait()
		}
		busy := len(results)
		if busy != (maxQueued+1)/(maxQueuedPerPeer+1) {
			t.Errorf("%d were refused at once", busy)
		}
		for i := range maxQueued {
			go func() { results <- s.enter(ctx, visitor{peer.ID(fmt.Sprint("other ", i)), false}, 1) }()
		}
		synctest.Wait()
		if len(s.queue) != maxQueued {
			t.Errorf("%d strangers wait", len(s.queue))
		}
		if err := s.enter(ctx, visitor{"member", true}, 1); err != nil {
			t.Errorf("a member beside them: %v", err)
		}
		cancel()
		synctest.Wait()
		if len(s.queue) != 0 || s.strange != 1 {
			t.Errorf("after all have left: %d wait, %d is held", len(s.queue), s.strange)
		}
		if err := s.enter(t.Context(), visitor{"greedy", true}, 2); !errors.Is(err, p2p.ErrBadRequest) {
			t.Errorf("more than a peer may have: %v", err)
		}
	})
}

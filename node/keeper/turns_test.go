package keeper

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"walrus/p2p"
)

// TestTurns: members that use their turns for nothing, and take the next at once, keep no other member from its own.
func TestTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		list := newTurns(maxVerifying, verifyTime)
		var over atomic.Int64
		ctx, cancel := context.WithCancel(t.Context())
		for i := range 3 * maxVerifying {
			id := peer.ID(fmt.Sprint("liar ", i))
			go func() {
				for ctx.Err() == nil {
					turn, leave, err := list.take(ctx, id)
					if err != nil {
						continue
					}
					<-turn.Done()
					if errors.Is(context.Cause(turn), errTurnOver) {
						over.Add(1)
					}
					leave()
				}
			}()
		}
		synctest.Wait()
		if _, _, err := list.take(ctx, "liar 0"); !errors.Is(err, p2p.ErrBusy) {
			t.Errorf("a second place of one member: %v", err)
		}
		for range 5 {
			begin := time.Now()
			turn, leave, err := list.take(ctx, "honest")
			if err != nil {
				t.Fatal(err)
			}
			if took := time.Since(begin); took > 3*verifyTime {
				t.Errorf("waited %v", took)
			}
			time.Sleep(verifyTime - time.Millisecond)
			if turn.Err() != nil {
				t.Error("the turn was over early")
			}
			leave()
		}
		if n := over.Load(); n < 3*maxVerifying {
			t.Errorf("%d turns were ended", n)
		}
		cancel()
		synctest.Wait()
		if len(list.at)+len(list.queue) != 0 {
			t.Errorf("%d places and %d in the queue are left", len(list.at), len(list.queue))
		}
	})
}

// TestTurnAlone: a turn lasts as long as nobody else waits.
func TestTurnAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		list := newTurns(1, verifyTime)
		turn, leave, err := list.take(t.Context(), "one")
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * verifyTime)
		if turn.Err() != nil {
			t.Error("the turn ended though nobody waited")
		}
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, _, err := list.take(short, "two"); !errors.Is(err, p2p.ErrBusy) { // the first has not left yet
			t.Errorf("%v", err)
		}
		if !errors.Is(context.Cause(turn), errTurnOver) {
			t.Error("the turn went on though another member waits")
		}
		leave()
	})
}

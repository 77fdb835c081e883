package p2p

import (
	"bytes"
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

// A host that replays old messages is soon not heard any more. One that passes a few on is.
func TestReplayer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const replayer, slow = 0, 1
		hosts := simulated(t, 6, 50*time.Millisecond, DefaultLimits())
		gs := gossip(t, hosts, func(i int) func(context.Context, peer.ID, []byte) Verdict {
			return func(ctx context.Context, from peer.ID, data []byte) Verdict {
				switch {
				case from == hosts[i].ID():
					return Accept
				case bytes.HasPrefix(data, []byte("old")):
					return Replay
				}
				return verify(ctx, from, data)
			}
		})
		time.Sleep(3 * time.Second)
		for i := range 100 {
			from := []int{replayer}
			if i < replayAllowance/2 {
				from = append(from, slow)
			}
			for _, f := range from {
				if err := gs[f].topic.Publish(t.Context(), fmt.Appendf(nil, "old %d %d", f, i)); err != nil {
					t.Fatal(err)
				}
			}
			time.Sleep(100 * time.Millisecond)
		}
		for from, want := range map[int]bool{replayer: false, slow: true} {
			data := fmt.Sprintf("%sfrom %d", proven, from)
			if err := gs[from].topic.Publish(t.Context(), []byte(data)); err != nil {
				t.Fatal(err)
			}
			time.Sleep(5 * time.Second)
			for i, g := range gs[2:] {
				if got := g.count(data) == 1; got != want {
					t.Errorf("host %d got a good message of host %d: %v, want %v", i+2, from, got, want)
				}
			}
		}
	})
}

func TestConduct(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c conduct
		for range replayAllowance {
			c.replayed("a")
		}
		if got := c.score("a") + c.score("stranger"); got != 0 {
			t.Errorf("within the allowance: %v", got)
		}
		for range 10 {
			c.replayed("a")
		}
		if got := c.score("a"); got > -99 || got < -100 {
			t.Errorf("ten beyond it: %v", got)
		}
		time.Sleep(replayHalfLife)
		if got := c.score("a"); got != 0 {
			t.Errorf("later: %v", got)
		}
		for i := range 2 * maxConducts {
			c.replayed(peer.ID(fmt.Sprint(i)))
		}
		if len(c.replays) > maxConducts {
			t.Errorf("%d peers are counted", len(c.replays))
		}
		for i := range maxConducts + 10 {
			for range replayAllowance + 2 {
				c.replayed(peer.ID(fmt.Sprint("busy", i)))
			}
		}
		if len(c.replays) > maxConducts {
			t.Errorf("%d busy peers are counted", len(c.replays))
		}
	})
}

package hostile

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
)

// takeSlots connects Count identities to all nodes, keeps the connections idle, and connects again those that it loses.
func takeSlots(ctx context.Context, a *arena, ready func()) (score, error) {
	hosts := make([]host.Host, a.Count)
	var failed error
	var mu sync.Mutex
	each(a.Count, 16, func(i int) {
		h, err := newIdentity(i, libp2p.NoListenAddrs)
		mu.Lock()
		defer mu.Unlock()
		if hosts[i] = h; err != nil {
			failed = err
		}
	})
	defer each(a.Count, 16, func(i int) {
		if hosts[i] != nil {
			_ = hosts[i].Close()
		}
	})
	if failed != nil {
		return nil, failed
	}
	var t tally
	for first := true; ctx.Err() == nil; first = false {
		each(a.Count, 16, func(i int) {
			for _, n := range a.Nodes {
				dial, cancel := context.WithTimeout(ctx, 5*time.Second)
				t.add("dials", 1)
				if hosts[i].Connect(dial, n) == nil {
					t.add("connections", 1)
				}
				cancel()
			}
		})
		if first {
			ready()
			open := 0
			for _, h := range hosts {
				open += len(h.Network().Peers())
			}
			t.add("open", float64(open))
		}
	}
	return t.total(), nil
}

// slotTime bounds the time that the crowd takes to come.
const slotTime = time.Minute

func refereeSlots(t *testing.T, r *referee) outcome {
	last := len(r.fleet.nodes) - 1
	var restarted, newcomer error
	var took time.Duration
	heights, count := [2]float64{}, 1000
	if !r.full {
		count = 100
	}
	ph := r.under(t, "slots", &arena{Count: count}, r.long(5*time.Second), func(ctx context.Context) {
		heights[0] = r.height(t)
		restarted = r.fleet.restart(last, nil) // its members must find it, and it them, among strangers
		if restarted == nil {
			restarted = r.awaitPeers(ctx, last)
		}
		begin := time.Now()
		newcomer = r.visit(ctx, "newcomer")
		took = time.Since(begin)
		heights[1] = r.height(t)
	})
	o := outcome{
		phase: ph, figure: "greatest age of the newest block; a restarted node; a new client's read",
		before: fmt.Sprintf("%.1f s", ph.before.age),
		during: fmt.Sprintf("%.1f s; %s; %s", ph.during.age, word(restarted), result(newcomer, took)),
		after:  fmt.Sprintf("%.0f blocks", heights[1]-heights[0]),
	}
	o.holds = restarted == nil && newcomer == nil && ph.during.age < maxBlockAge && heights[1] > heights[0]
	o.why = fmt.Sprintf("restarted node: %v; new client: %v; crowd: %v", restarted, newcomer, ph.score)
	return o
}

// word says whether a restarted node found the others, and follows the ledger with them.
func word(err error) string {
	if err != nil {
		return "cut off"
	}
	return "follows"
}

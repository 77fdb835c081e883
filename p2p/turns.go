package p2p

import (
	"context"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
)

// turns is a token bucket for dials. It is pure but for its lock: the caller tells the time.
type turns struct {
	limits DialLimits // constant

	mu    sync.Mutex
	spent float64   // tokens taken and not yet restored; guarded by mu
	at    time.Time // when spent was true; guarded by mu
}

// take takes a turn, or returns the time until there is one. A third of the burst is for protected peers.
func (t *turns) take(now time.Time, protected bool) (wait time.Duration) {
	if t.limits.PerSecond == 0 {
		return 0
	}
	most := float64(t.limits.Burst)
	if !protected {
		most -= most / 3
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.at.IsZero() {
		t.spent = max(0, t.spent-now.Sub(t.at).Seconds()*t.limits.PerSecond)
	}
	t.at = now
	if t.spent+1 > most {
		return time.Duration((t.spent + 1 - most) / t.limits.PerSecond * float64(time.Second))
	}
	t.spent++
	return 0
}

// awaitTurn waits until the host may dial a peer, if it has no connection to it and its dials are bounded.
func (h *selfHost) awaitTurn(ctx context.Context, id peer.ID) error {
	if h.Network().Connectedness(id) != network.NotConnected {
		return nil
	}
	if err := h.admit(id); err != nil {
		return err
	}
	if h.turn == nil {
		return nil
	}
	if noDial, _ := network.GetNoDial(ctx); noDial {
		return nil
	}
	for {
		wait := h.turn(id)
		if wait == 0 {
			return nil
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return context.Cause(ctx)
		}
	}
}

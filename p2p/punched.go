package p2p

import (
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/protocol/holepunch"
)

// Punch reports an attempt to replace a relayed connection by a direct one. This host called for it, or the peer.
type Punch struct {
	Peer peer.ID
	OK   bool
	// Took is the time from the moment at which both dial to the direct connection, or to the failure.
	Took time.Duration
	// RTT is the round trip through the relay. 0 for a plain dial, which precedes punches.
	RTT time.Duration
	// Addrs are the peer's, tried in a punch.
	Addrs []string
	Why   string // it failed
}

// punches reports the attempts that libp2p traces.
type punches struct {
	tell func(Punch)

	mu      sync.Mutex
	started map[peer.ID]*holepunch.StartHolePunchEvt // attempts under way; guarded by mu
}

var _ holepunch.EventTracer = (*punches)(nil)

// Trace takes an event of libp2p.
func (p *punches) Trace(e *holepunch.Event) {
	switch v := e.Evt.(type) {
	case *holepunch.StartHolePunchEvt:
		p.mu.Lock()
		p.started[e.Remote] = v
		p.mu.Unlock()
	case *holepunch.EndHolePunchEvt:
		p.mu.Lock()
		start := p.started[e.Remote]
		delete(p.started, e.Remote)
		p.mu.Unlock()
		out := Punch{Peer: e.Remote, OK: v.Success, Took: v.EllapsedTime, Why: v.Error}
		if start != nil {
			out.RTT, out.Addrs = start.RTT, start.RemoteAddrs
		}
		p.tell(out)
	case *holepunch.DirectDialEvt:
		p.tell(Punch{Peer: e.Remote, OK: v.Success, Took: v.EllapsedTime, Why: v.Error})
	}
}

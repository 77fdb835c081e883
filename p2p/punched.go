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
	Why string // it failed
}

// punches reports the attempts that libp2p traces.
type punches struct {
	tell func(Punch)

	mu  sync.Mutex
	rtt map[peer.ID]time.Duration // of the attempts under way; guarded by mu
}

var _ holepunch.EventTracer = (*punches)(nil)

// Trace takes an event of libp2p.
func (p *punches) Trace(e *holepunch.Event) {
	switch v := e.Evt.(type) {
	case *holepunch.StartHolePunchEvt:
		p.mu.Lock()
		p.rtt[e.Remote] = v.RTT
		p.mu.Unlock()
	case *holepunch.EndHolePunchEvt:
		p.mu.Lock()
		rtt := p.rtt[e.Remote]
		delete(p.rtt, e.Remote)
		p.mu.Unlock()
		p.tell(Punch{Peer: e.Remote, OK: v.Success, Took: v.EllapsedTime, RTT: rtt, Why: v.Error})
	case *holepunch.DirectDialEvt:
		p.tell(Punch{Peer: e.Remote, OK: v.Success, Took: v.EllapsedTime, Why: v.Error})
	}
}

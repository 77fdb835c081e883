package engine

import (
	"sync"
	"time"

	"github.com/cometbft/cometbft/consensus"
	"github.com/cometbft/cometbft/p2p"
)

const (
	// lively is how long after the last message of consensus a block may still be under way. What a message leads to, a
	// check of a vote or a write to disk, ends well within it, and most often with the next message.
	lively = 150 * time.Millisecond
	// quietLook is how often CometBFT's goroutines look up when there is no message at all. Nothing depends on it: it
	// bounds what a fault in the reasoning of pulse could cost.
	quietLook = 3 * time.Second
	// gather is how soon after a message they look up: what it tells of may be done a little later, and messages come
	// several at a time.
	gather = 200 * time.Microsecond
)

// pulse tells the goroutines that pass on proposals and votes when they may have something to do. CometBFT has three for
// each peer, which look whether the peer lacks what we have, sleep for gossipSleep, and look again: most of what an idle
// node would do. But what we and a peer have changes only with a message of consensus: one from a peer, one to a peer, or
// one that tells all peers of a change here. So the next message wakes them, which is sooner than they would have looked
// by themselves; and they look by themselves only while a block is under way.
type pulse struct {
	mu   sync.Mutex
	at   time.Time     // of the last message; guarded by mu
	next chan struct{} // closed by the next message, nil while nobody waits for it; guarded by mu
	asks int           // how often wait was called, for tests; guarded by mu
}

// message is called after each message, with its channel.
func (p *pulse) message(channel byte) {
	if channel < consensus.StateChannel || channel > consensus.VoteSetBitsChannel {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.at = time.Now()
	if p.next != nil {
		close(p.next)
		p.next = nil
	}
}

// wait returns with the next message, or at the end; without one after some time, or after quietLook if nothing happens.
func (p *pulse) wait(some time.Duration, end <-chan struct{}) {
	p.mu.Lock()
	p.asks++
	if time.Since(p.at) >= lively {
		some = quietLook
	}
	if p.next == nil {
		p.next = make(chan struct{})
	}
	next := p.next
	p.mu.Unlock()
	look := time.NewTimer(some)
	defer look.Stop()
	select {
	case <-next:
		time.Sleep(gather)
	case <-look.C:
	case <-end:
	}
}

// quietPeer is a peer for those goroutines. CometBFT has no setting for when they look, but each begins every look with
// the question whether the peer is still there: the answer can wait.
type quietPeer struct {
	*remote
	sleep time.Duration // half of gossipSleep
}

var _ p2p.Peer = quietPeer{}

// IsRunning implements service.Service. Who has just sent something may have more to send.
func (q quietPeer) IsRunning() bool {
	if time.Since(time.Unix(0, q.sent.Load())) > gather {
		q.sw.pulse.wait(q.sleep, q.Quit())
	}
	return q.remote.IsRunning()
}

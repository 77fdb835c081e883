package engine

import (
	"sync"
	"time"

	"github.com/cometbft/cometbft/consensus"
	"github.com/cometbft/cometbft/p2p"
)

const (
	// lively: for this long after a message of consensus a block may be under way. The work that a message causes,
	// such as a check of a vote or a write to disk, takes less, and mostly ends with the next message.
	lively = 150 * time.Millisecond
	// quietLook is the pause between checks without any message. Nothing depends on it: it limits the cost of an error
	// in the reasoning of pulse.
	quietLook = 3 * time.Second
	// gather is the delay between a message and the check it causes: the change it announces may come a little later,
	// and messages come several at a time.
	gather = 200 * time.Microsecond
)

// pulse wakes the goroutines that gossip proposals and votes. CometBFT has three per peer. They check whether the peer
// lacks something, sleep for gossipSleep and check again, which would be most of an idle node's work. But what we and
// a peer have changes only with a message of consensus: to a peer, from a peer, or to all peers about a change here.
// So the next message wakes them, sooner than their own timer, and the timer runs only while a block is under way.
type pulse struct {
	mu   sync.Mutex
	at   time.Time     // when the last message came; guarded by mu
	next chan struct{} // closed by the next message, nil while nobody waits for it; guarded by mu
	asks int           // number of calls of wait, for tests; guarded by mu
}

// message notes a message on a channel and wakes the waiting goroutines.
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

// wait returns shortly after the next message, or at the end. Without a message it returns after some, or after
// quietLook if no block is under way.
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

// quietPeer slows down those goroutines: they get it as their peer. CometBFT has no setting for their pause, but each
// check begins with the question whether the peer is still running, and quietPeer delays the answer.
type quietPeer struct {
	*remote
	sleep time.Duration // half of gossipSleep
}

var _ p2p.Peer = quietPeer{}

// IsRunning implements service.Service. It does not wait for a peer with a recent Send: more may follow.
func (q quietPeer) IsRunning() bool {
	if time.Since(time.Unix(0, q.sent.Load())) > gather {
		q.sw.pulse.wait(q.sleep, q.Quit())
	}
	return q.remote.IsRunning()
}

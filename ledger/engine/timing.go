package engine

import (
	"fmt"
	"time"
)

// Timing sets the pace of consensus. All nodes of a network should have the same, though nothing breaks if they
// differ.
type Timing struct {
	// Commit is the pause after a block in which late votes and more transactions arrive. It spaces consecutive
	// blocks and does not delay a transaction that comes alone. 0 for no pause. Default 200 ms; a devnet has 0.
	Commit time.Duration
	// Propose is the wait for the proposal of the node whose turn it is: the delay of a block if that node is down.
	// Default 3 s; a devnet has 1 s.
	Propose time.Duration
	// Vote is the wait for more votes after more than 2/3 have voted, but not for the same. Default 1 s; a devnet has
	// 300 ms.
	Vote time.Duration
}

// DefaultTiming suits nodes in different places.
func DefaultTiming() Timing {
	return Timing{Commit: 200 * time.Millisecond, Propose: 3 * time.Second, Vote: time.Second}
}

// DevnetTiming suits nodes on one machine.
func DevnetTiming() Timing {
	return Timing{Propose: time.Second, Vote: 300 * time.Millisecond}
}

// Validate checks that the times are positive; Commit may be 0.
func (t Timing) Validate() error {
	if t.Commit < 0 || t.Propose <= 0 || t.Vote <= 0 {
		return fmt.Errorf("timing of consensus %+v: commit must not be negative, propose and vote must be positive", t)
	}
	return nil
}

// gossipSleep returns the pause between looks of the goroutines that gossip proposals and votes, three for each peer,
// while a block is under way. CometBFT sleeps for the first half, so that they do not look at every message. In the
// second half a message wakes them: see pulse. This pause makes up most of a transaction's latency: some 300 ms with
// CometBFT's 100 ms. With many peers it must be longer.
func gossipSleep(peers int) time.Duration {
	return max(2*time.Millisecond, time.Duration(peers)*time.Millisecond/2)
}

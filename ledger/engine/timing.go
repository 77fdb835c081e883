package engine

import (
	"errors"
	"time"
)

// Timing is the pace of consensus. All nodes of a network should have the same, though nothing breaks if not.
type Timing struct {
	// Commit is the pause after a block in which late votes and more transactions arrive; it spaces blocks that follow
	// each other and does not delay a transaction that comes alone. 0 for no pause. Default 200 ms; a devnet has 0.
	Commit time.Duration
	// Propose is how long the others wait for the proposal of the node whose turn it is: what a block takes longer when
	// that node is down. Default 3 s; a devnet has 1 s.
	Propose time.Duration
	// Vote is how long to wait for more votes once more than 2/3 have voted, but not for the same. Default 1 s; a devnet
	// has 300 ms.
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
		return errors.New("timing of consensus: commit must not be negative, propose and vote must be positive")
	}
	return nil
}

// gossipSleep is how often, while a block is under way, the goroutines that pass on proposals and votes look up, of which
// there are three for each peer. CometBFT sleeps for the first half of it, so that they do not look for each message; in
// the second a message wakes them, see pulse. It is most of what a transaction takes: CometBFT's 100 ms give some 300 ms.
// With many peers it must be longer.
func gossipSleep(peers int) time.Duration {
	return max(2*time.Millisecond, time.Duration(peers)*time.Millisecond/2)
}

package light

import (
	"sync"
	"time"

	"github.com/cometbft/cometbft/types"
)

// Every empty block costs each node some 95 kB of writes, synced a dozen times, and stays on its disk for a month. Only
// the age of the newest header depends on them: transactions and the ends of epochs do not wait, and nodes that know
// why no block comes report it at once. So the pause grows while nothing happens.
const (
	// heartbeat is the first pause before an empty block.
	heartbeat = 2 * time.Minute
	// longestBeat is the longest. For so long a node could hide from a client, on a ledger that was idle, that it is idle
	// no more.
	longestBeat = 16 * time.Minute
	// beatsPerEpoch: in an epoch there are at least so many empty blocks.
	beatsPerEpoch = 6
)

// Heartbeat returns the least pause before an empty block, on a chain with epochs of this length.
func Heartbeat(epoch time.Duration) time.Duration { return min(heartbeat, epoch/beatsPerEpoch) }

// Pause returns the pause after a block, until an empty one is made, on a chain with epochs of this length. gap is the
// time between the agreement on the block and the agreement on the one before. It is twice the pause before: it
// doubles from Heartbeat to 16 minutes: after a gap of up to 110 s come 2 min, up to 230 s 4 min, up to 470 s 8 min. A
// gap beyond the longest pause was a stall, and counts as none.
//
// The steps are far apart compared with clockSkew, so nodes whose clocks differ make the same of a gap. All nodes and
// clients of a network must have the same function: clients regard a longer pause as a stall.
func Pause(gap, epoch time.Duration) time.Duration {
	pause, longest := Heartbeat(epoch), min(longestBeat, epoch/beatsPerEpoch)
	if gap > longest+2*clockSkew {
		return pause
	}
	for pause < longest && pause <= gap+clockSkew {
		pause = min(2*pause, longest)
	}
	return pause
}

// staleAfter returns the greatest age of the latest header, which has the time of the agreement on the block before:
// gap until the agreement on the block itself, the pause after that, whatever clocks and votes make of the gap, and
// clockSkew for votes, travel and clocks.
func staleAfter(gap, epoch time.Duration) time.Duration {
	return gap + max(Pause(gap-clockSkew, epoch), Pause(gap+clockSkew, epoch)) + clockSkew
}

// paceMark remembers the gap before one block.
type paceMark struct {
	mu   sync.Mutex
	hash [32]byte      // of the header; guarded by mu, as is the next
	gap  time.Duration // see Pause
}

// staleAfter returns the greatest age at which b may be the latest block. The time of its own agreement is the median
// of its votes' times, by shards. The votes beyond two thirds that verification does without are verified first: with a
// third of liars and a third of forged votes a node could move the median.
func (m *paceMark) staleAfter(b *types.LightBlock, epoch time.Duration) time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	hash := [32]byte(b.Hash())
	if hash != m.hash {
		if b.ValidatorSet.VerifyCommit(b.ChainID, b.Commit.BlockID, b.Height, b.Commit) != nil {
			return staleAfter(0, epoch) // the least
		}
		m.hash, m.gap = hash, max(0, agreed(b).Sub(b.Time))
	}
	return staleAfter(m.gap, epoch)
}

// agreed returns the median time of the votes for b, by shards.
func agreed(b *types.LightBlock) time.Time {
	var list []clockSample
	for _, vote := range b.Commit.Signatures {
		if vote.BlockIDFlag != types.BlockIDFlagCommit {
			continue
		}
		if _, voter := b.ValidatorSet.GetByAddress(vote.ValidatorAddress); voter != nil {
			list = append(list, clockSample{vote.Timestamp.Sub(b.Time), int(voter.VotingPower)})
		}
	}
	return b.Time.Add(medianClock(list))
}

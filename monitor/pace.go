package monitor

import (
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"walrus/monitor/round"
)

// settle: the last messages of a round come in for so long after it, at most.
const settle = 3 * time.Second

// pace knows when rounds are.
type pace struct{ length time.Duration }

// Length returns the length of a round.
func (p pace) Length() time.Duration { return p.length }

func (p pace) start(number uint64) time.Time { return round.Start(number, p.length) }

// settle is the time after the beginning of a round in which the last messages of the one before come in.
func (p pace) settle() time.Duration { return min(p.length/10, settle) }

// peerKey is the key of what belongs to a round and a peer.
func (p pace) peerKey(kind byte, number uint64, id peer.ID) []byte {
	return append(roundKey(kind, p.start(number), number), id...)
}

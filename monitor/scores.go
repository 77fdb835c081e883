package monitor

import (
	"context"
	"fmt"
	"math"

	"walrus/p2p"
)

// Scores implements p2p.RoundBackend.
func (b backend) Scores(context.Context) (s p2p.Scores, err error) {
	list := b.w.Scores()
	if list == nil {
		return s, fmt.Errorf("%w: the ledger was not read yet", p2p.ErrUnavailable)
	}
	s.Epoch = b.w.Round().Epoch
	for i := range list {
		n := &list[i]
		s.Members = append(s.Members, p2p.Score{
			Outcome: uint8(n.Outcome), Level: uint8(n.Level), Durability: wirePoints(n.Durability),
			Reachability: wirePoints(n.Reachability), Speed: wirePoints(n.Speed), Monitors: uint8(min(n.Monitors, math.MaxUint8)),
		})
	}
	return s, nil
}

// wirePoints rounds a score to whole points.
func wirePoints(score float64) uint8 {
	if score < 0 {
		return p2p.UnknownScore
	}
	return uint8(math.Round(score))
}

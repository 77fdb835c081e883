package monitor

import (
	"testing"

	"walrus/monitor/round"
)

// TestSummary: silence never looks like health, and a line without data has no number.
func TestSummary(t *testing.T) {
	for want, s := range map[string]NodeScore{
		"no data: monitors have not spoken lately":                               {Outcome: round.OK, Durability: 100, Reachability: 100, Speed: 100},
		"missing, by 3 monitors, durability 41, reachability 100, speed no data": {Outcome: round.Missing, Durability: 40.6, Reachability: 100, Speed: Unknown, Monitors: 3},
	} {
		if got := s.Summary(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

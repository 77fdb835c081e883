package p2p

import (
	"encoding/binary"
	"fmt"

	"walrus/p2p/internal/wire"
)

// Scores tell what one peer has heard from monitors of the members of an epoch.
type Scores struct {
	Epoch   uint32
	Members []Score // in the order of the committee
}

// Score of one member. It is a claim of the peer that was asked.
type Score struct {
	// Outcome of the last round with a verdict, as in an attestation; 0 without a late one.
	Outcome uint8
	// Level sums up the lines: 0 no data, 1 bad, 2 warn, 3 good.
	Level uint8
	// Durability, Reachability and Speed are 0 to 100, or UnknownScore.
	Durability, Reachability, Speed uint8
	// Monitors with weight that asked in that round, at most 255.
	Monitors uint8
}

// UnknownScore stands for a line without data.
const UnknownScore = 255

// Bounds of a Score's fields. Greater numbers are refused.
const (
	maxOutcome = 6
	maxLevel   = 3
	maxScore   = 100
)

// Marshal encodes scores for the wire.
func (s *Scores) Marshal() []byte {
	b := binary.LittleEndian.AppendUint32(nil, s.Epoch)
	for _, m := range s.Members {
		b = append(b, m.Outcome, m.Level, m.Durability, m.Reachability, m.Speed, m.Monitors)
	}
	return b
}

// UnmarshalScores decodes scores from a stranger.
func UnmarshalScores(b []byte) (s Scores, err error) {
	if len(b) < 4 || len(b) > wire.MaxScores || (len(b)-4)%wire.ScoreSize != 0 {
		return s, fmt.Errorf("scores of %d bytes: want 4, and %d for each member", len(b), wire.ScoreSize)
	}
	s.Epoch = binary.LittleEndian.Uint32(b)
	for b = b[4:]; len(b) > 0; b = b[wire.ScoreSize:] {
		m := Score{b[0], b[1], b[2], b[3], b[4], b[5]}
		if m.Outcome > maxOutcome || m.Level > maxLevel {
			return Scores{}, fmt.Errorf("scores of member %d: outcome %d, level %d", len(s.Members), m.Outcome, m.Level)
		}
		for _, line := range []uint8{m.Durability, m.Reachability, m.Speed} {
			if line > maxScore && line != UnknownScore {
				return Scores{}, fmt.Errorf("scores of member %d: a score of %d: at most %d", len(s.Members), line, maxScore)
			}
		}
		s.Members = append(s.Members, m)
	}
	return s, nil
}

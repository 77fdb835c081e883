package score

import "slices"

// Constants of the scores.
const (
	// Forget: each round takes a hundredth off what earlier rounds say (λ = 0.99). After 69 rounds, 11.5 hours of
	// ten-minute rounds, half of it is left.
	Forget = 100
	// FreshRounds: a line without data for more rounds than this says "no data".
	FreshRounds = 6
	// SilentRounds: a node that answers nobody for longer than this, 3 hours of ten-minute rounds, loses durability:
	// what nobody can get is as good as lost. The line says "no data" as long as that lasts; then it is seen.
	SilentRounds = 18
	// GoodFrom and WarnFrom are the least scores called good and warn, in hundredths of a point. Below WarnFrom, more
	// was bad than good.
	GoodFrom = 95 * 100
	WarnFrom = 50 * 100

	// unit of the sums in a Line, so that a share of a round is an integer.
	unit = 1 << 32
)

// Level sums up a score.
type Level uint8

const (
	// NoData: nothing was said about it lately. Never a good sign.
	NoData Level = iota
	Bad
	Warn
	Good
)

var levelNames = [...]string{"no data", "bad", "warn", "good"}

func (l Level) String() string { return levelNames[l] }

// MarshalText returns the name.
func (l Level) MarshalText() ([]byte, error) { return []byte(l.String()), nil }

// UnmarshalText reads the name; everything unknown is no data.
func (l *Level) UnmarshalText(b []byte) error {
	*l = Level(max(slices.Index(levelNames[:], string(b)), 0))
	return nil
}

// Line is one smoothed score: the sums of the beta reputation. The zero Line has no data.
type Line struct {
	Good, Bad uint64 // of 2^32 for a round; together at most 100 rounds
	Age       uint32 // rounds since the last datum
}

// Score returns 0 to Whole, and whether there is data: a datum in the last FreshRounds rounds. Without, it is 0.
func (l Line) Score() (hundredths int, ok bool) {
	all := l.Good + l.Bad
	if all == 0 || l.Age > FreshRounds {
		return 0, false
	}
	// all is below 2^39, so nothing overflows
	return int((l.Good*Whole + all/2) / all), true
}

// Level of the line.
func (l Line) Level() Level {
	s, ok := l.Score()
	switch {
	case !ok:
		return NoData
	case s >= GoodFrom:
		return Good
	case s >= WarnFrom:
		return Warn
	}
	return Bad
}

// step ages the line by a round, and adds its datum.
func (l Line) step(d Datum) Line {
	l.Good -= l.Good / Forget
	l.Bad -= l.Bad / Forget
	if !d.Known {
		if l.Age < ^uint32(0) {
			l.Age++
		}
		return l
	}
	l.Age = 0
	v := uint64(min(d.Value, Whole))
	l.Good += unit * v / Whole
	l.Bad += unit * (Whole - v) / Whole
	return l
}

// Standing of a node: what all rounds up to now say. The zero Standing has no data.
type Standing struct {
	Durability, Reachability, Speed Line
	// Silent counts the rounds in a row in which the median monitor got no answer. Rounds without a verdict do not end
	// the row, and do not count.
	Silent uint32
}

// Step adds the verdict of the next round. Rounds without attestations must be stepped, too, with the zero Verdict.
func Step(s Standing, v Verdict) Standing {
	if v.Reachability.Known {
		if 2*v.Reachability.Value < Whole {
			s.Silent++
		} else {
			s.Silent = 0
		}
	}
	s.Durability = s.Durability.step(v.Durability)
	if !v.Durability.Known && v.Reachability.Known && s.Silent > SilentRounds {
		s.Durability.Bad += unit // its age stays: this is no evidence, and must not look fresh
	}
	s.Reachability = s.Reachability.step(v.Reachability)
	s.Speed = s.Speed.step(v.Speed)
	return s
}

// Skip steps over rounds of which nothing is known, as Step with zero Verdicts would.
func Skip(s Standing, rounds uint64) Standing {
	const gone = 4096 // after that, nothing is left of what was
	for range min(rounds, gone) {
		s = Step(s, Verdict{})
	}
	return s
}

package pages

import (
	"fmt"
	"strings"
	"time"
)

// stripHeight is the height of a strip in its own units.
const stripHeight = 12

// strip is a row of bars, one for each time or node, the higher the worse, so that color is not the only cue. Where
// nothing is known there is only a base line.
type strip struct {
	Label string // for readers who cannot see it
	Width int    // number of bars
	Paths []stripPath
}

// stripPath draws all bars of one outcome.
type stripPath struct {
	Class string
	D     string // of an SVG path
}

// heights of the bars, by outcome. The base line, for no outcome, is 1.
var heights = map[Outcome]int{
	OutcomeOK: 5, OutcomeSlow: 7, OutcomeTimeout: 9, OutcomeUnreachable: 10, OutcomeMissing: 12, OutcomeWrong: 12,
}

// newStrip draws bars. Neighbors of one outcome are one bar.
func newStrip(label string, bars []Outcome) *strip {
	s := &strip{Label: label, Width: len(bars)}
	paths := map[Outcome]*strings.Builder{}
	for i := 0; i < len(bars); {
		o, j := bars[i], i+1
		for j < len(bars) && bars[j] == o {
			j++
		}
		if paths[o] == nil {
			paths[o] = &strings.Builder{}
		}
		h := max(1, heights[o])
		fmt.Fprintf(paths[o], "M%d %dh%dv%dh-%dz", i, stripHeight-h, j-i, h, j-i)
		i = j
	}
	for _, o := range append([]Outcome{""}, outcomes...) {
		if b := paths[o]; b != nil {
			s.Paths = append(s.Paths, stripPath{stripClass(o), b.String()})
		}
	}
	return s
}

func stripClass(o Outcome) string {
	if o == "" {
		return "none"
	}
	return string(o)
}

// legend has a bar of each outcome with its meaning.
type legendEntry struct {
	Strip *strip
	Text  string
}

// stripLegend explains the bars.
func stripLegend() []legendEntry {
	list := []legendEntry{{newStrip("", []Outcome{""}), "no data"}}
	for _, x := range []struct {
		o    Outcome
		text string
	}{
		{OutcomeOK, "answered rightly"}, {OutcomeSlow, "slowly, but rightly"}, {OutcomeTimeout, "did not answer"},
		{OutcomeUnreachable, "not reached"}, {OutcomeMissing, "signed that it lacks what it owes"},
		{OutcomeWrong, "signed something wrong"},
	} {
		list = append(list, legendEntry{newStrip("", []Outcome{x.o}), x.text})
	}
	return list
}

// span is a time that a grid shows, in blocks of one bar each.
type span struct {
	Key   string // in the URL
	Name  string
	Each  string // of one bar
	whole time.Duration
	block time.Duration
}

// spans lists what the grid can show: the first is the default.
var spans = []span{
	{"days", "the last 48 hours", "an hour", 48 * time.Hour, time.Hour},
	{"month", "the last 30 days", "8 hours", Month, 8 * time.Hour},
}

// bars returns the worst outcome of each block from a time on.
func (s *span) bars(hours []Hour, from time.Time) []Outcome {
	n := int(s.whole / s.block)
	counts := make([]Counts, n)
	for i := range hours {
		if at := hours[i].Start.Sub(from); at >= 0 && at < s.whole {
			counts[at/s.block].add(&hours[i].Counts)
		}
	}
	list := make([]Outcome, n)
	for i := range counts {
		list[i] = counts[i].worst()
	}
	return list
}

// countsText says in words what was counted: "143 ok, 2 unreachable".
func countsText(c *Counts) string {
	var parts []string
	for _, o := range outcomes {
		if n := c.of(o); n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, o))
		}
	}
	if len(parts) == 0 {
		return "no data"
	}
	return strings.Join(parts, ", ")
}

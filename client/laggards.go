package client

import (
	"math"
	"slices"
	"time"
)

// laggards decides which nodes an upload continues without: nodes that hold up the others and are far slower than the
// others at their best. A node is never judged by the clock alone: if the client's own line or processor is slow, all
// nodes are slow. laggards is a pure step function, without clock, locks or goroutines.
type laggards struct {
	limit time.Duration // how long a node may hold up the others; constant
	at    time.Time     // of the last step
	nodes map[int]*pace
}

// pace records how fast one node was so far.
type pace struct {
	marks  []mark        // of the last window, the oldest first
	best   float64       // bytes of a pair per second, the most over a burst window; old values fade
	charge time.Duration // for how long it held up the others; see step
}

// mark records how far a node had come at a time.
type mark struct {
	at   time.Time
	done float64
}

// sighting is the state of one node at a step.
type sighting struct {
	node    int
	done    float64 // bytes it took of each of its pairs
	waiting bool    // it has taken everything there is
	full    bool    // the encoder waits for it
}

const (
	// farBehind: a node this many times slower than the median of all nodes may be cut off. Nodes that share the
	// client's slow line differ by less, once the others wait and leave the line to the slow one.
	farBehind = 4
	// windowPart, burstPart and fadeParts: a node's pace is measured over limit/windowPart. Its best pace is measured
	// over limit/burstPart, because fast nodes wait for the slow one most of the time. The best pace halves every
	// limit·fadeParts, so that nodes are not blamed for a line that has become slow.
	windowPart = 4
	burstPart  = 10
	fadeParts  = 3
)

// step takes the state of all nodes that still take part and returns the nodes to cut off. A node is charged for time
// in which the encoder waits for it, at least half of the others have nothing to do, and its own pace is far below the
// median of the nodes' best paces. All other time pays back farBehind-1 times as much, so a node that is slower by less
// than farBehind is never cut off.
func (l *laggards) step(now time.Time, seen []sighting) (cut []int) {
	passed := now.Sub(l.at)
	if l.at.IsZero() {
		passed, l.nodes = 0, map[int]*pace{}
	}
	l.at = now
	waiting := 0
	rates, bests := make([]float64, len(seen)), make([]float64, len(seen))
	for i, s := range seen {
		if s.waiting {
			waiting++
		}
		p := l.nodes[s.node]
		if p == nil {
			p = new(pace)
			l.nodes[s.node] = p
		}
		rates[i] = p.record(now, s.done, l.limit)
		bests[i] = p.best
	}
	slices.Sort(bests)
	for i, s := range seen {
		p := l.nodes[s.node]
		held := s.full && 2*waiting >= len(seen)-1
		slow := rates[i] >= 0 && rates[i]*farBehind < bests[len(bests)/2]
		if !held || !slow {
			p.charge = max(0, p.charge-(farBehind-1)*passed)
			continue
		}
		if p.charge += passed; p.charge >= l.limit {
			cut = append(cut, s.node)
		}
	}
	return cut
}

// record adds a mark and returns the node's pace over the last window, negative while there are too few marks.
func (p *pace) record(now time.Time, done float64, limit time.Duration) float64 {
	if n := len(p.marks); n > 0 {
		p.best *= math.Exp2(-float64(now.Sub(p.marks[n-1].at)) / float64(limit*fadeParts))
	}
	p.marks = append(p.marks, mark{now, done})
	for len(p.marks) > 1 && now.Sub(p.marks[1].at) >= limit/windowPart {
		p.marks = p.marks[1:]
	}
	p.best = max(p.best, p.over(limit/burstPart))
	return p.over(limit / windowPart)
}

// over returns the pace over at least the last d, negative if the marks do not reach that far back.
func (p *pace) over(d time.Duration) float64 {
	last := p.marks[len(p.marks)-1]
	for i := len(p.marks) - 1; i >= 0; i-- {
		if since := last.at.Sub(p.marks[i].at); since >= d {
			return (last.done - p.marks[i].done) / since.Seconds()
		}
	}
	return -1
}

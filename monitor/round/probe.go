package round

import (
	"slices"
	"time"
)

// Times of a probe in long rounds; shorter rounds have shorter ones.
const (
	maxAnswerTime = 10 * time.Second
	maxPause      = 15 * time.Second
	maxSlowAfter  = 2 * time.Second
	maxProbeTime  = time.Minute
	// Questions: a node is asked for so many cells in a round, drawn by bytes.
	Questions = 3
)

// Patience has the times that a node is given in a probe.
type Patience struct {
	Answer time.Duration // to connect, or to answer one question
	Pause  time.Duration // before the second try
	Slow   time.Duration // an answer that takes longer is slow
	Whole  time.Duration // for all questions and pauses
}

// PatienceOf returns the times in rounds of this length: a fifth of it and at most 10 s for an answer, a tenth and at
// most 15 s before the second try, half and at most one minute for the whole. Slow is half as long as an answer, and at
// most 2 s.
func PatienceOf(length time.Duration) Patience {
	answer := min(length/5, maxAnswerTime)
	return Patience{answer, min(length/10, maxPause), min(answer/2, maxSlowAfter), min(length/2, maxProbeTime)}
}

// Visit is a probe that a monitor has planned.
type Visit struct {
	Node int // index in the committee
	At   time.Time
}

// Plan returns the probes of a monitor in a round, by time. A monitor that starts within a round begins with the next.
func (a *Assignment) Plan(monitor Key, secret [32]byte, number uint64, length time.Duration) []Visit {
	var visits []Visit
	start := Start(number, length)
	for _, i := range a.NodesOf(monitor) {
		visits = append(visits, Visit{i, start.Add(Offset(secret, number, a.Nodes[i], length))})
	}
	slices.SortStableFunc(visits, func(x, y Visit) int { return x.At.Compare(y.At) })
	return visits
}

// Event in a probe of one node.
type Event uint8

const (
	// Begin: the time of the visit has come.
	Begin Event = iota
	// NoConnection: the node could not be connected within Patience.Answer.
	NoConnection
	// Right: a signed answer that verifies.
	Right
	// Lacking: signed "not found" or "corrupt" of a sliver that the node owes.
	Lacking
	// False: a signed answer that does not verify against the blob.
	False
	// Denied: the node lacks, or calls not its own, a sliver that it owes by the monitor's ledger, and did not sign that
	// so that it would convict.
	Denied
	// Busy: refused without a signature: busy, unavailable, height not known.
	Busy
	// Silence: connected, but no answer that bears the node's signature came within Patience.Answer.
	Silence
	// Again: the pause before the second try is over.
	Again
	// Late: Patience.Whole is over.
	Late
)

// Happened is an event with what was measured. RTT, Size and Took are for Right, and RTT for Lacking,
// False and Denied.
type Happened struct {
	Event Event
	RTT   time.Duration // from question to first byte
	Size  int64         // bytes of the answer
	Took  time.Duration // from question to last byte
}

// Action that follows an event.
type Action struct {
	Ask      bool      // put question Question now
	Question int       // from 0
	Wait     time.Time // Ask is false and Done is false: report Again then
	Done     bool      // the probe has ended with Result
	Result   Result
}

// Probe decides how one node's probe goes on, and its outcome. The zero Probe is ready for Begin; it asks Questions
// questions, one after the other.
//
//   - an answer that convicts ends the probe: wrong, or missing
//   - the first failure of any kind is tried again once, after a pause; the second one ends the probe
//   - the last failure decides: no connection is unreachable, a denial is missing, everything else is a timeout. A busy
//     node is one, too: a node cannot hide a loss by being busy
//   - all answers right is ok; slow if one took long, or needed the second try
//   - whatever has no answer when the time is over is a timeout
type Probe struct {
	// Count of questions; 0 stands for Questions. A node with fewer known blobs gets fewer.
	Count int

	question int
	again    bool // the second try is used
	slow     bool
	ended    bool
	rtts     []Code
	size     int64
	took     time.Duration
}

// Step takes an event. After Done it must not be called again.
func (p *Probe) Step(now time.Time, patience Patience, h Happened) Action {
	if p.ended {
		panic("round: a probe goes on after its end")
	}
	switch h.Event {
	case Begin, Again:
		return Action{Ask: true, Question: p.question}
	case Right:
		p.rtts = append(p.rtts, RTTOf(h.RTT))
		p.size, p.took = p.size+h.Size, p.took+h.Took
		p.slow = p.slow || h.Took > patience.Slow
		p.question++
		if p.question < p.count() {
			return Action{Ask: true, Question: p.question}
		}
		if p.slow || p.again {
			return p.end(Slow)
		}
		return p.end(OK)
	case Lacking, False:
		p.rtts = append(p.rtts, RTTOf(h.RTT))
		return p.end(map[Event]Outcome{Lacking: Missing, False: Wrong}[h.Event])
	case NoConnection, Denied, Busy, Silence:
		if !p.again {
			p.again = true
			return Action{Wait: now.Add(patience.Pause)}
		}
		switch h.Event {
		case NoConnection:
			return p.end(Unreachable)
		case Denied:
			p.rtts = append(p.rtts, RTTOf(h.RTT))
			return p.end(Missing)
		}
	}
	return p.end(Timeout)
}

func (p *Probe) count() int {
	if p.Count > 0 {
		return p.Count
	}
	return Questions
}

func (p *Probe) end(o Outcome) Action {
	p.ended = true
	r := Result{Outcome: o}
	if o.Answered() {
		slices.Sort(p.rtts)
		r.RTT = p.rtts[len(p.rtts)/2]
		r.Rate = RateOf(p.size, p.took)
	}
	return Action{Done: true, Result: r}
}

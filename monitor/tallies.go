package monitor

import (
	"cmp"
	"maps"
	"slices"

	"github.com/libp2p/go-libp2p/core/peer"

	"walrus/monitor/round"
	"walrus/monitor/score"
)

// tallies has the rounds that are not folded yet, and the state from those that are. It is guarded by Watch.mu.
type tallies struct {
	view   *view              // nil before the ledger was read
	views  map[uint32]*view   // of the last epochs
	recent map[uint64]*recent // rounds not folded yet
	state  state              // persisted after each folded round
}

// recent has the messages of a round that is not folded yet.
type recent struct {
	attested  map[round.Key]*round.Attestation
	rebuttals []*round.Rebuttal
	seed      *round.Seed        // nil: not read
	verdicts  []score.Verdict    // of the newest tally; nil: messages came since
	of        *view              // of verdicts
	asked     map[round.Key]bool // monitors asked for their evidence
	unproven  map[round.Key]bool // of these, the ones whose receipts do not lead to the attested root
}

// state goes on from one folded round to the next. It is persisted.
type state struct {
	Next      uint64                     `json:"next"` // the next round to fold
	Standings map[string]*score.Standing `json:"standings"`
	Last      map[string]lastSeen        `json:"last"` // by monitor, for those that attested within a month
	Roster    uint32                     `json:"roster"`
	Members   string                     `json:"members"` // hash of the list that Roster names
	Written   map[string]spent           `json:"written"` // bytes written of each bounded kind
}

// lastSeen is the newest attestation of a monitor.
type lastSeen struct {
	Round uint64 `json:"round"`
	Void  bool   `json:"void,omitempty"`
}

// spent counts bytes written on a day.
type spent struct {
	Day   uint32 `json:"day"`
	Bytes int64  `json:"bytes"`
}

// maxWritten bounds the kinds whose bytes of a day are counted. A node with evidence against it is one.
const maxWritten = 1024

// spend reports whether n more bytes of a kind fit in a day, and counts them.
func (s *state) spend(kind string, day uint32, n int, most int64) bool {
	d, known := s.Written[kind]
	if d.Day != day {
		d = spent{Day: day}
	}
	if !known && len(s.Written) >= maxWritten {
		maps.DeleteFunc(s.Written, func(_ string, d spent) bool { return d.Day < day })
		if len(s.Written) >= maxWritten {
			return false
		}
	}
	if d.Bytes+int64(n) > most {
		return false
	}
	d.Bytes += int64(n)
	s.Written[kind] = d
	return true
}

// maxLast bounds the monitors remembered with their last rounds, and maxLastStrangers those of them without weight:
// anybody makes any number of their keys, and all of them are written after each round.
const maxLast, maxLastStrangers = 4096, 2 * round.MaxStrangers

func (t *tallies) recentOf(number uint64) *recent {
	r := t.recent[number]
	if r == nil {
		r = &recent{attested: map[round.Key]*round.Attestation{}}
		t.recent[number] = r
	}
	return r
}

// viewOf returns the view of the epoch that most weight attests in a round, and the current one without any.
func (t *tallies) viewOf(r *recent) *view {
	weights := map[uint32]uint64{}
	best := t.view
	for k, a := range r.attested {
		if v := t.views[a.Epoch]; v != nil {
			if weights[a.Epoch] += v.weights[k]; weights[a.Epoch] > weights[best.epoch] {
				best = v
			}
		}
	}
	return best
}

// verdicts tallies a round as it is known now, with the committee that it is about. Watch.mu is held.
func (t *tallies) verdicts(r *recent) (*view, []score.Verdict) {
	if r.verdicts != nil {
		return r.of, r.verdicts
	}
	v := t.viewOf(r)
	var seed round.Seed
	if r.seed != nil {
		seed = *r.seed
	} else if v.partial() {
		return v, make([]score.Verdict, len(v.nodes)) // nobody knows who was assigned
	}
	r.of, r.verdicts = v, score.Tally(round.Assign(seed, v.monitors, v.nodes), v.epoch, r.attested, r.rebuttals)
	return r.of, r.verdicts
}

func (t *tallies) standing(id peer.ID) *score.Standing {
	s := t.state.Standings[id.String()]
	if s == nil {
		s = &score.Standing{}
		t.state.Standings[id.String()] = s
	}
	return s
}

// forgetStandings removes nodes that have left the committee.
func (t *tallies) forgetStandings() {
	if len(t.state.Standings) <= len(t.view.nodes) {
		return
	}
	here := map[string]bool{}
	for _, id := range t.view.roster() {
		here[id.String()] = true
	}
	for id := range t.state.Standings {
		if !here[id] {
			delete(t.state.Standings, id)
		}
	}
}

// standingNow returns a standing with what the newest rounds add to it, as if they were folded. Watch.mu is held.
func (t *tallies) standingNow(id peer.ID, current uint64) score.Standing {
	var s score.Standing
	if kept := t.state.Standings[id.String()]; kept != nil {
		s = *kept
	}
	next := t.state.Next
	for _, number := range slices.Backward(t.newest(current)) {
		if number < next {
			continue
		}
		if next > 0 {
			s = score.Skip(s, number-next)
		}
		s, next = score.Step(s, t.verdictOn(number, id)), number+1
	}
	if next > 0 && current > next {
		s = score.Skip(s, max(current-next, 1)-1) // the round before this one may still come in
	}
	return s
}

// verdictOn returns the verdict on a node in a round that is not folded. Watch.mu is held.
func (t *tallies) verdictOn(number uint64, id peer.ID) score.Verdict {
	v, verdicts := t.verdicts(t.recent[number])
	if i, ok := v.com.Member(id); ok {
		return verdicts[i]
	}
	return score.Verdict{}
}

// newest lists the rounds that are not folded and have attestations, the newest first. Watch.mu is held.
func (t *tallies) newest(current uint64) (list []uint64) {
	for n, r := range t.recent {
		if n <= current && len(r.attested) > 0 {
			list = append(list, n)
		}
	}
	slices.SortFunc(list, func(a, b uint64) int { return cmp.Compare(b, a) })
	return list
}

// forgetLast removes, of too many monitors, those that attested the earliest: of those without weight a few remain.
func (t *tallies) forgetLast() {
	var strangers, all []string
	weighs := map[string]bool{}
	for k := range t.view.weights {
		weighs[k.Peer().String()] = true
	}
	for id := range t.state.Last {
		all = append(all, id)
		if !weighs[id] {
			strangers = append(strangers, id)
		}
	}
	early := func(a, b string) int {
		return cmp.Or(cmp.Compare(t.state.Last[a].Round, t.state.Last[b].Round), cmp.Compare(a, b))
	}
	slices.SortFunc(strangers, early)
	for _, id := range strangers[:max(len(strangers)-maxLastStrangers, 0)] {
		delete(t.state.Last, id)
	}
	all = slices.DeleteFunc(all, func(id string) bool { return t.state.Last[id].Round == 0 })
	slices.SortFunc(all, early)
	for _, id := range all[:max(len(all)-maxLast, 0)] {
		delete(t.state.Last, id)
	}
}

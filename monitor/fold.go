package monitor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/libp2p/go-libp2p/core/peer"

	"walrus/monitor/round"
	"walrus/monitor/score"
)

// recent has the messages of a round that is not folded yet.
type recent struct {
	attested  map[round.Key]*round.Attestation
	rebuttals []*round.Rebuttal
	seed      *round.Seed        // nil: not read
	verdicts  []score.Verdict    // of the newest tally; nil: messages came since
	of        *view              // of verdicts
	asked     map[round.Key]bool // monitors asked for their evidence
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

// spend reports whether n more bytes of a kind fit in a day, and counts them.
func (s *state) spend(kind byte, day uint32, n int, most int64) bool {
	d := s.Written[string(kind)]
	if d.Day != day {
		d = spent{Day: day}
	}
	if d.Bytes+int64(n) > most {
		return false
	}
	d.Bytes += int64(n)
	s.Written[string(kind)] = d
	return true
}

// maxLast bounds the monitors remembered with their last rounds.
const maxLast = 4096

// take applies a decision: it counts a message and has it written. w.mu is held. The events are to be told after.
func (w *Watch) take(d *round.Decision, raw []byte) (events []Event) {
	if d.Proof != nil {
		monitor := d.Proof.First.Monitor
		for _, r := range w.recent {
			delete(r.attested, monitor)
			r.verdicts = nil
		}
		if proof, err := d.Proof.Encode(); err == nil {
			w.unsent = append(w.unsent, pair{w.peerKey(keyTwice, d.Proof.First.Round, monitor.Peer()), proof})
		}
	}
	switch m := d.Keep.(type) {
	case *round.Attestation:
		r := w.recentOf(m.Round)
		r.attested[m.Monitor], r.verdicts = m, nil
		key := w.peerKey(keyMessage, m.Round, m.Monitor.Peer())
		if w.state.spend(keyMessage, dayOf(w.start(m.Round)), len(key)+len(raw), rawPerDay) {
			w.unsent = append(w.unsent, pair{key, slices.Clone(raw)})
		}
		events = w.accusation(m)
		w.noteSilence(m)
	case *round.Rebuttal:
		r := w.recentOf(m.Round)
		r.rebuttals, r.verdicts = append(r.rebuttals, m), nil
	}
	return events
}

// accusation returns the event of an attestation that says something bad about this node.
func (w *Watch) accusation(m *round.Attestation) []Event {
	v := w.views[m.Epoch]
	if v == nil || w.cfg.Tell == nil || !m.Counts() {
		return nil
	}
	i := slices.Index(v.nodes, w.self)
	if i < 0 || i >= len(m.Results) {
		return nil
	}
	switch o := m.Results[i].Outcome; o {
	case round.NotAsked, round.OK, round.Slow:
		return nil
	default:
		return []Event{{Round: m.Round, Start: w.start(m.Round), Monitor: m.Monitor.Peer(), Weight: w.view.share(m.Monitor), Outcome: o}}
	}
}

func (w *Watch) tell(events []Event) {
	for _, e := range events {
		if w.cfg.Tell != nil {
			w.cfg.Tell(e)
		}
	}
}

func (w *Watch) recentOf(number uint64) *recent {
	r := w.recent[number]
	if r == nil {
		r = &recent{attested: map[round.Key]*round.Attestation{}}
		w.recent[number] = r
	}
	return r
}

// fold folds the rounds that are over, and reads the seeds that are needed.
func (w *Watch) fold(ctx context.Context) error {
	w.mu.Lock()
	if w.view == nil {
		w.mu.Unlock()
		return nil
	}
	current := round.Number(w.nowLocked(), w.length)
	next := w.state.Next
	var due []uint64
	for n := range w.recent {
		if n+foldAfter <= current {
			due = append(due, n)
		}
	}
	slices.Sort(due)
	w.mu.Unlock()
	var errs []error
	for _, n := range due {
		if n < next { // folded before a restart, or by a clock that went ahead
			w.mu.Lock()
			delete(w.recent, n)
			w.mu.Unlock()
			continue
		}
		if err := w.needSeed(ctx, n); err != nil && n+2*foldAfter > current {
			errs = append(errs, err)
			break // it may be read later
		}
		events := w.foldOne(n)
		w.tell(events)
	}
	return errors.Join(errs...)
}

// seeds reads the seed of the current round if the round before has accusations that may be rebutted.
func (w *Watch) seeds(ctx context.Context) error {
	w.mu.Lock()
	current := round.Number(w.nowLocked(), w.length)
	silent := false
	if r := w.recent[current-min(current, 1)]; r != nil && w.view != nil {
		for _, a := range r.attested {
			silent = silent || slices.ContainsFunc(a.Results, func(x round.Result) bool { return x.Outcome.Silent() })
		}
	}
	w.mu.Unlock()
	if !silent {
		return nil
	}
	_, err := w.Seed(ctx, current)
	return err
}

// needSeed reads the seed of a round, unless everybody probes everybody.
func (w *Watch) needSeed(ctx context.Context, number uint64) error {
	w.mu.Lock()
	needed := w.view.partial() && w.recentOf(number).seed == nil
	w.mu.Unlock()
	if !needed {
		return nil
	}
	_, err := w.Seed(ctx, number)
	return err
}

// Seed returns the seed of a round that has begun.
func (w *Watch) Seed(ctx context.Context, number uint64) (round.Seed, error) {
	w.mu.Lock()
	if r := w.recent[number]; r != nil && r.seed != nil {
		defer w.mu.Unlock()
		return *r.seed, nil
	}
	w.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	hash, err := w.cfg.Chain.AppHash(ctx, w.start(number))
	if err != nil {
		return round.Seed{}, fmt.Errorf("read the seed of round %d: %w", number, err)
	}
	seed := round.NewSeed(w.network, hash, number)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.recentOf(number).seed = &seed
	return seed, nil
}

// viewOf returns the view of the epoch that most weight attests in a round, and the current one without any. w.mu is held.
func (w *Watch) viewOf(r *recent) *view {
	weights := map[uint32]uint64{}
	best := w.view
	for k, a := range r.attested {
		if v := w.views[a.Epoch]; v != nil {
			if weights[a.Epoch] += v.weights[k]; weights[a.Epoch] > weights[best.epoch] {
				best = v
			}
		}
	}
	return best
}

// verdicts tallies a round as it is known now, with the committee that it is about. w.mu is held.
func (w *Watch) verdicts(r *recent) (*view, []score.Verdict) {
	if r.verdicts != nil {
		return r.of, r.verdicts
	}
	v := w.viewOf(r)
	var seed round.Seed
	if r.seed != nil {
		seed = *r.seed
	} else if v.partial() {
		return v, make([]score.Verdict, len(v.nodes)) // nobody knows who was assigned
	}
	r.of, r.verdicts = v, score.Tally(round.Assign(seed, v.monitors, v.nodes), v.epoch, r.attested, r.rebuttals)
	return r.of, r.verdicts
}

// foldOne adds a round to the standings and to its hour, and has both written.
func (w *Watch) foldOne(number uint64) (events []Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	r := w.recent[number]
	delete(w.recent, number)
	of, verdicts := w.verdicts(r)
	for k, a := range r.attested {
		if id := k.Peer().String(); len(w.state.Last) < maxLast || w.state.Last[id].Round > 0 {
			w.state.Last[id] = lastSeen{number, !a.Counts()}
		}
	}
	if len(r.attested) == 0 { // the next one that has some makes up for it
		return nil
	}
	skipped := uint64(0)
	if w.state.Next > 0 && number > w.state.Next {
		skipped = number - w.state.Next
	}
	w.state.Next = number + 1
	f := folded{epoch: of.epoch, roster: w.roster(of)}
	for i := range verdicts {
		v := &verdicts[i]
		f.nodes = append(f.nodes, round.Result{Outcome: v.Outcome, RTT: v.RTT, Rate: v.Rate})
		s := w.standing(of.com.Members()[i].Node)
		*s = score.Step(score.Skip(*s, skipped), *v)
	}
	w.forgetStandings()
	w.unsent = append(w.unsent, pair{roundKey(keyFolded, w.start(number), number), f.marshal()})
	w.addHour(number, &f, of)
	if raw, err := json.Marshal(&w.state); err == nil { // it has no other kinds of values
		w.unsent = append(w.unsent, pair{[]byte{keyScores}, raw})
	}
	if i := slices.Index(of.nodes, w.self); i >= 0 {
		events = append(events, Event{Round: number, Start: w.start(number), Outcome: verdicts[i].Outcome})
	}
	return events
}

func (w *Watch) standing(id peer.ID) *score.Standing {
	s := w.state.Standings[id.String()]
	if s == nil {
		s = &score.Standing{}
		w.state.Standings[id.String()] = s
	}
	return s
}

// forgetStandings removes nodes that have left the committee.
func (w *Watch) forgetStandings() {
	if len(w.state.Standings) <= len(w.view.nodes) {
		return
	}
	here := map[string]bool{}
	for _, id := range w.view.roster() {
		here[id.String()] = true
	}
	for id := range w.state.Standings {
		if !here[id] {
			delete(w.state.Standings, id)
		}
	}
}

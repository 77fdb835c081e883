package monitor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"walrus/monitor/round"
	"walrus/monitor/score"
)

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
		if w.state.spend(string(keyMessage), dayOf(w.start(m.Round)), len(key)+len(raw), rawPerDay) {
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

func (c *Config) tell(events []Event) {
	for _, e := range events {
		if c.Tell != nil {
			c.Tell(e)
		}
	}
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
		w.cfg.tell(events)
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

// foldOne adds a round to the standings and to its hour, and has both written.
func (w *Watch) foldOne(number uint64) (events []Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	r := w.recent[number]
	delete(w.recent, number)
	of, verdicts := w.verdicts(r)
	for k, a := range r.attested {
		w.state.Last[k.Peer().String()] = lastSeen{number, !a.Counts()}
	}
	w.forgetLast()
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

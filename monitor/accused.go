package monitor

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"walrus/monitor/round"
	"walrus/p2p"
)

// silence has what a Watch does about accusations of silence.
type silence struct {
	wake    chan struct{} // constant: a seed may be missing
	accused chan struct{} // constant: this node is said to be silent
	silent  uint64        // guarded by mu of the Watch: the newest round for which it is
	// relay answers p2p.RoundBackend.Relay, guarded by mu of the Watch; nil: this process relays nothing.
	relay func(ctx context.Context, from peer.ID, number uint64, accuser peer.ID) error
}

// poke wakes whoever waits for c, a channel with room for one.
func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// noteSilence wakes those whom an attestation concerns: who reads seeds, and who appeals. w.mu is held.
func (w *Watch) noteSilence(a *round.Attestation) {
	if !a.Counts() || !slices.ContainsFunc(a.Results, func(x round.Result) bool { return x.Outcome.Silent() }) {
		return
	}
	poke(w.wake)
	if i := slices.Index(w.view.nodes, w.self); i >= 0 && a.Epoch == w.view.epoch && i < len(a.Results) &&
		a.Results[i].Outcome.Silent() {
		w.silent = max(w.silent, a.Round)
		poke(w.accused)
	}
}

// accusers lists the monitors with weight that attest for a round that this node was silent, and the nodes of the
// committee. Those that were rebutted are left out.
func (r *Rebutter) accusers(number uint64) (list []round.Monitor, nodes []round.Key) {
	w := r.watch
	w.mu.Lock()
	defer w.mu.Unlock()
	said := w.recent[number]
	if said == nil || w.view == nil {
		return nil, nil
	}
	self := slices.Index(w.view.nodes, w.self)
	if self < 0 {
		return nil, nil
	}
	for k, a := range said.attested {
		if a.Epoch == w.view.epoch && a.Counts() && self < len(a.Results) && a.Results[self].Outcome.Silent() &&
			!said.rebutted(w.self, k) {
			list = append(list, round.Monitor{Key: k, Weight: w.view.weights[k]})
		}
	}
	return list, w.view.nodes
}

// appealTime returns the time to appeal against what came so far: the others who accuse have attested by then, and
// everybody can know the seed.
func (r *Rebutter) appealTime() time.Time {
	w := r.watch
	w.mu.Lock()
	defer w.mu.Unlock()
	soon, seeded := w.nowLocked().Add(w.settle()), w.start(w.silent+1).Add(2*w.settle())
	if soon.After(seeded) {
		return soon
	}
	return seeded
}

// rebutted reports whether an accusation of a node was rebutted.
func (r *recent) rebutted(node, accuser round.Key) bool {
	return slices.ContainsFunc(r.rebuttals, func(x *round.Rebuttal) bool { return x.Node == node && x.Accuser == accuser })
}

// rebuttable returns the index of the node from, if this process may rebut what accuser attests of it in a round.
func (r *Rebutter) rebuttable(v *view, from peer.ID, number uint64, accuser peer.ID) (node int, err error) {
	w := r.watch
	node, accused := v.com.Member(from)
	current := round.Number(w.now(), w.length)
	by, bad := round.KeyOf(accuser)
	switch _, member := v.com.Member(w.cfg.Self); {
	case !member:
		return 0, fmt.Errorf("%w: this peer is no member of the committee", p2p.ErrNotOwner)
	case !accused || from == w.cfg.Self:
		return 0, fmt.Errorf("%w: %s is no other member of the committee", p2p.ErrBadRequest, from)
	case bad != nil || accuser == w.cfg.Self || v.weights[by] == 0:
		return 0, fmt.Errorf("%w: %s is no other monitor with weight", p2p.ErrBadRequest, accuser)
	case number >= current || number+round.RebuttalRounds < current:
		return 0, fmt.Errorf("%w: round %d cannot be rebutted in round %d", p2p.ErrBadRequest, number, current)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	said := w.recent[number]
	if said == nil || said.attested[by] == nil {
		return 0, fmt.Errorf("%w: no attestation of %s for round %d is known here", p2p.ErrUnavailable, accuser, number)
	}
	a := said.attested[by]
	if a.Epoch != v.epoch || !a.Counts() || node >= len(a.Results) || !a.Results[node].Outcome.Silent() {
		return 0, fmt.Errorf("%w: %s does not attest for round %d that the node was silent", p2p.ErrBadRequest, accuser, number)
	}
	return node, nil
}

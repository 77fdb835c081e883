package client

import (
	"slices"
	"time"
)

// blame names node i, once; a lie outweighs what was said before.
func (r *reader) blame(i int, err error) {
	m := &r.com.Members()[i]
	named := badNode(m, err)
	for k, b := range r.res.Bad {
		if b.Node == m.Node {
			if named.Lied && !b.Lied {
				r.res.Bad[k] = named
			}
			return
		}
	}
	r.res.Bad = append(r.res.Bad, named)
}

// nameSlow names the nodes that delivered nothing of what they were asked for, and remembers the silent ones for the next.
func (r *reader) nameSlow() {
	for i, s := range r.state {
		if s == rowSlow && !r.good[r.owner(i)] {
			r.blame(r.owner(i), errSilent)
		}
	}
	for i := range r.suspect { // also those that were silent a moment ago and were not asked
		r.blame(i, errSilent)
	}
	r.c.rememberSilent(r.com, r.suspect)
}

// minDialHedge and the factor over the time in which the first node was reached and gave the metadata bound how long a
// row waits for a connection: what another node did in that time, this one should.
const (
	minDialHedge    = time.Second
	dialHedgeFactor = 4
)

// markSlow stops counting on rows that hold up the read: the next one, or when decoding any.
func (r *reader) markSlow() {
	// a row is late that takes far longer than the others did, or, as long as none has come, than a slow line would
	limit := r.c.cfg.Hedge + time.Duration(r.layout.Size())*time.Second/slowLine
	if n := len(r.took); n > 0 {
		sorted := slices.Sorted(slices.Values(r.took))
		limit = max(r.c.cfg.Hedge, slowFactor*sorted[n/2])
	}
	for i, s := range r.state {
		if s != rowFetching || (!r.decode && i != r.next) {
			continue
		}
		patience := r.c.cfg.Hedge
		fl := r.fetches[i].call.val
		if !fl.connected.Load() {
			patience = min(patience, r.dialHedge)
		}
		silent := time.Since(time.Unix(0, fl.moved.Load())) > patience
		late := time.Since(r.fetches[i].start) > limit
		if silent {
			r.suspect[r.owner(i)] = true
		}
		if silent || late {
			r.state[i] = rowSlow
		}
	}
}

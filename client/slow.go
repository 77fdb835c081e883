package client

import (
	"slices"
	"time"
)

// blame adds node i to the bad nodes, once; a lie replaces an earlier reason.
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

// nameSlow blames the nodes that delivered nothing they were asked for, and remembers the silent ones for later reads.
func (r *reader) nameSlow() {
	for i, s := range r.state {
		if s == rowSlow && !r.good[r.owner(i)] {
			r.blame(r.owner(i), errSilent)
		}
	}
	for i := range r.suspect { // includes nodes that were silent lately and were not asked
		r.blame(i, errSilent)
	}
	r.c.rememberSilent(r.com, r.suspect)
}

// A row waits for a connection for dialHedgeFactor times the time in which the first node was reached and sent the
// metadata, but at least minDialHedge: other nodes should be as fast as that one.
const (
	minDialHedge    = time.Second
	dialHedgeFactor = 4
)

// markSlow stops counting on rows that hold up the read: the next row, or any row when decoding.
func (r *reader) markSlow() {
	// late: far slower than the other rows or, before the first row, than a slow line
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

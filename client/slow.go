package client

import (
	"slices"
	"time"
)

// nameFailed names the nodes that did not deliver what they were asked for, and remembers the silent ones for later
// reads.
func (r *reader) nameFailed() {
	r.res.Bad = blame(r.res.Bad, r.com, r.holders.Failures())
	r.c.rememberSilent(r.com, r.holders)
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
			r.holders.Silence(r.owners[i])
		}
		if silent || late {
			r.holders.Late(r.owners[i])
			r.state[i] = rowSlow
		}
	}
}

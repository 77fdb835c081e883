package gather

import (
	"slices"
	"time"
)

// patience: after this long without an answer, another holder is asked as well. A holder reads and expands a whole
// sliver to answer.
const patience = 3 * time.Second

// plan decides which crossing slivers to ask for until enough have given their symbols. It is a step function without
// clock, locks or goroutines: each method takes one event and its time, and returns what to do next. One request is for
// slivers of one holder.
type plan struct {
	need    int           // slivers that must deliver; constant, as the next five
	window  int           // requests counted on at a time
	batch   int           // slivers of one request; the local holder is asked for one at a time
	hope    time.Duration // a request that lasts longer is not hoped for, even if no other is left; 0: without end
	owner   []int
	local   int             // holder that costs no traffic; -1: none
	order   []int           // slivers still to ask for
	alone   map[int]bool    // slivers to ask for one at a time: of several together, their holder lacked some
	pinned  map[int]bool    // slivers that come before all others, in order; no others are asked for with them
	flying  map[int]request // by their first sliver
	got     int
	holders Holders
}

// request is a request for slivers of one holder.
type request struct {
	slivers []int
	start   time.Time
	late    bool // no longer counted on; may still deliver
}

// end says whether the plan goes on.
type end uint8

const (
	open       end = iota
	done           // enough slivers have given their symbols
	impossible     // not enough are left
)

// decision tells the runner what to do after an event.
type decision struct {
	ask  [][]int   // slivers to ask their holders for, now; each list is one request
	late []int     // requests no longer counted on, by their first sliver; others are asked in their place
	end  end       // if it is not open, nothing is asked and nothing more happens
	wake time.Time // call look then, unless an answer comes before; zero: only an answer helps
}

// newPlan plans to ask for the local holder's slivers first, then for the others in the given order.
func newPlan(need, window, batch, local int, owner, order []int, holders Holders) *plan {
	p := &plan{
		need: need, window: window, batch: batch, owner: owner, local: local, alone: map[int]bool{}, pinned: map[int]bool{},
		flying: map[int]request{}, holders: holders,
	}
	var others []int
	for _, sliver := range order {
		if owner[sliver] == local {
			p.order = append(p.order, sliver)
		} else {
			others = append(others, sliver)
		}
	}
	p.order = append(p.order, others...)
	return p
}

// delivered takes the event that the request with this first sliver has given all its symbols.
func (p *plan) delivered(now time.Time, first int) decision {
	p.got += len(p.flying[first].slivers)
	delete(p.flying, first)
	p.holders.Deliver(p.owner[first])
	return p.look(now)
}

// failed takes the event that a request failed. The local holder is still asked for its other slivers, whatever the
// error: one unreadable sliver says nothing about the rest of the disk. So it is with a holder that lacks a sliver.
func (p *plan) failed(now time.Time, first int, err error) decision {
	slivers := p.flying[first].slivers
	delete(p.flying, first)
	if holder := p.owner[first]; holder != p.local {
		switch verdict := p.holders.Fail(now, holder, err); {
		case verdict == Busy:
			p.order = append(p.order, slivers...)
		case verdict == Absent && len(slivers) > 1:
			p.order = append(p.order, slivers...)
			for _, sliver := range slivers {
				p.alone[sliver] = true
			}
		}
	}
	return p.look(now)
}

// look decides what to do now.
func (p *plan) look(now time.Time) (d decision) {
	counted, coming, late := 0, 0, 0
	for first, r := range p.flying {
		switch {
		case r.late:
			if p.hope == 0 || now.Sub(r.start) < p.hope {
				late += len(r.slivers)
			}
		case now.Sub(r.start) < patience:
			counted++
			coming += len(r.slivers)
		default:
			r.late = true
			p.flying[first] = r
			d.late = append(d.late, first)
			late += len(r.slivers)
			if holder := p.owner[first]; holder != p.local {
				p.holders.Silence(holder)
			}
		}
	}
	slices.Sort(d.late) // flying has no order
	for ; counted < p.window && p.got+coming < p.need; counted++ {
		slivers := p.next(now, p.need-p.got-coming)
		if slivers == nil {
			break
		}
		p.flying[slivers[0]] = request{slivers: slivers, start: now}
		d.ask = append(d.ask, slivers)
		coming += len(slivers)
	}
	switch {
	case p.got >= p.need:
		d.end = done
	case p.got+coming+late+p.askable() < p.need:
		d.end, d.ask = impossible, nil
	default:
		d.wake = p.wake(now)
	}
	return d
}

// next takes the next slivers to ask for, at most so many, all of one holder; nil if there are none. It passes over
// holders that are out or resting, and takes slivers of silent and lately busy holders last.
func (p *plan) next(now time.Time, most int) (slivers []int) {
	at := -1
	for k, sliver := range p.order {
		h := &p.holders[p.owner[sliver]]
		if h.out || now.Before(h.until) {
			continue
		}
		if !h.silent && h.rests == 0 {
			at = k
			break
		}
		if at < 0 {
			at = k
		}
	}
	if at < 0 {
		return nil
	}
	first := p.order[at]
	if most = min(most, p.batch); p.owner[first] == p.local || p.alone[first] {
		most = 1
	}
	rest := slices.DeleteFunc(p.order[at:], func(sliver int) bool { // first is the first of its holder
		take := len(slivers) < most && p.owner[sliver] == p.owner[first] &&
			(sliver == first || !p.alone[sliver] && p.pinned[sliver] == p.pinned[first])
		if take {
			slivers = append(slivers, sliver)
		}
		return take
	})
	p.order = p.order[:at+len(rest)]
	return slivers
}

// askable counts the slivers that can still be asked for, now or after a rest.
func (p *plan) askable() (n int) {
	for _, sliver := range p.order {
		if !p.holders.Out(p.owner[sliver]) {
			n++
		}
	}
	return n
}

// wake returns when a request will be late or a rest ends, whichever comes first.
func (p *plan) wake(now time.Time) (at time.Time) {
	earlier := func(t time.Time) {
		if t.After(now) && (at.IsZero() || t.Before(at)) {
			at = t
		}
	}
	for _, r := range p.flying {
		if !r.late {
			earlier(r.start.Add(patience))
		} else if p.hope > 0 {
			earlier(r.start.Add(p.hope))
		}
	}
	for i := range p.holders {
		if !p.holders.Out(i) {
			earlier(p.holders.Rest(i))
		}
	}
	return at
}

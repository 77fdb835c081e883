package gather

import (
	"slices"
	"time"
)

// patience: after this long without an answer, another holder is asked as well. A holder reads and expands a whole
// sliver to answer.
const patience = 3 * time.Second

// plan decides which crossing slivers to ask for until enough have given their symbols. It is a step function without
// clock, locks or goroutines: each method takes one event and its time, and returns what to do next.
type plan struct {
	need    int // slivers that must deliver; constant, as the next three
	window  int // requests counted on at a time
	owner   []int
	local   int   // holder that costs no traffic; -1: none
	order   []int // slivers still to ask for
	flying  map[int]request
	got     int
	holders Holders
}

// request is one sliver that was asked for.
type request struct {
	start time.Time
	late  bool // no longer counted on; may still deliver
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
	ask  []int     // slivers to ask their holders for, now
	late []int     // slivers no longer counted on; others are asked in their place
	end  end       // if it is not open, nothing is asked and nothing more happens
	wake time.Time // call look then, unless an answer comes before; zero: only an answer helps
}

// newPlan plans to ask for slivers in the given order, the local holder's before all others.
func newPlan(need, window, local int, owner, order []int, holders Holders) *plan {
	p := &plan{need: need, window: window, owner: owner, local: local, flying: map[int]request{}, holders: holders}
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

// delivered takes the event that a sliver has given its symbols, all verified.
func (p *plan) delivered(now time.Time, sliver int) decision {
	delete(p.flying, sliver)
	p.got++
	p.holders.Deliver(p.owner[sliver])
	return p.look(now)
}

// failed takes the event that a request failed. Only the local holder is asked for its other slivers whatever happened:
// one that cannot be read says nothing about the rest of the disk.
func (p *plan) failed(now time.Time, sliver int, err error) decision {
	delete(p.flying, sliver)
	if holder := p.owner[sliver]; holder != p.local && p.holders.Fail(now, holder, err) == Busy {
		p.order = append(p.order, sliver)
	}
	return p.look(now)
}

// look decides what to do now.
func (p *plan) look(now time.Time) (d decision) {
	counted := 0
	for sliver, r := range p.flying {
		switch {
		case r.late:
		case now.Sub(r.start) < patience:
			counted++
		default:
			p.flying[sliver] = request{r.start, true}
			d.late = append(d.late, sliver)
			if holder := p.owner[sliver]; holder != p.local {
				p.holders.Silence(holder)
			}
		}
	}
	slices.Sort(d.late) // flying has no order
	for ; counted < min(p.window, p.need-p.got); counted++ {
		sliver, ok := p.next(now)
		if !ok {
			break
		}
		p.flying[sliver] = request{start: now}
		d.ask = append(d.ask, sliver)
	}
	switch {
	case p.got >= p.need:
		d.end = done
	case p.got+len(p.flying)+p.askable() < p.need:
		d.end, d.ask = impossible, nil
	default:
		d.wake = p.wake(now)
	}
	return d
}

// next takes the next sliver to ask for. It passes over holders that are out or resting, and takes silent and lately
// busy holders last.
func (p *plan) next(now time.Time) (sliver int, ok bool) {
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
		return 0, false
	}
	sliver = p.order[at]
	p.order = slices.Delete(p.order, at, at+1)
	return sliver, true
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
		}
	}
	for i := range p.holders {
		if !p.holders.Out(i) {
			earlier(p.holders.Rest(i))
		}
	}
	return at
}

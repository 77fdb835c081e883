package p2p

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

const (
	// senseEvery is the pause between two looks at the CPU, and senseTime the time after the last request of a stranger
	// for which it is looked at.
	senseEvery = 20 * time.Millisecond
	senseTime  = time.Second
	// shortDelay: the CPU is short while timers ring this much too late on average. On an idle machine it is below
	// 0.2 ms.
	shortDelay = 2 * time.Millisecond
	// maxDelay bounds what one look counts for: a machine that slept is not short of CPU.
	maxDelay = 200 * time.Millisecond

	// leastPart is the part of one core that strangers' requests get together at least. In each look, their part shrinks
	// by lessPart while the CPU is short, and else grows by morePart: from all to the least in a second, and back in 5 s.
	leastPart, lessPart, morePart = 0.1, 0.9, 1.02
	// burstWork passes unpaced after a pause: a reader of 200 MB, which makes the CPU short by itself, takes 0.1 s of each
	// of seven nodes. Strangers' requests that go on and on are paced once it is used up.
	burstWork = 500 * time.Millisecond
	// requestWork is the CPU of a small request, with its transport; byteWork that of sending or receiving one byte.
	requestWork = 100 * time.Microsecond
	byteWork    = 3 * time.Nanosecond
	// maxWork bounds what one request counts for, so that the next waits a second at most.
	maxWork = time.Duration(leastPart * float64(time.Second))
	// workHalfLife halves the work that a group is remembered for.
	workHalfLife = 2 * time.Second
	// maxPaced and maxPacedPerGroup bound the requests that wait. They wait paceTime at most. Then the answer is busy. So
	// it is for the newest request of the group with the most, when all places are taken and a group with fewer asks.
	maxPaced, maxPacedPerGroup = 256, 16
	paceTime                   = 5 * time.Second
	// refusePause delays the refusal of a stranger's request while the CPU is short. Without it, a peer that does not
	// wait before it asks again costs more than by asking.
	refusePause = 250 * time.Millisecond
)

// pacer keeps the requests of strangers from taking the CPU that others need. While there is enough, it lets all pass.
// While it is short, the part that strangers get together shrinks. Of those who wait, the request passes first with
// which its group will have been served least lately: so who asks for little waits for little, whatever others do.
type pacer struct {
	most float64 // cores; constant

	mu     sync.Mutex
	closed bool          // guarded by mu, as are all below
	sensor *time.Timer   // looks at the CPU; nil before the first stranger
	due    time.Time     // of the next look; zero: there is none
	last   time.Time     // newest request of a stranger
	delay  time.Duration // of the looks, on average
	part   float64       // cores that strangers get together; most of them: no limit
	credit time.Duration // work that strangers may have at once; negative: they had too much
	filled time.Time     // when credit was that much
	grants *time.Timer   // rings when credit is not negative any more
	queue  []*paced      // in the order of arrival
	served map[any]served
}

// served is the work done for a group lately. It decays.
type served struct {
	work time.Duration
	at   time.Time
}

func (s served) now(at time.Time) time.Duration {
	return time.Duration(float64(s.work) * halved(at.Sub(s.at), workHalfLife))
}

// paced is a request that waits.
type paced struct {
	group   any
	work    time.Duration
	granted chan struct{} // closed under mu
	dropped bool          // not granted, but closed: it lost its place; set before
}

func newPacer() *pacer {
	cores := float64(runtime.GOMAXPROCS(0))
	return &pacer{most: cores, part: cores, credit: burstWork, filled: time.Now(), served: map[any]served{}}
}

// workOf estimates the CPU that a request takes with so many bytes of payload, in both directions.
func workOf(bytes uint64) time.Duration {
	return requestWork + time.Duration(min(bytes, uint64(maxWork/byteWork)))*byteWork
}

// enter lets a stranger's request pass, at once or in its turn. ErrBusy if too many wait, or if it waited paceTime.
func (p *pacer) enter(ctx context.Context, from peer.ID, o origin, work time.Duration) error {
	w := &paced{group: o.group, work: min(work, maxWork), granted: make(chan struct{})}
	if w.group == nil {
		w.group = from
	}
	p.mu.Lock()
	p.last = time.Now()
	p.sense()
	if !p.short() {
		p.mu.Unlock()
		return nil
	}
	if err := p.crowded(w.group); err != nil {
		p.mu.Unlock()
		return err
	}
	p.queue = append(p.queue, w)
	p.grant()
	p.mu.Unlock()
	late := time.NewTimer(paceTime)
	defer late.Stop()
	err := fmt.Errorf("%w: this node is short of CPU and serves its members and payers first", ErrBusy)
	select {
	case <-w.granted:
		if w.dropped {
			return errCrowded
		}
		return nil
	case <-late.C:
	case <-ctx.Done():
		err = ctx.Err()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if i := slices.Index(p.queue, w); i >= 0 {
		p.queue = slices.Delete(p.queue, i, i+1)
		return err
	}
	if w.dropped {
		return errCrowded
	}
	return nil
}

var errCrowded = fmt.Errorf("%w: this node is short of CPU, and too many requests wait already", ErrBusy)

// crowded refuses a request if too many wait, unless it makes room. p.mu is held.
func (p *pacer) crowded(group any) error {
	if len(p.queue) < maxPaced {
		same := 0
		for _, w := range p.queue {
			if w.group == group {
				same++
			}
		}
		if same >= maxPacedPerGroup {
			return errCrowded
		}
		return nil
	}
	waiting := map[any]int{}
	victim := 0 // the newest of the group with the most
	for i, w := range p.queue {
		if waiting[w.group]++; waiting[w.group] >= waiting[p.queue[victim].group] {
			victim = i
		}
	}
	w := p.queue[victim]
	if waiting[w.group] < waiting[group]+2 {
		return errCrowded
	}
	p.queue = slices.Delete(p.queue, victim, victim+1)
	w.dropped = true
	close(w.granted)
	return nil
}

// short reports whether the CPU is short, or was a moment ago. p.mu is held.
func (p *pacer) short() bool { return p.part < p.most }

// pressed is short for callers without p.mu.
func (p *pacer) pressed() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.short()
}

// fill adds the strangers' part since the last call to their credit. p.mu is held.
func (p *pacer) fill(now time.Time) {
	p.credit = min(p.credit+time.Duration(float64(now.Sub(p.filled))*p.part), burstWork)
	p.filled = now
}

// grant lets the request pass with which its group will have been served least lately, as often as the strangers'
// credit allows. p.mu is held.
func (p *pacer) grant() {
	now := time.Now()
	p.fill(now)
	for len(p.queue) > 0 && (!p.short() || p.credit >= 0) {
		first, least := 0, time.Duration(-1)
		for i, w := range p.queue {
			if work := p.served[w.group].now(now) + w.work; least < 0 || work < least {
				first, least = i, work
			}
		}
		w := p.queue[first]
		p.queue = slices.Delete(p.queue, first, first+1)
		if len(p.served) >= maxPaced {
			p.forget(now)
		}
		p.served[w.group] = served{least, now}
		p.credit -= w.work
		close(w.granted)
	}
	if len(p.queue) == 0 || p.closed {
		return
	}
	wait := time.Duration(float64(-p.credit)/p.part) + 1 // rounded up
	if p.grants == nil {
		p.grants = time.AfterFunc(wait, func() {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.grant()
		})
	} else {
		p.grants.Reset(wait)
	}
}

// forget drops the group with the least work. p.mu is held.
func (p *pacer) forget(now time.Time) {
	var victim any
	least := time.Duration(-1)
	for group, s := range p.served {
		if work := s.now(now); least < 0 || work < least {
			victim, least = group, work
		}
	}
	delete(p.served, victim)
}

// sense begins to look at the CPU, unless it does already. p.mu is held.
func (p *pacer) sense() {
	if !p.due.IsZero() || p.closed {
		return
	}
	p.due = time.Now().Add(senseEvery)
	if p.sensor == nil {
		p.sensor = time.AfterFunc(senseEvery, p.look)
	} else {
		p.sensor.Reset(senseEvery)
	}
}

// look measures how late it is called.
func (p *pacer) look() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return
	}
	late := min(max(time.Since(p.due), 0), maxDelay)
	p.delay += (late - p.delay) / 16
	p.due = time.Time{}
	p.fill(time.Now())
	if p.delay > shortDelay {
		p.part = max(p.part*lessPart, leastPart)
	} else {
		p.part = min(p.part*morePart, p.most)
	}
	if p.short() || time.Since(p.last) < senseTime {
		p.sense()
	} else {
		p.delay = 0
	}
	if !p.short() {
		p.grant()
	}
}

// close ends all timers.
func (p *pacer) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for _, t := range []*time.Timer{p.sensor, p.grants} {
		if t != nil {
			t.Stop()
		}
	}
}

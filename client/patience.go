package client

import (
	"context"
	"slices"
	"sync"
	"time"
)

// patience tells a node that is down from a line of our own that is slow, or full of our own uploads: in the latter everybody takes
// long. It remembers how long other nodes took for small things a moment ago.
type patience struct {
	mu   sync.Mutex
	took []heard // the newest last; guarded by mu
}

// heard is one answer, or one connection made.
type heard struct {
	at   time.Time
	took time.Duration
}

const (
	// patienceFor is for how long an answer says something about the line, and maxHeard how many are remembered.
	patienceFor = 30 * time.Second
	maxHeard    = 16
	// dialRounds is how many times as long as the median answer a connection may take, which needs several round trips, and
	// dialMost how many times DialTimeout at most, or if nobody was heard.
	dialRounds, dialMost = 8, 3
)

// note remembers what took a round trip or more; less was answered from memory and says nothing.
func (p *patience) note(now time.Time, took time.Duration) {
	if took < time.Millisecond {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.took = append(p.took, heard{now, took})
	if len(p.took) > maxHeard {
		p.took = p.took[1:]
	}
}

// dial is how long a connection may take that would be given up after base on a quick line.
func (p *patience) dial(now time.Time, base time.Duration) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	var recent []time.Duration
	for _, h := range p.took {
		if now.Sub(h.at) <= patienceFor {
			recent = append(recent, h.took)
		}
	}
	if len(recent) == 0 {
		return dialMost * base
	}
	slices.Sort(recent)
	return max(base, min(dialMost*base, dialRounds*recent[len(recent)/2]))
}

// within runs dial, whose context ends when it has taken longer than the others give reason to wait.
func (p *patience) within(ctx context.Context, base time.Duration, dial func(context.Context) error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, dialMost*base, context.DeadlineExceeded)
	var watch sync.WaitGroup
	defer watch.Wait()
	ctx, giveUp := context.WithCancelCause(ctx)
	defer cancel()
	defer giveUp(nil)
	start := time.Now()
	watch.Go(func() {
		for wait := base; pause(ctx, wait); wait = base / 4 {
			if now := time.Now(); now.Sub(start) >= p.dial(now, base) {
				giveUp(context.DeadlineExceeded)
			}
		}
	})
	err := dial(ctx)
	if err == nil {
		p.note(time.Now(), time.Since(start))
	}
	return why(ctx, err)
}

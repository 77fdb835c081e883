package client

import (
	"context"
	"slices"
	"sync"
	"time"

	"walrus/internal/pause"
)

// patience distinguishes a node that is down from a client's line that is slow or busy with uploads: on a slow line all
// nodes take long. It remembers how long nodes took for recent small answers.
type patience struct {
	mu   sync.Mutex
	took []heard // newest last; guarded by mu
}

// heard records one answer, or one connection made.
type heard struct {
	at   time.Time
	took time.Duration
}

const (
	// patienceFor: an answer tells something about the line for this long. maxHeard bounds the answers remembered.
	patienceFor = 30 * time.Second
	maxHeard    = 16
	// dialRounds: a connection may take this many times the median answer, because it needs several round trips.
	// dialMost bounds it in units of DialTimeout, and applies if no answers are remembered.
	dialRounds, dialMost = 8, 3
)

// note remembers an answer that took at least a round trip. Faster ones come from memory and tell nothing about the
// line.
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

// dial returns how long a connection may take: base on a fast line, more if other nodes take long.
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

// within runs dial with a context bounded by p.dial.
func (p *patience) within(ctx context.Context, base time.Duration, dial func(context.Context) error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, dialMost*base, context.DeadlineExceeded)
	var watch sync.WaitGroup
	defer watch.Wait()
	ctx, giveUp := context.WithCancelCause(ctx)
	defer cancel()
	defer giveUp(nil)
	start := time.Now()
	watch.Go(func() {
		for wait := base; pause.For(ctx, wait); wait = base / 4 {
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

package client

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"walrus/internal/pause"
)

// TestPatience dials a node that does not answer, and a slow one, while others answer quickly, slowly, or not at all.
func TestPatience(t *testing.T) {
	const s, base = time.Second, 5 * time.Second
	for _, c := range []struct {
		name   string
		others []time.Duration // answer times of the nodes that answered in the first second
		takes  time.Duration   // 0: forever
		err    bool
		after  time.Duration
	}{
		{name: "down, others quick", others: []time.Duration{80 * time.Millisecond, s, 80 * time.Millisecond},
			err: true, after: base},
		{name: "down, nobody else heard", err: true, after: 3 * base},
		{name: "down, the line is slow", others: []time.Duration{900 * time.Millisecond, 950 * time.Millisecond, s},
			err: true, after: base + 3*base/4},
		{name: "slow, others quick", others: []time.Duration{80 * time.Millisecond}, takes: 6 * s, err: true, after: base},
		{name: "slow, as the line", others: []time.Duration{900 * time.Millisecond}, takes: 6 * s, after: 6 * s},
		{name: "slow, nobody else heard", takes: 9 * s, after: 9 * s},
		{name: "others from memory", others: []time.Duration{0, 0, 0}, takes: 9 * s, after: 9 * s},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var p patience
				start := time.Now()
				for _, took := range c.others {
					p.note(start.Add(s), took)
				}
				err := p.within(t.Context(), base, func(ctx context.Context) error {
					if c.takes > 0 && pause.For(ctx, c.takes) {
						return nil
					}
					<-ctx.Done()
					return ctx.Err()
				})
				if (err != nil) != c.err || err != nil && !errors.Is(err, context.DeadlineExceeded) ||
					time.Since(start) != c.after {
					t.Errorf("%v after %v; want an error %v after %v", err, time.Since(start), c.err, c.after)
				}
			})
		})
	}
}

package gather

import (
	"testing"
	"time"
)

// TestPinnersDrip: pinners that send a little now and then, for ever, hold up a read for seconds, however many of them
// come first.
func TestPinnersDrip(t *testing.T) {
	const rows, drips, honestTime = 20, 6, 300 * time.Millisecond
	p := NewPinners(0, rows, 6, drips+1, time.Second)
	begin := time.Unix(0, 0)
	type request struct {
		Ask
		at time.Time
	}
	var flying []request
	for now := begin; !p.Done(); now = now.Add(50 * time.Millisecond) {
		if now.Sub(begin) > 2*time.Minute {
			t.Fatalf("row %d of %d after %v", p.Next, rows, now.Sub(begin))
		}
		for _, a := range p.Fetch(now) {
			flying = append(flying, request{a, now})
		}
		rest := flying[:0]
		for _, r := range flying {
			if r.Pinner < drips || now.Sub(r.at) < honestTime {
				rest = append(rest, r)
			} else if !p.Has(r.Row) && r.Row >= p.Next {
				p.Arrived(now, r.Row, r.Pinner)
			} else {
				p.Ended(r.Row, r.Pinner)
			}
		}
		flying = rest
		p.Look(now, func(int) Motion { return Motion{Connected: true, Moved: now} })
		for p.Next < p.End && p.Has(p.Next) {
			p.Wrote()
		}
	}
}

// TestPinnersAlike: nobody who is as fast as the others is given up, though each row takes longer the more are on their
// way.
func TestPinnersAlike(t *testing.T) {
	const rows, n = 200, 4
	p := NewPinners(0, rows, 16, n, 100*time.Millisecond)
	left := map[Ask]float64{}
	for now := time.Unix(0, 0); !p.Done(); now = now.Add(10 * time.Millisecond) {
		for _, a := range p.Fetch(now) {
			left[a] = 20 // times 10 ms of the whole line
		}
		share := 1 / float64(len(left))
		for a := range left {
			if left[a] -= share; left[a] <= 0 {
				delete(left, a)
				p.Arrived(now, a.Row, a.Pinner)
			}
		}
		if late := p.Look(now, func(int) Motion { return Motion{Connected: true, Moved: now} }); len(late) > 0 {
			t.Fatalf("given up: %v", late)
		}
		for p.Next < p.End && p.Has(p.Next) {
			p.Wrote()
		}
	}
}

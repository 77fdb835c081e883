package pin

import (
	"math/rand/v2"
	"time"
)

// Schedule has the times of a Keeper.
type Schedule struct {
	// FirstRetry is the pause after a failed attempt. Each further one is twice as long, up to LastRetry.
	FirstRetry, LastRetry time.Duration
	// Announce is the pause between announcements of a blob; their records live for 24 hours.
	Announce time.Duration
	// Check: within this time each blob is read again.
	Check time.Duration
	// Probe is the share of the announcements that is looked for from outside.
	Probe float64
	// ProbeAfter is the time between an announcement and the search for it.
	ProbeAfter time.Duration
	// Sample is the pause between searches for a few announcements made earlier. The first comes soon after the start.
	Sample time.Duration
	// Settle: so long after the start, and then each time that this passes, the addresses are compared with those that
	// were announced.
	Settle time.Duration
}

// DefaultSchedule returns the times for public networks.
func DefaultSchedule() Schedule {
	return Schedule{
		FirstRetry: 10 * time.Second, LastRetry: time.Hour, Announce: 22 * time.Hour, Check: 14 * 24 * time.Hour,
		Probe: 0.01, ProbeAfter: time.Minute, Sample: time.Hour, Settle: time.Minute,
	}
}

func (s Schedule) orDefault() Schedule {
	d := DefaultSchedule()
	for _, f := range []struct{ mine, other *time.Duration }{
		{&s.FirstRetry, &d.FirstRetry}, {&s.LastRetry, &d.LastRetry}, {&s.Announce, &d.Announce}, {&s.Check, &d.Check},
		{&s.ProbeAfter, &d.ProbeAfter}, {&s.Sample, &d.Sample}, {&s.Settle, &d.Settle},
	} {
		if *f.mine <= 0 {
			*f.mine = *f.other
		}
	}
	if s.Probe <= 0 {
		s.Probe = d.Probe
	}
	return s
}

const (
	// perQueue blobs of each queue are fetched at a time.
	perQueue = 10
	// A blob waits in the first queue while it was asked for within freshAge and failed at most freshTries times.
	freshAge   = 24 * time.Hour
	freshTries = 5
	// look is the longest pause between two looks at what is due.
	look = time.Minute
)

// retry returns the time of the next try after a number of failed ones: about FirstRetry·2^(tries−1), and never all
// at once.
func (s Schedule) retry(now time.Time, tries int) time.Time {
	pause := s.LastRetry
	if shift := tries - 1; shift < 30 {
		pause = min(s.FirstRetry<<max(shift, 0), s.LastRetry)
	}
	return now.Add(pause/2 + rand.N(pause/2+1))
}

// spread returns a time between 3/4 of a period and the whole.
func spread(now time.Time, period time.Duration) time.Time {
	return now.Add(period/4*3 + rand.N(period/4+1))
}

// slot returns the time of a pinned blob's next announcement: neighbours get the same one of so many slots in a period.
// It is at most a period from now.
func slot(now time.Time, period time.Duration, place uint16, slots int) time.Time {
	soon := period / 16
	cycle := period - soon
	at := cycle * time.Duration(int(place)*slots>>16) / time.Duration(slots)
	next := now.Add(soon)
	passed := time.Duration(next.UnixNano()) % cycle
	return next.Add((at - passed + cycle) % cycle)
}

// queue returns where a blob waits after a number of failed tries.
func (r *record) queue(now time.Time) byte {
	if now.Sub(r.Asked) <= freshAge && r.Tries <= freshTries {
		return 0
	}
	return 1
}

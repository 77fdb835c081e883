package keeper

import (
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"walrus/certs"
)

// surviving counts the shards that probably have their pair of a blob. Their owners signed its certificate and can be
// reached, and nothing of them is missing here.
func surviving(signed []int, now seat, away func(peer.ID) bool, missing map[int]bool) (count int) {
	for _, shard := range signed {
		owner := now.Owner(shard)
		if owner != nil && !away(owner.Node) && !missing[shard] {
			count++
		}
	}
	return count
}

// signedShards lists the shards of those who signed a certificate, in its epoch.
func signedShards(cert *certs.Certificate, com *certs.Committee) (list []int) {
	for _, i := range cert.Signers {
		if int(i) < len(com.Members()) {
			list = append(list, com.Members()[i].Shards...)
		}
	}
	return list
}

// reach remembers which members could not be reached by the last repair that needed them.
type reach struct {
	mu   sync.Mutex
	away map[peer.ID]bool // guarded by mu; only members
}

func newReach() *reach { return &reach{away: map[peer.ID]bool{}} }

func (r *reach) isAway(node peer.ID) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.away[node]
}

func (r *reach) lost(node peer.ID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.away[node] = true
}

// heard notes that a member answers. It reports whether it was away before.
func (r *reach) heard(node peer.ID) (back bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	back = r.away[node]
	delete(r.away, node)
	return back
}

// progress measures how fast slivers are rebuilt: per second, over the last rateTime.
type progress struct {
	mu      sync.Mutex
	samples []sample // guarded by mu; the oldest first
	total   int64    // slivers; guarded by mu
}

type sample struct {
	at    time.Time
	total int64
}

const (
	// rateTime is the time over which the rate of repair is measured, with samples sampleTime apart.
	rateTime   = 5 * time.Minute
	sampleTime = 5 * time.Second
)

// rebuilt counts one sliver.
func (p *progress) rebuilt(now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.samples) > 1 && now.Sub(p.samples[1].at) > rateTime {
		p.samples = p.samples[1:]
	}
	if n := len(p.samples); n == 0 || now.Sub(p.samples[n-1].at) >= sampleTime {
		if n > 0 && now.Sub(p.samples[n-1].at) > rateTime { // it was idle: the time before says nothing
			p.samples = nil
		}
		p.samples = append(p.samples, sample{now, p.total})
	}
	p.total++
}

// rate returns the slivers rebuilt per second lately; 0 if none were for rateTime.
func (p *progress) rate(now time.Time) float64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range p.samples {
		if age := now.Sub(s.at); age <= rateTime+sampleTime {
			return float64(p.total-s.total) / max(age, sampleTime).Seconds()
		}
	}
	return 0
}

// left estimates the time until so many slivers are rebuilt; 0 if nothing is known.
func (p *progress) left(now time.Time, owed uint64) time.Duration {
	rate := p.rate(now)
	if rate == 0 || owed == 0 {
		return 0
	}
	return time.Duration(min(float64(owed)/rate, maxLeft.Seconds()) * float64(time.Second)).Round(time.Second)
}

// maxLeft bounds an estimate: beyond it, it says nothing.
const maxLeft = 365 * 24 * time.Hour

// quiet lets a few lines of a kind into the log, and then one at a time.
type quiet struct {
	mu    sync.Mutex
	until time.Time // the lines so far count up to here; guarded by mu
}

const (
	quietLines = 10 // at once
	quietPause = 10 * time.Second
)

// allows reports whether one more line may be logged.
func (q *quiet) allows(now time.Time) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.until.Before(now) {
		q.until = now
	}
	if q.until.Sub(now) >= quietLines*quietPause {
		return false
	}
	q.until = q.until.Add(quietPause)
	return true
}

package guard

import (
	"container/heap"
	"crypto/sha256"
	"sync"
	"time"
)

// replays remembers used tokens until they expire. It never forgets an unexpired token: when it is full, it accepts no
// more tokens.
type replays struct {
	max  int
	mu   sync.Mutex
	used map[[32]byte]bool // by hash: clients choose the IDs, of any length; guarded by mu
	ends expiries          // the same tokens, the next to expire first; guarded by mu
}

func newReplays(max int) *replays {
	return &replays{max: max, used: map[[32]byte]bool{}}
}

// use marks a token as used. It returns false if it was used before, or if there is no room until wait has passed.
func (s *replays) use(jti string, expires time.Time) (ok bool, wait time.Duration) {
	name, now := sha256.Sum256([]byte(jti)), time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.ends) > 0 && !s.ends[0].at.After(now) {
		delete(s.used, s.ends[0].name)
		heap.Pop(&s.ends)
	}
	switch {
	case s.used[name]:
		return false, 0
	case len(s.ends) >= s.max:
		return false, s.ends[0].at.Sub(now)
	}
	s.used[name] = true
	heap.Push(&s.ends, expiry{name, expires})
	return true, 0
}

type expiry struct {
	name [32]byte
	at   time.Time
}

type expiries []expiry

func (e expiries) Len() int           { return len(e) }
func (e expiries) Less(i, j int) bool { return e[i].at.Before(e[j].at) }
func (e expiries) Swap(i, j int)      { e[i], e[j] = e[j], e[i] }
func (e *expiries) Push(x any)        { *e = append(*e, x.(expiry)) }
func (e *expiries) Pop() any {
	last := (*e)[len(*e)-1]
	*e = (*e)[:len(*e)-1]
	return last
}

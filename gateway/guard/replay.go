package guard

import (
	"container/heap"
	"crypto/sha256"
	"strconv"
	"sync"
	"time"
)

// maxParts bounds the parts of a resumable upload that one token begins. Clients send some ten at once; the rest is for
// requests that are repeated because their answer was lost.
const maxParts = 32

// replays remembers shown tokens until they expire. It never forgets an unexpired token: when it is full, it accepts no
// more tokens.
type replays struct {
	max   int
	mu    sync.Mutex
	shown map[[32]byte]*shown // by hash: clients choose the IDs, of any length; guarded by mu
	ends  expiries            // the same tokens, the next to expire first; guarded by mu
}

// shown records the use of a token.
type shown struct {
	parts int  // begun with it
	used  bool // used up
}

func newReplays(max int) *replays {
	return &replays{max: max, shown: map[[32]byte]*shown{}}
}

// use uses a token up, or with part begins one of its parts. It returns nil, or why not.
func (s *replays) use(jti string, expires time.Time, part bool) *Refusal {
	name, now := sha256.Sum256([]byte(jti)), time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.ends) > 0 && !s.ends[0].at.After(now) {
		delete(s.shown, s.ends[0].name)
		heap.Pop(&s.ends)
	}
	t := s.shown[name]
	switch {
	case t == nil && len(s.ends) >= s.max:
		return tooMany("TOO_MANY_TOKENS", domainAuth, "too many tokens are in use: try again when some have expired",
			s.ends[0].at.Sub(now))
	case t == nil:
		t = &shown{}
		s.shown[name] = t
		heap.Push(&s.ends, expiry{name, expires})
	case t.used:
		return tooMany("TOKEN_ALREADY_USED", domainAuth, "the JWT token has already been used", 0)
	case part && t.parts == maxParts:
		return tooMany("TOO_MANY_PARTS", domainAuth, "the token has begun "+strconv.Itoa(maxParts)+
			" parts of an upload, the limit: send larger parts, with a new token", 0)
	}
	if part {
		t.parts++
	} else {
		t.used = true
	}
	return nil
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

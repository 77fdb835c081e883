package keeper

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"walrus/p2p"
)

// turns lets some members at a time have something slow. Each has one place, in the queue or at its turn, and comes
// again behind those that wait: so all get a turn, whatever some of them do with theirs. A turn ends after a time if
// others wait.
type turns struct {
	most int           // at a time; constant, as is the next
	time time.Duration // of a turn while others wait

	mu    sync.Mutex
	at    map[peer.ID]*memberTurn // guarded by mu, as is the next
	queue []*memberTurn
}

// memberTurn is a member's place. All fields but since, limit and end are constant.
type memberTurn struct {
	id    peer.ID
	begun chan struct{} // closed under mu
	end   context.CancelCauseFunc
	since time.Time   // when it began; guarded by mu, as is the next
	limit *time.Timer // ends it; nil before it began
}

// errTurnOver ends a turn.
var errTurnOver = errors.New("the turn of this member is over, and others wait")

func newTurns(most int, length time.Duration) *turns {
	return &turns{most: most, time: length, at: map[peer.ID]*memberTurn{}}
}

// take waits for a member's turn. The returned context ends with the turn. ErrBusy for a second place of one member.
func (t *turns) take(ctx context.Context, id peer.ID) (turn context.Context, leave func(), err error) {
	turn, end := context.WithCancelCause(ctx)
	m := &memberTurn{id: id, begun: make(chan struct{}), end: end}
	t.mu.Lock()
	if t.at[id] != nil {
		t.mu.Unlock()
		end(nil)
		return nil, nil, fmt.Errorf("%w: this member has a turn, or waits for one, already", p2p.ErrBusy)
	}
	t.at[id] = m
	t.queue = append(t.queue, m)
	t.next()
	t.mu.Unlock()
	leave = func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		end(nil)
		delete(t.at, id)
		if i := slices.Index(t.queue, m); i >= 0 {
			t.queue = slices.Delete(t.queue, i, i+1)
		}
		if m.limit != nil {
			m.limit.Stop()
		}
		t.next()
	}
	select {
	case <-m.begun:
		return turn, leave, nil
	case <-ctx.Done():
		leave()
		return nil, nil, fmt.Errorf("%w: %d members have their turns, and more wait", p2p.ErrBusy, t.most)
	}
}

// next begins turns as far as there is room. t.mu is held.
func (t *turns) next() {
	for len(t.queue) > 0 && len(t.at)-len(t.queue) < t.most {
		m := t.queue[0]
		t.queue = slices.Delete(t.queue, 0, 1)
		m.since = time.Now()
		m.limit = time.AfterFunc(t.time, func() { t.over(m) })
		close(m.begun)
	}
	if len(t.queue) == 0 {
		return
	}
	for _, m := range t.at { // those that have lasted too long already
		if m.limit != nil && time.Since(m.since) >= t.time {
			m.end(errTurnOver)
		}
	}
}

// over ends a turn whose time is up, if others wait.
func (t *turns) over(m *memberTurn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.queue) > 0 {
		m.end(errTurnOver)
	}
}

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

const (
	// sharePatience bounds the wait for a share at the start of a request; then the answer is busy.
	sharePatience = 5 * time.Second
	// maxQueued and maxQueuedPerPeer bound the strangers that wait for a share. A member's requests are bounded by the
	// limits of p2p.
	maxQueued, maxQueuedPerPeer = 256, 16
)

// visitor is a peer that asks for something. Members come first.
type visitor struct {
	id     peer.ID
	member bool
}

// shares divides a resource, CPU or memory, among the requests of peers. Members are served first. Strangers together
// get a part of it, so that members always find some. One peer gets a part as well.
type shares struct {
	all, strangers, perPeer int64 // limits; constant

	mu      sync.Mutex
	used    int64             // guarded by mu, as are the next three
	strange int64             // the strangers' part of used
	peers   map[peer.ID]int64 // only peers with a share
	queue   []*waiter         // in the order of arrival
}

// waiter is a request in the queue.
type waiter struct {
	visitor
	amount  int64
	granted chan struct{} // closed under mu
}

func newShares(all, strangers, perPeer int64) *shares {
	return &shares{all: all, strangers: strangers, perPeer: perPeer, peers: map[peer.ID]int64{}}
}

// enter takes a share at the start of a request: it waits for sharePatience at most, and not in a long queue. ErrBusy.
func (s *shares) enter(ctx context.Context, who visitor, amount int64) error {
	short, cancel := context.WithTimeout(ctx, sharePatience)
	defer cancel()
	err := s.wait(short, who, amount, true)
	if errors.Is(err, p2p.ErrBusy) || errors.Is(err, p2p.ErrBadRequest) {
		return err
	}
	if err != nil && ctx.Err() == nil {
		return fmt.Errorf("%w: waited %v for a share: %w", p2p.ErrBusy, sharePatience, err)
	}
	return err
}

// crowded reports whether too many strangers wait already, or too many requests of this one. The caller holds s.mu.
func (s *shares) crowded(who visitor) bool {
	if who.member {
		return false
	}
	strangers, same := 0, 0
	for _, w := range s.queue {
		if !w.member {
			strangers++
		}
		if w.id == who.id {
			same++
		}
	}
	return strangers >= maxQueued || same >= maxQueuedPerPeer
}

// take waits for a share. After nil, the caller gives it back.
func (s *shares) take(ctx context.Context, who visitor, amount int64) error {
	return s.wait(ctx, who, amount, false)
}

// wait is take; with short it does not wait in a long queue: ErrBusy.
func (s *shares) wait(ctx context.Context, who visitor, amount int64, short bool) error {
	if amount > s.perPeer {
		return fmt.Errorf("%w: this needs %d of at most %d", p2p.ErrBadRequest, amount, s.perPeer)
	}
	w := &waiter{who, amount, make(chan struct{})}
	s.mu.Lock()
	if short && s.crowded(who) {
		s.mu.Unlock()
		return fmt.Errorf("%w: too many such requests wait already", p2p.ErrBusy)
	}
	s.queue = append(s.queue, w)
	s.grant()
	s.mu.Unlock()
	select {
	case <-w.granted:
		return nil
	case <-ctx.Done():
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if i := slices.Index(s.queue, w); i >= 0 {
		s.queue = slices.Delete(s.queue, i, i+1)
		s.grant() // it may have been in the way of others
		return ctx.Err()
	}
	return nil
}

// give returns a share.
func (s *shares) give(who visitor, amount int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.used -= amount
	if !who.member {
		s.strange -= amount
	}
	if s.peers[who.id] -= amount; s.peers[who.id] == 0 {
		delete(s.peers, who.id)
	}
	s.grant()
}

// grant serves the queue: members before strangers, each in order. A request that its own peer holds up is passed by;
// one that waits for others holds up its class, or it would wait for ever behind smaller ones. s.mu is held.
func (s *shares) grant() {
	for _, member := range []bool{true, false} {
		held := false
		s.queue = slices.DeleteFunc(s.queue, func(w *waiter) bool {
			if held || w.member != member || s.peers[w.id]+w.amount > s.perPeer {
				return false
			}
			if s.used+w.amount > s.all || !member && s.strange+w.amount > s.strangers {
				held = true
				return false
			}
			s.used += w.amount
			if !member {
				s.strange += w.amount
			}
			s.peers[w.id] += w.amount
			close(w.granted)
			return true
		})
	}
}

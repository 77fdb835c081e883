package light

import (
	"context"
	"fmt"
	"reflect"
	"sync"
	"time"

	"walrus/certs"
	"walrus/ledger"
)

// committeeCache keeps the committees last read.
type committeeCache struct {
	mu         sync.Mutex
	members    []ledger.Member    // guarded by mu: as read in epoch; nil: none were read
	epoch      uint32             // guarded by mu: the newest proven
	committees *ledger.Committees // guarded by mu: nil until first needed
	until      time.Time          // guarded by mu: scheduled end of epoch
}

// Committee returns the committee of the current epoch, as Committees does.
func (c *Client) Committee(ctx context.Context) (*certs.Committee, error) {
	epoch, all, err := c.Committees(ctx)
	if err != nil {
		return nil, err
	}
	return all.At(epoch)
}

// Committees returns the current epoch and the committees that the ledger knows in it. They are read once per epoch;
// after the epoch's scheduled end, at every call until the next epoch has begun. A stalled ledger keeps its committee:
// that is no error and no reason to wait.
func (c *Client) Committees(ctx context.Context) (epoch uint32, all certs.Committees, err error) {
	c.sets.mu.Lock()
	epoch, known, until := c.sets.epoch, c.sets.committees, c.sets.until
	c.sets.mu.Unlock()
	if time.Now().Before(until) && c.trust.newest().Time.Before(until) { // whichever is ahead
		return epoch, known, nil
	}
	now, members, err := readCommittee(ctx, c)
	if err != nil {
		return 0, nil, fmt.Errorf("read committee: %w", err)
	}
	return c.sets.put(c.cfg.Genesis, now, members)
}

// NewestCommittees returns the newest epoch read by Committees and the committees known in it; before the first read,
// the genesis' committees. It sends no requests.
func (c *Client) NewestCommittees() (epoch uint32, all certs.Committees, err error) {
	s := c.sets
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.committees == nil {
		first, err := c.cfg.Genesis.Committees()
		if err != nil {
			return 0, nil, err
		}
		s.epoch, s.committees = ledger.FirstEpoch, first
	}
	return s.epoch, s.committees, nil
}

// put caches what was read. It checks the members' keys only if they have changed: a check takes a millisecond per key.
func (s *committeeCache) put(g *ledger.Genesis, now ledger.EpochInfo,
	members []ledger.Member) (epoch uint32, all certs.Committees, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.members != nil && now.Epoch < s.epoch { // a concurrent reader has read a newer epoch
		return s.epoch, s.committees, nil
	}
	if !reflect.DeepEqual(members, s.members) {
		read, err := g.CommitteesOf(now.Epoch, members)
		if err != nil {
			return 0, nil, err
		}
		s.committees = read
	}
	s.members, s.epoch, s.until = members, now.Epoch, time.Unix(0, now.Start).Add(g.EpochDuration)
	return s.epoch, s.committees, nil
}

// committeeTries limits the attempts to read a large committee when an epoch ends during the reading.
const committeeTries = 3

// readCommittee reads the epoch and all members: as many as the genesis has, with proof that there are no more.
func readCommittee(ctx context.Context, c *Client) (ledger.EpochInfo, []ledger.Member, error) {
	for range committeeTries {
		epoch, members, err := readMembers(ctx, c)
		if err != nil || members != nil {
			return epoch, members, err
		}
	}
	return ledger.EpochInfo{}, nil, ErrChanging
}

// readMembers returns no members if the epoch ended during the reading.
func readMembers(ctx context.Context, c *Client) (epoch ledger.EpochInfo, members []ledger.Member, err error) {
	for from, count := 0, len(c.cfg.Genesis.Members); from <= count; {
		to := min(from+MaxKeys-1, count+1)
		keys := [][]byte{ledger.KeyEpoch()}
		for i := from; i < to; i++ {
			keys = append(keys, ledger.KeyMember(uint16(i)))
		}
		v, err := c.Peek(ctx, keys...)
		if v == nil { // members from a stalled ledger, or one that a fast clock makes look stalled, will do
			return epoch, nil, err
		}
		now, err := ledger.ReadEpoch(v)
		if err != nil {
			return epoch, nil, err
		}
		if from > 0 && now != epoch {
			return epoch, nil, nil
		}
		epoch = now
		for i := from; i < min(to, count); i++ {
			m, err := ledger.ReadMember(v, uint16(i))
			if err != nil {
				return epoch, nil, err
			}
			members = append(members, m)
		}
		if more, err := v.Get(ledger.KeyMember(uint16(count))); to > count && (err != nil || more != nil) {
			return epoch, nil, fmt.Errorf("the ledger has more members than the genesis' %d: this program is too old: update it",
				count)
		}
		from = to
	}
	return epoch, members, nil
}

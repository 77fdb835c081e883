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

// committeeCache keeps the last committee read.
type committeeCache struct {
	mu        sync.Mutex
	members   []ledger.Member  // guarded by mu
	committee *certs.Committee // guarded by mu
	until     time.Time        // guarded by mu: scheduled end of its epoch
}

func newCommitteeCache() *committeeCache { return new(committeeCache) }

// Committee returns the committee of the current epoch. It is read once per epoch; after the epoch's scheduled end,
// at every call until the next epoch has begun. A stalled ledger keeps its committee: that is no error and no reason to
// wait.
func (c *Client) Committee(ctx context.Context) (*certs.Committee, error) {
	c.sets.mu.Lock()
	known, until := c.sets.committee, c.sets.until
	c.sets.mu.Unlock()
	if known != nil && time.Now().Before(until) && c.trust.latest().Time.Before(until) { // whichever is ahead
		return known, nil
	}
	epoch, members, err := c.readCommittee(ctx)
	if err != nil {
		return nil, fmt.Errorf("read committee: %w", err)
	}
	return c.sets.put(c.cfg.Genesis, c.id, epoch, members)
}

// put caches the committee. It checks the members' keys only if they have changed: a check takes a millisecond per
// key.
func (s *committeeCache) put(g *ledger.Genesis, id certs.NetworkID, epoch ledger.EpochInfo, members []ledger.Member) (*certs.Committee, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.committee == nil || !reflect.DeepEqual(members, s.members):
		list := make([]certs.Member, len(members))
		for i, m := range members {
			list[i] = certs.Member{Node: m.Node, Name: m.Name, Key: m.Key, Proof: m.Proof, Shards: m.Shards}
		}
		made, err := certs.NewCommittee(g.Network, id, epoch.Epoch, g.Shards, list)
		if err != nil {
			return nil, fmt.Errorf("committee of epoch %d: %w", epoch.Epoch, err)
		}
		s.committee, s.members = made, members
	case epoch.Epoch < s.committee.Epoch(): // a concurrent reader has a newer one
		return s.committee, nil
	case epoch.Epoch > s.committee.Epoch():
		s.committee = s.committee.ForEpoch(epoch.Epoch)
	}
	s.until = time.Unix(0, epoch.Start).Add(g.EpochDuration)
	return s.committee, nil
}

// committeeTries limits the attempts to read a large committee when an epoch ends during the reading.
const committeeTries = 3

// readCommittee reads the epoch and all members: as many as the genesis has, with proof that there are no more.
func (c *Client) readCommittee(ctx context.Context) (ledger.EpochInfo, []ledger.Member, error) {
	for range committeeTries {
		epoch, members, err := c.readMembers(ctx)
		if err != nil || members != nil {
			return epoch, members, err
		}
	}
	return ledger.EpochInfo{}, nil, ErrChanging
}

// readMembers returns no members if the epoch ended during the reading.
func (c *Client) readMembers(ctx context.Context) (epoch ledger.EpochInfo, members []ledger.Member, err error) {
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
			return epoch, nil, fmt.Errorf("the ledger has more members than the genesis' %d: this program is too old: update it", count)
		}
		from = to
	}
	return epoch, members, nil
}

package engine

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	cmtcons "github.com/cometbft/cometbft/proto/tendermint/consensus"
	"github.com/cosmos/gogoproto/proto"
	"github.com/libp2p/go-libp2p/core/peer"

	"walrus/certs"
)

// Each validator passes every vote on to each peer that lacks it, and tells all its peers of every vote it has. With a
// stream to each other validator, a block would so cost the network messages in proportion to the cube of their number.
// Above maxMesh validators, each has streams to meshRings·2 neighbors only, the same in each process.
const (
	// maxMesh: up to so many validators, each has a stream to each other.
	maxMesh = 2*meshRings + 1
	// meshRings is the number of rings through all validators whose next and last are neighbors. All neighbors of a
	// validator are faulty, if a third of all are, with a probability of 3⁻¹²: once in half a million. It then looks for
	// more: see keepEnough. Any two of 100 validators are at most three streams apart.
	meshRings = 6
	// fewPeers: a validator with fewer streams looks for more beside its neighbors.
	fewPeers = meshRings
	// morePeers bounds the streams that it opens beside those to its neighbors.
	morePeers = 2 * meshRings
	// maxFollows bounds the validators that a follower has streams to. It needs one that is honest, and changes them
	// when no block comes.
	maxFollows = 8
	// meshLook is the pause between looks whether there are enough streams, and blocks.
	meshLook = 2 * time.Second
)

// neighbors returns the validators to which one of them, self, keeps streams. It is symmetric: they are on either side
// of self on rings through all validators, each ordered by the hash of network, ring and peer.
func neighbors(network certs.NetworkID, validators []peer.ID, self peer.ID) map[peer.ID]bool {
	out := make(map[peer.ID]bool, 2*meshRings)
	if len(validators) <= maxMesh {
		for _, id := range validators {
			out[id] = true
		}
		delete(out, self)
		return out
	}
	type place struct {
		sum [sha256.Size]byte
		id  peer.ID
	}
	ring := make([]place, len(validators))
	for r := range meshRings {
		for i, id := range validators {
			ring[i] = place{sha256.Sum256(append(append(bytes.Clone(network[:]), byte(r)), id...)), id}
		}
		slices.SortFunc(ring, func(a, b place) int {
			return cmp.Or(bytes.Compare(a.sum[:], b.sum[:]), cmp.Compare(a.id, b.id))
		})
		if at := slices.IndexFunc(ring, func(p place) bool { return p.id == self }); at >= 0 {
			out[ring[(at+1)%len(ring)].id] = true
			out[ring[(at+len(ring)-1)%len(ring)].id] = true
		}
	}
	return out
}

// keepEnough opens streams beside those to the neighbors while there are too few, or no block comes though one is due.
// A follower changes one of the validators that it follows. late reports whether a block is due.
func (s *sw) keepEnough(ctx context.Context, late func() bool) {
	var others []*link
	for _, l := range s.links {
		if l.spare {
			others = append(others, l)
		}
	}
	look := time.NewTicker(meshLook)
	defer look.Stop()
	for {
		select {
		case <-look.C:
		case <-ctx.Done():
			return
		}
		peers := s.all()
		switch {
		case s.votes && len(others) > 0 && (len(peers) < fewPeers || len(peers) < len(s.links)-len(others)+morePeers && late()):
			others[rand.IntN(len(others))].call()
		case !s.votes && len(peers) > 0 && cap(s.slots) < s.validators() && late():
			peers[rand.IntN(len(peers))].drop("no block comes")
		}
	}
}

// distant reports whether the link is to a validator that is no neighbor. l may be nil.
func (l *link) distant() bool { return l != nil && l.spare }

// voices has the validators whose votes for the next block have come here, by whatever way. Nobody verifies them for
// this: they are for texts.
type voices struct {
	mu     sync.Mutex
	height int64           // of the next block; guarded by mu, as are all below
	since  time.Time       // of the first vote for it; zero without one
	voted  map[string]bool // by address of the consensus key, for all validators
}

// know sets the validators.
func (v *voices) know(members []member) {
	v.voted = make(map[string]bool, len(members))
	for i := range members {
		if m := &members[i]; m.votes() {
			v.voted[m.address()] = false
		}
	}
}

// begin turns to the votes for a block.
func (v *voices) begin(height int64) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.height, v.since = height, time.Time{}
	for address := range v.voted {
		v.voted[address] = false
	}
}

// hear notes a vote.
func (v *voices) hear(msg proto.Message) {
	m, ok := msg.(*cmtcons.Vote)
	if !ok || m.Vote == nil {
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if voted, known := v.voted[string(m.Vote.ValidatorAddress)]; !known || voted || m.Vote.Height != v.height {
		return
	}
	v.voted[string(m.Vote.ValidatorAddress)] = true
	if v.since.IsZero() {
		v.since = time.Now()
	}
}

// under returns for how long votes on the next block have been under way; 0 if there were none.
func (v *voices) under(now time.Time) time.Duration {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.since.IsZero() {
		return 0
	}
	return now.Sub(v.since)
}

// silent reports whether a validator has not voted, though a vote has been under way for a while. Until then nobody
// knows.
func (v *voices) silent(m *member, now time.Time) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return !v.since.IsZero() && now.Sub(v.since) >= stallGrace && !v.voted[m.address()]
}

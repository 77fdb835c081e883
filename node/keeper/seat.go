package keeper

import (
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/libp2p/go-libp2p/core/peer"

	"walrus/certs"
	"walrus/p2p"
	"walrus/shards"
	"walrus/store"
)

// seats alone knows which shards are ours, and in which epoch. Nobody keeps a committee or a list of shards: each use
// asks for the epoch it is about.
//   - Slivers that must be here, nodes to ask, shards to count: the current epoch of the ledger here (now).
//   - The signers of a certificate: the certificate's epoch (at).
//   - A confirmation: the epoch in which the ledger had the registration alive (at).
//   - Slivers to remove with a blob: the current epoch and the one before (recent).
type seats struct {
	self       peer.ID
	committees certs.Committees
	chain      chain
}

// seat is our place in the committee of one epoch.
type seat struct {
	*certs.Committee
	self   peer.ID
	shards []int // ours, ascending; none if we are no member in that epoch
}

// CheckMember reports whether a node with these keys may work in committee com.
func CheckMember(com *certs.Committee, self peer.ID, key *certs.SecretKey) error {
	i, ok := com.Member(self)
	if !ok {
		return fmt.Errorf("peer %s is not in the committee of epoch %d, set by the genesis: use the keys of a member; "+
			"a network that has started takes no new members yet, and a genesis with one more is another network's",
			self, com.Epoch())
	}
	if m := com.Members()[i]; m.Key != key.Public() {
		return fmt.Errorf("the BLS key is not the one the committee has for %s (%s)", m.Name, m.Node)
	}
	return nil
}

// at returns our place in an epoch. The error wraps ErrUnavailable: a later block may bring the committee.
func (s *seats) at(epoch uint32) (seat, error) {
	com, err := s.committees.At(epoch)
	if err != nil {
		return seat{}, fmt.Errorf("%w: %w", p2p.ErrUnavailable, err)
	}
	out := seat{Committee: com, self: s.self}
	if i, ok := com.Member(s.self); ok {
		out.shards = com.Members()[i].Shards
	}
	return out, nil
}

// now returns our place in the current epoch of the ledger here. The error wraps ErrUnavailable.
func (s *seats) now() (seat, error) {
	epoch, err := s.chain.epoch()
	if err != nil {
		return seat{}, err
	}
	return s.at(epoch)
}

// recent lists the shards of which slivers may lie here: ours in the current epoch and in the one before, whose slivers
// outlast its end.
func (s *seats) recent() ([]int, error) {
	at, err := s.now()
	if err != nil {
		return nil, err
	}
	before, err := s.at(at.Epoch() - 1)
	if err != nil { // the first epoch has none before it
		return at.shards, nil
	}
	all := slices.Concat(before.shards, at.shards)
	slices.Sort(all)
	return slices.Compact(all), nil
}

// guard keeps room for the members of an epoch, and the connections to them.
func (s *seats) guard(p Peers, epoch uint32) error {
	com, err := s.committees.At(epoch)
	if err != nil {
		return err
	}
	ids := make([]peer.ID, len(com.Members()))
	for i, m := range com.Members() {
		ids[i] = m.Node
	}
	p.SetProtected("committee", ids)
	return nil
}

// owns reports whether a shard is ours.
func (s seat) owns(shard int) bool {
	m := s.Owner(shard)
	return m != nil && m.Node == s.self
}

// others returns the committee indices of the other members, in random order.
func (s seat) others() []int {
	return slices.DeleteFunc(rand.Perm(len(s.Members())), func(i int) bool { return s.Members()[i].Node == s.self })
}

// axes lists the axes in the order in which slivers are stored.
var axes = []shards.Axis{shards.Primary, shards.Secondary}

// slivers lists the slivers of blob id that belong here.
func (s seat) slivers(id shards.BlobID) []store.Ref {
	refs := make([]store.Ref, 0, len(axes)*len(s.shards))
	for _, shard := range s.shards {
		for _, axis := range axes {
			refs = append(refs, store.Ref{Blob: id, Shard: shard, Axis: axis})
		}
	}
	return refs
}

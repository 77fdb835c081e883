package certs

import (
	"fmt"
	"slices"

	bls "github.com/consensys/gnark-crypto/ecc/bls12-381"
	"github.com/libp2p/go-libp2p/core/peer"

	"walrus/shards"
)

// Member is one storage node of a committee.
type Member struct {
	Node   peer.ID
	Name   string    // for people only
	Key    PublicKey // distinct for each member
	Proof  Signature // of possession of the key, see SecretKey.ProvePossession
	Shards []int     // at least one; ascending in a Committee
}

// Committee lists the storage nodes of one epoch with their shards and keys. It is immutable and safe for concurrent
// use. The order of the members matters: certificates name signers by index.
type Committee struct {
	network NetworkID
	epoch   uint32
	params  shards.Params
	members []Member
	keys    []bls.G1Affine // decoded and valid, by member index
	index   map[peer.ID]int
	owner   []uint16 // member index by shard
}

// NewCommittee checks that members form a committee of n shards: 1 to MaxMembers members with distinct peer IDs and
// keys, proofs of possession of the keys for the network's name, and each shard held exactly once. It takes about 0.9
// ms per member. Errors wrap ErrCommittee or ErrKey and name the member.
func NewCommittee(network string, id NetworkID, epoch uint32, n int, members []Member) (*Committee, error) {
	params, err := shards.NewParams(n)
	if err != nil {
		return nil, fmt.Errorf("%w: %v", ErrCommittee, err)
	}
	if len(network) > MaxNetworkName {
		return nil, fmt.Errorf("%w: the network name has %d bytes: at most %d", ErrCommittee, len(network), MaxNetworkName)
	}
	if len(members) == 0 || len(members) > min(n, MaxMembers) {
		return nil, fmt.Errorf("%w: %d members for %d shards: must be 1 to %d", ErrCommittee, len(members), n,
			min(n, MaxMembers))
	}
	c := &Committee{
		network: id, epoch: epoch, params: params,
		members: slices.Clone(members),
		keys:    make([]bls.G1Affine, len(members)),
		index:   make(map[peer.ID]int, len(members)),
	}
	// Do the cheap checks of all members before the pairings.
	if err := c.assignShards(); err != nil {
		return nil, err
	}
	keys := make(map[PublicKey]int, len(members))
	for i := range c.members {
		m := &c.members[i]
		if len(m.Node) > MaxPeerIDSize || m.Node.Validate() != nil {
			return nil, fmt.Errorf("%w: member %d: the peer ID is invalid or longer than %d bytes",
				ErrCommittee, i, MaxPeerIDSize)
		}
		if other, dup := c.index[m.Node]; dup {
			return nil, fmt.Errorf("%w: members %d and %d have the same peer ID %s", ErrCommittee, other, i, m.Node)
		}
		if other, dup := keys[m.Key]; dup {
			return nil, fmt.Errorf("%w: members %d and %d have the same key", ErrCommittee, other, i)
		}
		c.index[m.Node], keys[m.Key] = i, i
	}
	for i := range c.members {
		m := &c.members[i]
		if err := VerifyPossession(network, m.Node, m.Key, m.Proof); err != nil {
			return nil, fmt.Errorf("member %d (%s): %w", i, m.Node, err)
		}
		if c.keys[i], err = m.Key.point(); err != nil {
			return nil, fmt.Errorf("member %d (%s): %w", i, m.Node, err)
		}
	}
	return c, nil
}

// assignShards fills owner and checks that each shard is held exactly once.
func (c *Committee) assignShards() error {
	n := c.params.Shards()
	c.owner = make([]uint16, n)
	held := make([]bool, n)
	total := 0
	for i := range c.members {
		m := &c.members[i]
		if len(m.Shards) == 0 {
			return fmt.Errorf("%w: member %d holds no shard", ErrCommittee, i)
		}
		m.Shards = slices.Clone(m.Shards)
		slices.Sort(m.Shards)
		for _, s := range m.Shards {
			if s < 0 || s >= n {
				return fmt.Errorf("%w: member %d holds shard %d: must be 0 to %d", ErrCommittee, i, s, n-1)
			}
			if held[s] {
				return fmt.Errorf("%w: shard %d is held twice, by members %d and %d", ErrCommittee, s, c.owner[s], i)
			}
			held[s], c.owner[s] = true, uint16(i)
			total++
		}
	}
	if total < n {
		return fmt.Errorf("%w: nobody holds shard %d", ErrCommittee, slices.Index(held, false))
	}
	return nil
}

// Network returns the network's ID.
func (c *Committee) Network() NetworkID { return c.network }

// Epoch returns the committee's epoch.
func (c *Committee) Epoch() uint32 { return c.epoch }

// Params returns the encoding for the network's number of shards.
func (c *Committee) Params() shards.Params { return c.params }

// Members returns the storage nodes by index. The caller must not change them.
func (c *Committee) Members() []Member { return c.members }

// Member returns the index of node, if it is a member.
func (c *Committee) Member(node peer.ID) (index int, ok bool) {
	index, ok = c.index[node]
	return index, ok
}

// Owner returns the member that holds shard, or nil if there is no such shard. The caller must not change it.
func (c *Committee) Owner(shard int) *Member {
	if shard < 0 || shard >= len(c.owner) {
		return nil
	}
	return &c.members[c.owner[shard]]
}

// Weight returns the number of shards of a member; 0 if there is no such member.
func (c *Committee) Weight(index int) int {
	if index < 0 || index >= len(c.members) {
		return 0
	}
	return len(c.members[index].Shards)
}

// Quorum returns the least number of shards w with 3w ≥ 2n+1: two quorums share an honest shard.
func (c *Committee) Quorum() int { return (2*c.params.Shards() + 1 + 2) / 3 }

// OneHonest returns the least number of shards w with 3w ≥ n+1: more than may lie.
func (c *Committee) OneHonest() int { return (c.params.Shards() + 1 + 2) / 3 }

// Committees knows the committee of each epoch.
type Committees interface {
	// At returns the committee of an epoch. The error wraps ErrUnknownEpoch if it is not known.
	At(epoch uint32) (*Committee, error)
}

// ForEpoch returns the same committee for another epoch. It shares all data with c, so it is cheap. Only an
// implementation of Committees may use it: everybody else asks for a committee by epoch.
func (c *Committee) ForEpoch(epoch uint32) *Committee {
	other := *c
	other.epoch = epoch
	return &other
}

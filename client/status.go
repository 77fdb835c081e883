package client

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/libp2p/go-libp2p/core/peer"
	"golang.org/x/sync/errgroup"

	"walrus/certs"
	"walrus/p2p"
	"walrus/shards"
)

// BlobStatus is what the network says of a blob, shard by shard.
type BlobStatus struct {
	BlobID      shards.BlobID
	Size        uint64             // bytes of the blob
	EncodedSize int64              // bytes that all nodes keep together
	EndEpoch    uint32             // the epoch at whose start storage ends
	Certificate *certs.Certificate // nil: the blob was never certified
	Shards      []ShardStatus      // by shard
	Bad         []BadNode          // nodes that did not answer, or not truthfully
}

// States of a sliver in a ShardStatus.
const (
	Stored      = "stored"
	Missing     = "missing"
	Corrupt     = "corrupt"
	Repairing   = "repairing"
	Unreachable = "unreachable"
)

// ShardStatus is the state of one shard's sliver pair, as its node tells it.
type ShardStatus struct {
	Shard     int     `json:"shard"`
	Pair      int     `json:"pair"`
	Node      peer.ID `json:"node"`
	Name      string  `json:"name"`
	Primary   string  `json:"primary"`
	Secondary string  `json:"secondary"`
}

// BlobStatus asks every node about blob id. ErrNotFound when a quorum knows nothing of it; *NotEnoughError when too few
// answer to say so.
func (c *Client) BlobStatus(ctx context.Context, id shards.BlobID) (*BlobStatus, error) {
	com, err := c.control.Committee(ctx)
	if err != nil {
		return nil, fmt.Errorf("blob status: %w", err)
	}
	params := com.Params()
	st := &BlobStatus{BlobID: id, Shards: make([]ShardStatus, params.Shards())}
	for i := range st.Shards {
		m := com.Owner(i)
		st.Shards[i] = ShardStatus{Shard: i, Pair: params.PairOnShard(id, i), Node: m.Node, Name: m.Name, Primary: Unreachable, Secondary: Unreachable}
	}
	var mu sync.Mutex
	tally := c.ask(ctx, com, func(ctx context.Context, i int, m *certs.Member) (any, error) {
		s, err := c.swarm.BlobStatus(ctx, m.Node, id)
		if err != nil {
			return nil, err
		}
		mu.Lock()
		defer mu.Unlock()
		st.record(m, s)
		if len(s.Certificate) > 0 && st.Certificate == nil {
			cert, err := verifiedCertificate(com, id, s.Certificate)
			if err != nil {
				return nil, err
			}
			st.Certificate = cert
		}
		if !s.Metadata && len(s.Certificate) == 0 {
			return nil, p2p.ErrNotFound
		}
		return nil, nil
	}, func(answers) bool { return false })
	st.Bad = tally.bad
	// what nodes say proves nothing: the blob exists if its certificate or its metadata does
	meta, _, err := c.metadata(ctx, com, id, "blob status "+id.String())
	if err != nil && st.Certificate == nil {
		return nil, err
	}
	if meta != nil {
		st.Size, st.EncodedSize = meta.Length, params.EncodedSize(meta.Length)
	}
	st.EndEpoch, err = c.control.MayStore(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("blob status %s: %w", id, err)
	}
	return st, nil
}

// record notes what node m says of its own shards.
func (st *BlobStatus) record(m *certs.Member, s p2p.BlobStatus) {
	for _, shard := range m.Shards {
		st.Shards[shard].Primary, st.Shards[shard].Secondary = Missing, Missing
	}
	for _, x := range s.Slivers {
		if !slices.Contains(m.Shards, x.Shard) {
			continue
		}
		st.Shards[x.Shard].Primary, st.Shards[x.Shard].Secondary = sliverState(x.Primary, x), sliverState(x.Secondary, x)
	}
}

func sliverState(stored bool, s p2p.ShardState) string {
	switch {
	case stored:
		return Stored
	case s.Repairing:
		return Repairing
	case s.Corrupt:
		return Corrupt
	}
	return Missing
}

// Health is the state of every node of the committee.
type Health struct {
	OK    bool // every node serves and holds all it owes
	Nodes []NodeHealth
}

// serving is the state in which a node says that it does its whole work.
const serving = "serving"

// NodeHealth is the state of one node, as it tells it, and whether that is good.
type NodeHealth struct {
	Node      peer.ID
	Name      string
	Shards    []int // by the committee
	Reachable bool
	Status    p2p.NodeStatus // zero if not reachable
	OK        bool
	Why       string // why not OK
}

// Health asks every node how it is.
func (c *Client) Health(ctx context.Context) (*Health, error) {
	com, err := c.control.Committee(ctx)
	if err != nil {
		return nil, fmt.Errorf("health: %w", err)
	}
	members := com.Members()
	h := &Health{OK: true, Nodes: make([]NodeHealth, len(members))}
	var g errgroup.Group
	for i := range members {
		g.Go(func() error {
			n := &h.Nodes[i]
			n.Node, n.Name, n.Shards = members[i].Node, members[i].Name, members[i].Shards
			ctx, cancel := context.WithTimeout(ctx, askTimeout)
			defer cancel()
			err := c.connect(ctx, n.Node)
			if err == nil {
				n.Status, err = c.swarm.NodeStatus(ctx, n.Node)
			}
			if n.Reachable = err == nil; !n.Reachable {
				n.Why = reason(err)
			}
			return nil
		})
	}
	_ = g.Wait()
	known := knownBlobs(com, h.Nodes)
	for i := range h.Nodes {
		n := &h.Nodes[i]
		if n.Reachable {
			n.Why = unwell(com, n, known)
		}
		n.OK = n.Why == ""
		h.OK = h.OK && n.OK
	}
	return h, nil
}

// knownBlobs is the greatest number of certified blobs that nodes with one honest shard among them say they know: a
// node that knows fewer has not caught up, whatever it says it owes.
func knownBlobs(com *certs.Committee, nodes []NodeHealth) uint64 {
	order := make([]int, len(nodes))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int {
		switch x, y := nodes[a].Status.Blobs, nodes[b].Status.Blobs; {
		case x > y:
			return -1
		case x < y:
			return 1
		}
		return 0
	})
	weight := 0
	for _, i := range order {
		if weight += com.Weight(i); weight >= com.OneHonest() {
			return nodes[i].Status.Blobs
		}
	}
	return 0
}

// unwell is why a reachable node is not well, empty if it is.
func unwell(com *certs.Committee, n *NodeHealth, known uint64) string {
	s := &n.Status
	var why []string
	if s.State != serving {
		why = append(why, "is "+s.State)
	}
	if s.Epoch != com.Epoch() {
		why = append(why, fmt.Sprintf("is in epoch %d, not %d", s.Epoch, com.Epoch()))
	}
	if s.Owed > 0 {
		why = append(why, fmt.Sprintf("owes %d slivers", s.Owed))
	}
	if s.Corrupt > 0 {
		why = append(why, fmt.Sprintf("has %d corrupt slivers to repair", s.Corrupt))
	}
	if s.Blobs < known {
		why = append(why, fmt.Sprintf("knows %d of %d blobs", s.Blobs, known))
	}
	return strings.Join(why, ", ")
}

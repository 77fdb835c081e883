package client

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"golang.org/x/sync/errgroup"

	"walrus/certs"
	"walrus/p2p"
)

// Health reports the state of every node of the committee.
type Health struct {
	OK    bool // every node serves and holds all its slivers, and monitors saw none fail in the last round
	Nodes []NodeHealth
	// Monitored: monitors run, and nodes have heard of them.
	Monitored bool
}

// serving is the state that a fully working node reports.
const serving = "serving"

// clockWarning bounds the clock error of a healthy node.
const clockWarning = 5 * time.Second

// NodeHealth holds one node's report of its state, and our judgement of it.
type NodeHealth struct {
	Node      peer.ID
	Name      string
	Shards    []int // assigned by the committee
	Reachable bool
	Status    p2p.NodeStatus // zero if the node was not reachable
	Seen      Seen           // what monitors saw
	OK        bool
	Why       string // the reason if OK is false
}

// Health asks every node for its state.
func (c *Client) Health(ctx context.Context) (*Health, error) {
	com, err := c.Committee(ctx)
	if err != nil {
		return nil, fmt.Errorf("health: %w", err)
	}
	members := com.Members()
	h := &Health{OK: true, Nodes: make([]NodeHealth, len(members))}
	heard := make([]*p2p.Scores, len(members))
	var g errgroup.Group
	for i := range members {
		g.Go(func() error {
			n := &h.Nodes[i]
			n.Node, n.Name, n.Shards = members[i].Node, members[i].Name, members[i].Shards
			err := c.nodes.Connect(ctx, n.Node)
			if err == nil {
				ctx, cancel := context.WithTimeout(ctx, askTimeout)
				defer cancel()
				start := time.Now()
				n.Status, err = c.nodes.NodeStatus(ctx, n.Node)
				c.nodes.noteAnswer(start, err)
			}
			if n.Reachable = err == nil; !n.Reachable {
				n.Why = reason(err)
				return nil
			}
			if c.nodes.Rounds != nil {
				ctx, cancel := context.WithTimeout(ctx, askTimeout)
				defer cancel()
				if s, err := c.nodes.Rounds.Scores(ctx, n.Node); err == nil { // else the node hears no monitors
					heard[i] = &s
				}
			}
			return nil
		})
	}
	_ = g.Wait()
	// a node that knows fewer blobs has not caught up, even if it reports nothing missing
	known := h.Vouched(com.OneHonest(), func(s *p2p.NodeStatus) uint64 { return s.Blobs })
	for i := range h.Nodes {
		n := &h.Nodes[i]
		if n.Reachable {
			n.Why = unwell(com, n, known)
		}
	}
	h.believe(com, heard)
	for i := range h.Nodes {
		n := &h.Nodes[i]
		n.OK = n.Why == ""
		h.OK = h.OK && n.OK
	}
	return h, nil
}

// NodeHistory asks a node for its history of the last day and month. The history is the node's own claim. Nodes of a
// version without history return p2p.ErrBadRequest.
func (c *Client) NodeHistory(ctx context.Context, id peer.ID) ([]p2p.HistoryPoint, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	if err := c.nodes.Connect(ctx, id); err != nil {
		return nil, err
	}
	return c.nodes.NodeHistory(ctx, id)
}

// Vouched returns the greatest value that nodes holding weight shards together report to have reached: with f+1 shards,
// one of them is honest.
func (h *Health) Vouched(weight int, value func(*p2p.NodeStatus) uint64) uint64 {
	order := make([]*NodeHealth, len(h.Nodes))
	for i := range h.Nodes {
		order[i] = &h.Nodes[i]
	}
	slices.SortFunc(order, func(a, b *NodeHealth) int { return cmp.Compare(value(&b.Status), value(&a.Status)) })
	have := 0
	for _, n := range order {
		if have += len(n.Shards); have >= weight {
			return value(&n.Status)
		}
	}
	return 0
}

// unwell returns the reasons why a reachable node is not healthy; empty if it is.
func unwell(com *certs.Committee, n *NodeHealth, known uint64) string {
	s := &n.Status
	var why []string
	if s.State != serving {
		why = append(why, "is "+s.State)
	}
	if s.Refuses != "" {
		why = append(why, "takes no new data: "+s.Refuses)
	}
	if s.Epoch < com.Epoch() {
		why = append(why, fmt.Sprintf("is in epoch %d, not %d", s.Epoch, com.Epoch()))
	}
	if s.Owed > 0 {
		owes := "owes " + slivers(s.Owed, "")
		if s.RepairLeft > 0 { // its own estimate
			owes += fmt.Sprintf(" for about %v", s.RepairLeft)
		}
		why = append(why, owes)
	}
	if s.Corrupt > 0 {
		why = append(why, fmt.Sprintf("has %s to repair", slivers(s.Corrupt, "corrupt ")))
	}
	if ahead := s.ClockAhead; max(ahead, -ahead) >= clockWarning {
		why = append(why, fmt.Sprintf("has a clock that is %.0f s %s the others'", max(ahead, -ahead).Seconds(),
			map[bool]string{true: "ahead of", false: "behind"}[ahead > 0]))
	}
	if s.Blobs < known {
		why = append(why, fmt.Sprintf("knows %d of %d blobs", s.Blobs, known))
	}
	return strings.Join(why, ", ")
}

// slivers formats their number for people: "1 corrupt sliver", "2 slivers".
func slivers(n uint64, kind string) string {
	if n == 1 {
		return "1 " + kind + "sliver"
	}
	return fmt.Sprintf("%d %sslivers", n, kind)
}

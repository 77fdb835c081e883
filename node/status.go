package node

import (
	"context"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"walrus/monitor"
	"walrus/node/keeper"
	"walrus/p2p"
)

// backend answers peers: with the keeper for the node's duty, by itself for what the process knows.
type backend struct {
	keeper.Backend
	n        *Node
	operator peer.ID // may see local paths
}

var _ p2p.Backend = backend{}

// NodeStatus describes this node; to strangers, without the places of its files and what monitors say.
func (b backend) NodeStatus(_ context.Context, from peer.ID) (p2p.NodeStatus, error) {
	st, err := b.n.Status()
	if from != b.operator {
		st.Incidents = b.n.keeper.Incidents(false)
	} else {
		s := b.n.score()
		st.Seen = s.Summary()
	}
	return st, err
}

// score returns what monitors say of this node. Without data its lines are unknown.
func (n *Node) score() monitor.NodeScore {
	if n.watch != nil {
		for _, s := range n.watch.Scores() {
			if s.Node == n.host.ID() {
				return s
			}
		}
	}
	return monitor.NodeScore{Durability: monitor.Unknown, Reachability: monitor.Unknown, Speed: monitor.Unknown}
}

// NodeHistory describes this node's past.
func (b backend) NodeHistory(context.Context) ([]p2p.HistoryPoint, error) {
	return b.n.history.points(), nil
}

// Status describes the node to peers and operators.
func (n *Node) Status() (p2p.NodeStatus, error) {
	st, err := n.keeper.Status()
	if err != nil {
		return p2p.NodeStatus{}, err
	}
	st.Version, st.Uptime, st.Peers = n.cfg.Version, time.Since(n.started), len(n.host.Libp2p().Network().Peers())
	st.Reach = n.host.Outside().Reach().Summary()
	if text := n.room().String(); text != "" {
		st.Ledger += "; " + text
		st.Ledger = st.Ledger[:min(len(st.Ledger), p2p.MaxStatusText)]
	}
	st.ClockAhead = time.Duration(n.clockAhead.Load())
	for _, a := range n.host.Addrs() {
		if text := a.String(); len(st.Addresses) < p2p.MaxAddresses && len(text) <= p2p.MaxStatusText {
			st.Addresses = append(st.Addresses, text)
		}
	}
	return st, nil
}

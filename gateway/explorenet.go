package gateway

import (
	"context"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"walrus/certs"
	"walrus/client"
	"walrus/gateway/pages"
	"walrus/ledger"
	"walrus/p2p"
)

// networkState is the network's state at one time. It is immutable.
type networkState struct {
	info      *client.Info // nil if the ledger could not be asked
	infoErr   error        // why not
	health    *client.Health
	committee *certs.Committee // of info's epoch; without info, of the newest epoch known
	network   *pages.Network   // without throughput
}

// state returns the network's state as of a moment ago.
func (e *Explorer) state(ctx context.Context) (*networkState, error) {
	return e.network.get(ctx, &e.work, true, e.askNetwork)
}

// askNetwork asks the ledger and all nodes at once. If the ledger does not answer, the state records its error.
func (e *Explorer) askNetwork(ctx context.Context) (*networkState, error) {
	s := &networkState{}
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		s.info, s.infoErr = e.client.Info(gctx)
		return nil
	})
	g.Go(func() (err error) {
		s.health, err = e.client.Health(gctx)
		return err
	})
	err := g.Wait()
	if err == nil && s.infoErr != nil {
		s.info = nil
		s.committee, err = e.client.Committee(ctx)
	} else if err == nil {
		s.committee = s.info.Committee
	}
	if err != nil {
		return nil, err
	}
	s.network = s.describe(time.Now())
	e.mu.Lock()
	defer e.mu.Unlock()
	for i := range s.health.Nodes {
		if n := &s.health.Nodes[i]; n.Reachable {
			e.seen[n.Node] = s.network.Time
		}
	}
	return s, nil
}

// describe converts the state for the pages.
func (s *networkState) describe(now time.Time) *pages.Network {
	n := &pages.Network{
		ID: s.committee.Network().String(), Time: now, OK: s.health.OK && s.infoErr == nil,
		Committee: committeeNumbers(s.committee), Ledger: pages.LedgerState{Live: s.infoErr == nil},
	}
	if s.infoErr != nil {
		n.Ledger.Error = strings.TrimPrefix(s.infoErr.Error(), "info: ")
	} else {
		p := &s.info.Params
		n.Epoch = &pages.Epoch{Number: s.info.Epoch, End: s.info.EpochEnd, Duration: p.EpochDuration}
		n.Prices = &pages.Prices{Storage: p.StoragePrice, Write: p.WritePrice, FeeTx: p.FeeTx, FeeByte: p.FeeByte,
			FeeWork:   p.FeePerWork,
			MaxEpochs: p.MaxEpochsAhead}
		n.Capacity = &pages.Capacity{Total: p.Capacity, Sold: s.info.Sold}
		n.Supply = &pages.Supply{Burned: s.info.Burned, Rewards: s.info.Rewards}
	}
	nodes := s.health.Nodes
	n.Nodes = make([]pages.NodeSummary, len(nodes))
	for i := range nodes {
		n.Nodes[i] = summarize(&nodes[i])
		if nodes[i].Reachable {
			n.Ledger.Reachable += len(nodes[i].Shards)
		}
		n.Storage.DiskBytes += nodes[i].Status.DiskBytes
		n.Storage.Owed += nodes[i].Status.Owed
	}
	n.Ledger.Height = s.health.Vouched(s.committee.OneHonest(), func(s *p2p.NodeStatus) uint64 { return s.Height })
	n.Storage.Blobs = s.health.Vouched(s.committee.OneHonest(), func(s *p2p.NodeStatus) uint64 { return s.Blobs })
	return n
}

func committeeNumbers(c *certs.Committee) pages.Committee {
	return pages.Committee{Members: len(c.Members()), Shards: c.Params().Shards(), Faulty: c.Params().Faulty(),
		Quorum: c.Quorum()}
}

func summarize(h *client.NodeHealth) pages.NodeSummary {
	st := &h.Status
	return pages.NodeSummary{
		Name: h.Name, Peer: h.Node.String(), Shards: len(h.Shards), Reachable: h.Reachable, OK: h.OK, Why: h.Why,
		State: st.State, Blobs: st.Blobs, DiskBytes: st.DiskBytes, Owed: st.Owed, Epoch: st.Epoch, Height: st.Height,
		Version: st.Version,
	}
}

// node returns one node with all details.
func (s *networkState) node(h *client.NodeHealth) *pages.Node {
	st := &h.Status
	n := &pages.Node{
		NodeSummary: summarize(h), Time: s.network.Time, ShardIDs: h.Shards, Weight: s.network.Committee, Slivers: st.Slivers,
		Corrupt: st.Corrupt,
		Uptime:  st.Uptime, Peers: st.Peers, Incidents: append([]string{}, st.Incidents...),
		Addresses: append([]string{}, st.Addresses...),
		Limit:     st.DiskLimit, Free: st.DiskFree, Reserve: st.DiskReserve, Refuses: st.Refuses, Ledger: st.Ledger,
		Reach: st.Reach,
	}
	if s.info != nil {
		n.Earnings = earnings(s.info, len(h.Shards))
	}
	return n
}

// earnings divides the pot so far as the end of the epoch will.
func earnings(info *client.Info, weight int) *pages.Earnings {
	burn := info.Rewards.Portion(uint64(info.Params.BurnBasis), ledger.BasisPoints)
	return &pages.Earnings{
		Pot: info.Rewards, Burn: burn, Share: (info.Rewards - burn).Portion(uint64(weight), uint64(info.Params.Shards)),
		Epoch: info.Epoch, EpochEnd: info.EpochEnd,
	}
}

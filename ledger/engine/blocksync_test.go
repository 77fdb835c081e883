package engine

import (
	"testing"
	"testing/synctest"
	"time"

	dbm "github.com/cometbft/cometbft-db"
	"github.com/cometbft/cometbft/blocksync"
	"github.com/cometbft/cometbft/libs/log"
	"github.com/cometbft/cometbft/p2p"
	bcproto "github.com/cometbft/cometbft/proto/tendermint/blocksync"
	sm "github.com/cometbft/cometbft/state"
	"github.com/cometbft/cometbft/store"
	"github.com/cometbft/cometbft/types"

	"walrus/internal/swarmtest"
)

// leaver is a peer that has blocks and is gone while the first of them is being verified. It is the only peer of its
// switch, and the evidence pool, which block sync asks last of all before it pops a block.
type leaver struct {
	p2p.Switcher
	p2p.IPeerSet
	sm.EmptyEvidencePool
	peer    leaverPeer
	blocks  *store.BlockStore
	reactor *blocksync.Reactor
}

type leaverPeer struct {
	p2p.Peer
	of *leaver
}

func (l *leaver) Peers() p2p.IPeerSet            { return l }
func (l *leaver) Get(p2p.ID) p2p.Peer            { return l.peer }
func (l *leaver) NumPeers() (int, int, int)      { return 1, 0, 0 }
func (l *leaver) BroadcastAsync(p2p.Envelope)    {}
func (l *leaver) StopPeerForError(p2p.Peer, any) {}
func (l leaverPeer) ID() p2p.ID                  { return "leaver" }
func (l leaverPeer) TrySend(e p2p.Envelope) bool { go l.of.answer(e); return true }
func (l *leaver) receive(m *bcproto.BlockResponse) {
	l.reactor.Receive(p2p.Envelope{Src: l.peer, Message: m})
}
func (l *leaver) CheckEvidence(types.EvidenceList) error {
	l.reactor.RemovePeer(l.peer, nil)
	synctest.Wait() // the pool has dropped the blocks
	return nil
}

func (l *leaver) answer(e p2p.Envelope) {
	if r, ok := e.Message.(*bcproto.BlockRequest); ok {
		l.receive(&bcproto.BlockResponse{Block: l.blocks.LoadBlockProto(r.Height)})
	}
}

// TestPeerLeavesBlockSync reproduces CometBFT's fault: the process goes on, and the chain hears of it.
func TestPeerLeavesBlockSync(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 1)
		n := c.start(0)
		defer c.stopAll()
		for _, tx := range []string{"a", "b", "c"} {
			c.submit(0, tx)
			time.Sleep(2 * time.Second)
		}
		blocks := n.node.BlockStore()
		state, err := sm.MakeGenesisState(c.doc)
		if err != nil {
			t.Fatal(err)
		}
		first := blocks.LoadBlock(1)
		state.Version.Consensus, state.AppHash, state.LastResultsHash = first.Version, first.AppHash, first.LastResultsHash

		l := &leaver{blocks: blocks}
		l.peer.of = l
		own := store.NewBlockStore(dbm.NewMemDB())
		exec := sm.NewBlockExecutor(sm.NewStore(dbm.NewMemDB(), sm.StoreOptions{}), log.NewNopLogger(), nil, nil, l, own)
		observed := blocksync.NopMetrics()
		lost := make(chan struct{})
		observed.Syncing = &syncing{observed.Syncing, func() { close(lost) }}
		l.reactor = blocksync.NewReactor(true, false, state, exec, own, nil, 0, observed)
		l.reactor.SetSwitch(l)
		if err := l.reactor.Start(); err != nil {
			t.Fatal(err)
		}
		l.reactor.Receive(p2p.Envelope{Src: l.peer, Message: &bcproto.StatusResponse{Base: 1, Height: blocks.Height()}})
		select {
		case <-lost:
		case <-time.After(time.Minute):
			t.Error("block sync does not miss the block: CometBFT has changed, see syncing")
		}
		if err := l.reactor.Stop(); err != nil {
			t.Error(err)
		}
		if own.Height() != 0 {
			t.Errorf("block sync stored %d blocks", own.Height())
		}
	})
}

// TestSyncingPassesPanics: what syncing does not know goes on.
func TestSyncingPassesPanics(t *testing.T) {
	gauge := blocksync.NopMetrics().Syncing
	gauge = &syncing{gauge, func() { t.Error("taken for a block that was lost") }}
	defer func() {
		if p := recover(); p != "another" {
			t.Errorf("recovered %v", p)
		}
	}()
	defer gauge.Set(0)
	panic("another")
}

// TestBlockSyncBeginsAgain: a node that loses block sync opens the chain again and follows it.
func TestBlockSyncBeginsAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newFleet(t, swarmtest.NewNetwork(1), 2, lopsided)
		defer s.closeAll()
		s.open(0, 1)
		<-s.nodes[0].Ready()
		<-s.nodes[1].Ready()
		before, err := s.nodes[1].running()
		if err != nil {
			t.Fatal(err)
		}
		before.lostBlock()
		height, _ := s.nodes[0].Head()
		s.reach(1, height+3, time.Hour)
		if after, err := s.nodes[1].running(); err != nil || after == before {
			t.Errorf("the chain was not opened again: %v", err)
		}
		s.pay(1, 2, 3)
		s.same(0, 1)
	})
}

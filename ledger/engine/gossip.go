package engine

import (
	"errors"
	"hash/maphash"
	"runtime"
	"slices"
	"sync"

	"github.com/cometbft/cometbft/libs/log"
	"github.com/cometbft/cometbft/mempool"
	"github.com/cometbft/cometbft/p2p"
	protomem "github.com/cometbft/cometbft/proto/tendermint/mempool"

	"walrus/ledger"
	"walrus/ledger/machine"
)

// pool holds what waits for a block: see app.App.
type pool interface {
	// Offer lets a transaction wait, or refuses it with a *ledger.OpError. taken is nil if it waits already.
	Offer(raw []byte, relayed bool) (taken *machine.Taken, err error)
	// Waiting visits what waits, the best first, until visit returns false.
	Waiting(visit func(*machine.Taken) bool)
}

// gossip passes transactions on to other nodes, in place of CometBFT's mempool reactor, which sends everything to
// everybody. Each node passes a transaction on once, when it comes to wait there, to degree peers. All of one account
// go to the same peers, over streams that keep their order, so that nonces arrive in order.
//
// What is lost on the way, or was refused by a fuller node, goes out again later: see remind.
type gossip struct {
	p2p.BaseReactor

	pool    pool                    // constant, as are the next four
	bell    *bell                   // rings when something waits
	idle    func() bool             // the node still fetches blocks: transactions are of no use
	checks  chan struct{}           // one for each peer whose transactions are being checked
	accepts func(p2p.Envelope) bool // tests drop messages; nil: all are accepted

	tasks sync.WaitGroup
	quit  chan struct{} // closed by OnStop

	mu    sync.Mutex
	peers map[p2p.ID]*neighbour // guarded by mu
	seed  maphash.Seed          // chooses the peers for an account; guarded by mu
}

func newGossip(p pool, b *bell, idle func() bool, logger log.Logger) *gossip {
	g := &gossip{pool: p, bell: b, idle: idle, checks: make(chan struct{}, max(1, runtime.GOMAXPROCS(0)/2)),
		quit: make(chan struct{}), peers: map[p2p.ID]*neighbour{}, seed: maphash.MakeSeed()}
	g.BaseReactor = *p2p.NewBaseReactor("Mempool", g)
	g.SetLogger(logger)
	return g
}

// GetChannels implements p2p.Reactor.
func (g *gossip) GetChannels() []*p2p.ChannelDescriptor {
	return []*p2p.ChannelDescriptor{{ID: mempool.MempoolChannel, Priority: 5, SendQueueCapacity: txQueue,
		RecvMessageCapacity: batchBytes + 8*batchTxs, MessageType: &protomem.Message{}}}
}

// OnStart implements service.Service.
func (g *gossip) OnStart() error {
	g.tasks.Go(func() { g.bell.run(g.quit) })
	return nil
}

// OnStop implements service.Service.
func (g *gossip) OnStop() {
	close(g.quit)
	g.tasks.Wait()
}

// AddPeer implements p2p.Reactor: it tells the peer of the best that waits.
func (g *gossip) AddPeer(p p2p.Peer) {
	n := newNeighbour(p)
	g.mu.Lock()
	g.peers[p.ID()] = n
	g.mu.Unlock()
	g.best(n.add)
	g.tasks.Go(func() { n.send(g.quit) })
	g.tasks.Go(func() { n.check(g.quit, g.take) })
}

// RemovePeer implements p2p.Reactor.
func (g *gossip) RemovePeer(p p2p.Peer, _ any) {
	g.mu.Lock()
	n := g.peers[p.ID()]
	delete(g.peers, p.ID())
	g.mu.Unlock()
	if n != nil {
		close(n.gone)
	}
}

// Receive implements p2p.Reactor. It only queues the transactions: consensus does not wait while they are checked.
func (g *gossip) Receive(e p2p.Envelope) {
	msg, ok := e.Message.(*protomem.Txs)
	if !ok || len(msg.Txs) == 0 || len(msg.Txs) > batchTxs {
		g.Switch.StopPeerForError(e.Src, &badMessage{e.ChannelID, errors.New("not a list of 1 to 256 transactions")})
		return
	}
	g.mu.Lock()
	n := g.peers[e.Src.ID()]
	g.mu.Unlock()
	if n != nil && !g.idle() && (g.accepts == nil || g.accepts(e)) {
		n.received(msg.Txs)
	}
}

// take checks a peer's transactions and passes on what is new. Nodes pass on only what they have checked, so what no
// node could have let wait costs a peer its connection.
func (g *gossip) take(n *neighbour, txs [][]byte) {
	g.checks <- struct{}{}
	defer func() { <-g.checks }()
	for _, raw := range txs {
		taken, err := g.pool.Offer(raw, true)
		var refused *ledger.OpError
		if errors.As(err, &refused) {
			switch refused.Code {
			case ledger.CodeFormat, ledger.CodeNetwork, ledger.CodeSignature:
				g.Switch.StopPeerForError(n.peer, &badMessage{mempool.MempoolChannel, err})
				return
			}
		}
		if taken != nil {
			g.spread(taken, n)
		}
	}
}

// submit lets a transaction wait and passes it on.
func (g *gossip) submit(raw []byte) error {
	taken, err := g.pool.Offer(raw, false)
	if taken != nil {
		g.spread(taken, nil)
	}
	return err
}

// spread passes a transaction on, except to the peer that it came from.
func (g *gossip) spread(t *machine.Taken, from *neighbour) {
	g.bell.ring()
	for _, n := range g.chosen(t.Sender) {
		if n != from {
			n.add(t)
		}
	}
}

// chosen returns the peers that hear of an account's transactions.
func (g *gossip) chosen(sender ledger.Address) []*neighbour {
	g.mu.Lock()
	defer g.mu.Unlock()
	all := make([]*neighbour, 0, len(g.peers))
	if len(g.peers) <= degree {
		for _, n := range g.peers {
			all = append(all, n)
		}
		return all
	}
	type lot struct {
		n *neighbour
		v uint64
	}
	lots := make([]lot, 0, len(g.peers))
	for id, n := range g.peers {
		lots = append(lots, lot{n, maphash.Comparable(g.seed, drawn{id, sender})})
	}
	slices.SortFunc(lots, func(a, b lot) int {
		if a.v < b.v {
			return -1
		}
		return 1
	})
	for _, l := range lots[:degree] {
		all = append(all, l.n)
	}
	return all
}

// drawn is a lot of chosen.
type drawn struct {
	peer   p2p.ID
	sender ledger.Address
}

// remind passes the best that still waits on once more, to other peers than before. It is called after a block. What
// ranks highest here and is in no block after remindEvery of them may be unknown to those that make blocks.
func (g *gossip) remind(height int64) {
	if height%remindEvery != 0 {
		return
	}
	g.mu.Lock()
	g.seed = maphash.MakeSeed()
	g.mu.Unlock()
	g.best(func(t *machine.Taken) {
		for _, n := range g.chosen(t.Sender) {
			n.add(t)
		}
	})
}

// best visits the best that waits, remindBytes of it.
func (g *gossip) best(visit func(*machine.Taken)) {
	var found []*machine.Taken
	left := remindBytes
	g.pool.Waiting(func(t *machine.Taken) bool {
		found = append(found, t)
		left -= len(t.Raw)
		return left > 0
	})
	for _, t := range found {
		visit(t)
	}
}

// bell wakes the proposer. CometBFT makes a block when its own mempool holds a transaction. It holds at most one, the
// bell's, for as long as something waits: the application answers CheckTx by that. Proposals leave it out.
type bell struct {
	pull chan struct{} // capacity 1
	to   func() mempool.Mempool
}

func (b *bell) ring() {
	select {
	case b.pull <- struct{}{}:
	default:
	}
}

func (b *bell) run(quit <-chan struct{}) {
	for {
		select {
		case <-b.pull:
			_ = b.to().CheckTx([]byte{1}, nil, mempool.TxInfo{}) // fails if it is there already
		case <-quit:
			return
		}
	}
}

var _ p2p.Reactor = (*gossip)(nil)

// InitPeer implements p2p.Reactor.
func (g *gossip) InitPeer(p p2p.Peer) p2p.Peer { return p }

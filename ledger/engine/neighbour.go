package engine

import (
	"sync"

	"github.com/cometbft/cometbft/mempool"
	"github.com/cometbft/cometbft/p2p"
	protomem "github.com/cometbft/cometbft/proto/tendermint/mempool"

	"walrus/ledger"
	"walrus/ledger/machine"
)

// neighbour holds the transactions that go to a peer and that have come from it. What does not fit is forgotten:
// gossip.remind makes up for it.
type neighbour struct {
	peer p2p.Peer      // constant
	gone chan struct{} // closed when the peer is removed; constant

	mu      sync.Mutex
	out     []*machine.Taken     // in order; guarded by mu, as are all below
	unsent  map[ledger.TxID]bool // of out, those that the peer has not sent itself
	outSize int                  // bytes of out
	in      [][]byte             // in order
	inSize  int                  // bytes of in

	outWake, inWake chan struct{} // capacity 1
}

func newNeighbour(p p2p.Peer) *neighbour {
	return &neighbour{peer: p, gone: make(chan struct{}), unsent: map[ledger.TxID]bool{},
		outWake: make(chan struct{}, 1), inWake: make(chan struct{}, 1)}
}

func wake(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// add queues a transaction for the peer.
func (n *neighbour) add(t *machine.Taken) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.unsent[t.ID] || n.outSize+len(t.Raw) > neighbourBytes {
		return
	}
	n.out, n.outSize = append(n.out, t), n.outSize+len(t.Raw)
	n.unsent[t.ID] = true
	wake(n.outWake)
}

// received queues transactions from the peer.
func (n *neighbour) received(txs [][]byte) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, raw := range txs {
		if n.inSize+len(raw) > neighbourBytes {
			break
		}
		n.in, n.inSize = append(n.in, raw), n.inSize+len(raw)
		delete(n.unsent, ledger.HashTx(raw))
	}
	wake(n.inWake)
}

// batch takes the next message's transactions from the queue.
func (n *neighbour) batch() (txs [][]byte) {
	n.mu.Lock()
	defer n.mu.Unlock()
	size, taken := 0, 0
	for _, t := range n.out {
		if size+len(t.Raw) > batchBytes || len(txs) == batchTxs {
			break
		}
		taken++
		n.outSize -= len(t.Raw)
		if n.unsent[t.ID] {
			txs, size = append(txs, t.Raw), size+len(t.Raw)
			delete(n.unsent, t.ID)
		}
	}
	clear(n.out[:taken])
	if n.out = n.out[taken:]; len(n.out) == 0 {
		n.out = nil
	}
	return txs
}

// send sends what is queued until the peer is gone.
func (n *neighbour) send(quit <-chan struct{}) {
	for {
		select {
		case <-n.outWake:
		case <-n.gone:
			return
		case <-quit:
			return
		}
		for txs := n.batch(); len(txs) > 0; txs = n.batch() {
			if !n.peer.Send(p2p.Envelope{ChannelID: mempool.MempoolChannel, Message: &protomem.Txs{Txs: txs}}) {
				break // slow, or gone
			}
		}
	}
}

// check has take check what has come until the peer is gone.
func (n *neighbour) check(quit <-chan struct{}, take func(*neighbour, [][]byte)) {
	for {
		select {
		case <-n.inWake:
		case <-n.gone:
			return
		case <-quit:
			return
		}
		n.mu.Lock()
		txs := n.in
		n.in, n.inSize = nil, 0
		n.mu.Unlock()
		take(n, txs)
	}
}

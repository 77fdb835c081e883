package engine

import (
	"cmp"
	"math/bits"
	"slices"
	"sync"

	"github.com/cometbft/cometbft/mempool"
	"github.com/cometbft/cometbft/p2p"
	protomem "github.com/cometbft/cometbft/proto/tendermint/mempool"

	"walrus/ledger"
	"walrus/ledger/machine"
)

// parcel is a transaction on its way.
type parcel struct {
	id     ledger.TxID
	sender ledger.Address
	fee    uint64
	raw    []byte
}

// parcels is a queue of transactions: those with the highest fee for each byte come first, but those of one account in
// the order in which they came. The caller locks.
type parcels struct {
	all    []parcel
	size   int  // bytes
	sorted bool // all is in order
}

// add queues a transaction, unless there is no room for it.
func (q *parcels) add(p parcel) bool {
	if q.size+len(p.raw) > neighbourBytes {
		return false
	}
	q.all, q.size, q.sorted = append(q.all, p), q.size+len(p.raw), false
	return true
}

// take removes the first transactions: at most count, of at most size bytes, but one at least.
func (q *parcels) take(count, size int) (taken []parcel) {
	q.sort()
	for len(taken) < min(count, len(q.all)) {
		p := q.all[len(taken)]
		if size -= len(p.raw); size < 0 && len(taken) > 0 {
			break
		}
		q.size -= len(p.raw)
		taken = append(taken, p)
	}
	taken = slices.Clone(taken)
	clear(q.all[:len(taken)])
	if q.all = q.all[len(taken):]; len(q.all) == 0 {
		q.all = nil
	}
	return taken
}

// sort ranks each transaction by the lowest fee for a byte among it and those of its account before it.
func (q *parcels) sort() {
	if q.sorted {
		return
	}
	type ranked struct {
		parcel
		rank parcel // whose fee for a byte is the lowest
	}
	lowest := make(map[ledger.Address]parcel)
	all := make([]ranked, len(q.all))
	for i, p := range q.all {
		low, ok := lowest[p.sender]
		if !ok || compareFees(p, low) < 0 {
			low = p
		}
		lowest[p.sender], all[i] = low, ranked{p, low}
	}
	slices.SortStableFunc(all, func(a, b ranked) int { return compareFees(b.rank, a.rank) })
	for i := range all {
		q.all[i] = all[i].parcel
	}
	q.sorted = true
}

// compareFees compares fees for a byte.
func compareFees(a, b parcel) int {
	aHi, aLo := bits.Mul64(a.fee, uint64(len(b.raw)))
	bHi, bLo := bits.Mul64(b.fee, uint64(len(a.raw)))
	return cmp.Or(cmp.Compare(aHi, bHi), cmp.Compare(aLo, bLo))
}

// neighbour holds the transactions that go to a peer and that have come from it, so that a flood delays nobody who pays
// more. What does not fit is forgotten: gossip.remind makes up for it.
type neighbour struct {
	peer p2p.Peer      // constant
	gone chan struct{} // closed when the peer is removed; constant

	mu     sync.Mutex
	out    parcels              // guarded by mu, as are all below
	unsent map[ledger.TxID]bool // of out, those that the peer has not sent itself
	in     parcels

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
	if !n.unsent[t.ID] && n.out.add(parcel{t.ID, t.Sender, uint64(t.Fee), t.Raw}) {
		n.unsent[t.ID] = true
		wake(n.outWake)
	}
}

// received queues transactions from the peer.
func (n *neighbour) received(txs [][]byte) {
	came := make([]parcel, len(txs))
	for i, raw := range txs {
		came[i] = parcel{id: ledger.HashTx(raw), raw: raw}
		if tx, err := ledger.UnmarshalTx(raw); err == nil { // else the check finds it malformed
			came[i].sender, came[i].fee = tx.Sender.Address(), uint64(tx.Fee)
		}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, p := range came {
		n.in.add(p)
		delete(n.unsent, p.id)
	}
	wake(n.inWake)
}

// batch takes the next message's transactions from the queue.
func (n *neighbour) batch() (txs [][]byte) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for len(txs) == 0 && len(n.out.all) > 0 {
		for _, p := range n.out.take(batchTxs, batchBytes) {
			if n.unsent[p.id] {
				txs = append(txs, p.raw)
				delete(n.unsent, p.id)
			}
		}
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

// check has take check what has come, few at a time, until the peer is gone or take returns false.
func (n *neighbour) check(quit <-chan struct{}, take func(*neighbour, []parcel) bool) {
	for {
		select {
		case <-n.inWake:
		case <-n.gone:
			return
		case <-quit:
			return
		}
		n.mu.Lock()
		some := n.in.take(checkedAtOnce, batchBytes)
		if len(n.in.all) > 0 {
			wake(n.inWake)
		}
		n.mu.Unlock()
		if !take(n, some) {
			return
		}
	}
}

package machine

import (
	"cmp"
	"container/heap"
	"fmt"
	"math/bits"
	"slices"

	"walrus/ledger"
)

// proposalOverhead: a transaction takes this many bytes in a block besides its own, for a tag and a length.
const proposalOverhead = 4

// Propose picks transactions of b for a block of at most maxBytes, and orders them as Order does. It leaves out
// transactions that would have no effect, and so pay nothing.
func (s State) Propose(b Block, maxBytes int64, o Options) ([][]byte, error) {
	params, err := ledger.ReadParams(s.Values)
	if err != nil {
		return nil, fmt.Errorf("propose block %d: %w", b.Height, err)
	}
	b.Txs = Order(params, b.Txs, maxBytes)
	k, err := s.run(b, o)
	if err != nil {
		return nil, fmt.Errorf("propose block %d: %w", b.Height, err)
	}
	picked := make([][]byte, 0, len(b.Txs))
	for i := range k.runs {
		if k.runs[i].paid {
			picked = append(picked, b.Txs[i])
		}
	}
	return picked, nil
}

// FairShare: whatever it pays, one sender fills at most 1/FairShare of a block before all others have had their share.
const FairShare = 4

// Order arranges transactions for a block of at most maxBytes and ledger.MaxBlockWork:
//
//   - The more a sender pays above the least fee for its weight, bytes and work, the earlier it comes.
//   - Senders that pay the same take turns, in the order in which they first appear in txs.
//   - A sender that already fills a quarter of the block, by bytes or by work, yields to senders with less. So no
//     account keeps another one out, neither by sending much nor by paying a little more.
//   - The transactions of one sender stay in the order of their nonces.
//   - Malformed and underpaying transactions are skipped.
func Order(p ledger.Params, txs [][]byte, maxBytes int64) [][]byte {
	q := newQueue(&p, txs)
	share, work := maxBytes/FairShare, uint64(0) // work picked
	var picked [][]byte
	for q.Len() > 0 {
		s := q.senders[0]
		next := s.waiting[0]
		if work+next.work > ledger.MaxBlockWork {
			heap.Pop(q) // the sender's others come after it
			continue
		}
		size := int64(len(next.raw)) + proposalOverhead
		if maxBytes -= size; maxBytes < 0 {
			break
		}
		picked = append(picked, next.raw)
		work += next.work
		s.waiting = s.waiting[1:]
		s.turns++
		s.bytes += size
		s.work += next.work
		s.served = s.bytes >= share || s.work >= ledger.MaxBlockWork/FairShare
		if len(s.waiting) == 0 {
			heap.Pop(q)
		} else {
			heap.Fix(q, 0)
		}
	}
	return picked
}

// offer describes a transaction that wants to be in the block.
type offer struct {
	raw   []byte
	nonce uint64
	tip   ledger.Amount // above the least fee
	work  uint64        // units
}

// sender holds the offers of one account.
type sender struct {
	first  int   // position of its first transaction
	turns  int   // taken so far
	bytes  int64 // of the transactions picked
	work   uint64
	served bool // it has its share

	waiting []offer
}

// queue is a heap of senders, ordered by their next offers.
type queue struct{ senders []*sender }

func newQueue(p *ledger.Params, txs [][]byte) *queue {
	q := new(queue)
	by := make(map[ledger.PublicKey]*sender)
	for i, raw := range txs {
		tx, err := ledger.UnmarshalTx(raw)
		if err != nil {
			continue
		}
		least := p.MinFee(len(raw), tx.Ops)
		if _, free := tx.Free(); free {
			least = 0
		}
		if tx.Fee < least {
			continue
		}
		s := by[tx.Sender]
		if s == nil {
			s = &sender{first: i}
			by[tx.Sender] = s
			q.senders = append(q.senders, s)
		}
		s.waiting = append(s.waiting, offer{raw, tx.Nonce, tx.Fee - least, p.Work(len(raw), tx.Ops)})
	}
	for _, s := range q.senders {
		slices.SortStableFunc(s.waiting, func(a, b offer) int { return cmp.Compare(a.nonce, b.nonce) })
	}
	heap.Init(q)
	return q
}

func (q *queue) Len() int { return len(q.senders) }

func (q *queue) Less(i, j int) bool {
	a, b := q.senders[i], q.senders[j]
	if a.served != b.served {
		return b.served
	}
	return cmp.Or(compareTips(&b.waiting[0], &a.waiting[0]), cmp.Compare(a.turns, b.turns),
		cmp.Compare(a.first, b.first)) < 0
}

// weight is ledger.Params.Weight.
func (o *offer) weight() uint64 { return uint64(len(o.raw)) + o.work }

// compareTips compares tips by weight.
func compareTips(a, b *offer) int {
	aHi, aLo := bits.Mul64(uint64(a.tip), b.weight())
	bHi, bLo := bits.Mul64(uint64(b.tip), a.weight())
	return cmp.Or(cmp.Compare(aHi, bHi), cmp.Compare(aLo, bLo))
}

func (q *queue) Swap(i, j int) { q.senders[i], q.senders[j] = q.senders[j], q.senders[i] }

// Push implements heap.Interface.
func (q *queue) Push(any) { panic("machine: senders do not come back") }

// Pop implements heap.Interface.
func (q *queue) Pop() any {
	last := len(q.senders) - 1
	s := q.senders[last]
	q.senders = q.senders[:last]
	return s
}

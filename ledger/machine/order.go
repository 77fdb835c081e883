package machine

import (
	"cmp"
	"container/heap"
	"fmt"
	"math/bits"
	"slices"

	"walrus/ledger"
)

// proposalOverhead is what a transaction takes in a block besides its own bytes: a tag and a length.
const proposalOverhead = 4

// Propose picks those of b's transactions that go into a block of at most maxBytes, and orders them as Order does.
// Those that would have no effect, and so pay nothing, are left out.
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

// maxCertificates bounds the certificates in a proposal: each takes 0.8 ms to verify, also a forged one that pays for a
// few hundred bytes only, and a full block of them seconds.
const maxCertificates = 512

// fairShare is the part of a block that one sender fills before all others had theirs, whatever it pays.
const fairShare = 4

// Order arranges transactions for a block of at most maxBytes. The more a sender pays for each byte above the least fee
// the earlier; senders who pay the same take turns. Who has a quarter of the block, or of the certificates, waits for all
// who have less, so that no account can keep another one out, neither by sending much nor by paying a little more. The transactions of one
// sender stay in the order of their nonces. What is no transaction, or pays too little, is left out. Turns go by the
// order in which senders first appear in txs.
func Order(p ledger.Params, txs [][]byte, maxBytes int64) [][]byte {
	q := newQueue(&p, txs)
	share, certificates := maxBytes/fairShare, 0 // certificates picked
	var picked [][]byte
	for q.Len() > 0 {
		s := q.senders[0]
		next := s.waiting[0]
		if certificates+next.certificates > maxCertificates {
			heap.Pop(q) // the sender's others come after it
			continue
		}
		size := int64(len(next.raw)) + proposalOverhead
		if maxBytes -= size; maxBytes < 0 {
			break
		}
		picked = append(picked, next.raw)
		certificates += next.certificates
		s.waiting = s.waiting[1:]
		s.turns++
		s.bytes += size
		s.certificates += next.certificates
		s.served = s.bytes >= share || s.certificates >= maxCertificates/fairShare
		if len(s.waiting) == 0 {
			heap.Pop(q)
		} else {
			heap.Fix(q, 0)
		}
	}
	return picked
}

// offer is a transaction that wants to be in the block.
type offer struct {
	raw   []byte
	nonce uint64
	tip   ledger.Amount // above the least fee

	certificates int // that it brings
}

// sender is the offers of one account.
type sender struct {
	first  int   // position of its first transaction
	turns  int   // it had so far
	bytes  int64 // that these take
	served bool  // has its share

	certificates int // that these bring
	waiting      []offer
}

// queue is a heap of senders by what they offer next.
type queue struct{ senders []*sender }

func newQueue(p *ledger.Params, txs [][]byte) *queue {
	q := new(queue)
	by := make(map[ledger.PublicKey]*sender)
	for i, raw := range txs {
		tx, err := ledger.UnmarshalTx(raw)
		least := p.MinFee(len(raw))
		if err != nil || tx.Fee < least {
			continue
		}
		s := by[tx.Sender]
		if s == nil {
			s = &sender{first: i}
			by[tx.Sender] = s
			q.senders = append(q.senders, s)
		}
		s.waiting = append(s.waiting, offer{raw, tx.Nonce, tx.Fee - least, certificatesOf(tx)})
	}
	for _, s := range q.senders {
		slices.SortStableFunc(s.waiting, func(a, b offer) int { return cmp.Compare(a.nonce, b.nonce) })
	}
	heap.Init(q)
	return q
}

func certificatesOf(tx *ledger.Tx) (n int) {
	for _, op := range tx.Ops {
		if _, ok := op.(ledger.CertifyBlob); ok {
			n++
		}
	}
	return n
}

func (q *queue) Len() int { return len(q.senders) }

func (q *queue) Less(i, j int) bool {
	a, b := q.senders[i], q.senders[j]
	if a.served != b.served {
		return b.served
	}
	if c := compareTips(&a.waiting[0], &b.waiting[0]); c != 0 {
		return c > 0
	}
	if a.turns != b.turns {
		return a.turns < b.turns
	}
	return a.first < b.first
}

// compareTips compares tips per byte.
func compareTips(a, b *offer) int {
	aHi, aLo := bits.Mul64(uint64(a.tip), uint64(len(b.raw)))
	bHi, bLo := bits.Mul64(uint64(b.tip), uint64(len(a.raw)))
	if c := cmp.Compare(aHi, bHi); c != 0 {
		return c
	}
	return cmp.Compare(aLo, bLo)
}

func (q *queue) Swap(i, j int) { q.senders[i], q.senders[j] = q.senders[j], q.senders[i] }

// Push is for heap.Interface.
func (q *queue) Push(any) { panic("machine: senders do not come back") }

// Pop is for heap.Interface.
func (q *queue) Pop() any {
	last := len(q.senders) - 1
	s := q.senders[last]
	q.senders = q.senders[:last]
	return s
}

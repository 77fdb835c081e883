// Package mempool decides which transactions wait for a block: a market for room that is scarce. It is pure: events go
// in, actions come out, without clock, network, state of the ledger or signatures, all of which are the caller's. The
// same events give the same actions. An event costs time that grows with the logarithm of the waiting transactions and
// with what it itself changes, never with all that waits.
//
// The rules:
//
//   - A transaction is worth its tip, the fee above the least one, for each unit of weight. It can only come into a
//     block after those of its account before it, so it ranks no higher than they do: see rank.
//   - Up to half full, the least fee of the ledger's rules is enough. Above, it doubles with each further tenth.
//   - Who pays less than that, or finds the pool full, takes the place of what ranks lowest, if it ranks higher by a
//     step. An account loses its transactions from the highest nonce down.
//   - A waiting transaction is replaced by one with the same nonce that pays a step more.
//   - An account has no more waiting than it can pay for, and at most MaxWaiting.
//   - A transaction must have some of its life left when it comes, and leaves when it has expired.
//
// Start with Pool.Arrive.
package mempool

import (
	"walrus/ledger"
	"walrus/shards"
)

const (
	// MaxWaiting bounds the transactions of one account that wait for a block.
	MaxWaiting = 256
	// MaxFree bounds the free transactions that wait. They pay nothing, so they are outside the market.
	MaxFree = 256
	// LeastLife is the number of heights that a transaction must have left when it is taken in, enough that some
	// proposer comes to it. One that another node took in, and relayed, needs half.
	LeastLife = 20
)

// Tx is a transaction as the market sees it. It is never changed.
type Tx struct {
	ID     ledger.TxID
	Sender ledger.Address
	Nonce  uint64
	Expiry uint64        // last height
	Fee    ledger.Amount // stated
	Least  ledger.Amount // least fee by the ledger's rules, however empty the pool is; at most Fee
	Spends ledger.Amount // most that the operations take from the sender, as far as is known
	Work   uint64        // see ledger.Params.Work
	Weight uint64        // of the room in a block that it takes, above 0
	Raw    []byte        // binary form

	Free bool          // pays nothing, see ledger.Tx.Free
	Blob shards.BlobID // that a free one marks
}

// Account is a sender after the last block.
type Account struct {
	Address ledger.Address
	Balance ledger.Amount
	Nonce   uint64
}

// Limits bound what waits.
type Limits struct {
	Txs   int // above 0
	Bytes int // of the binary forms; above 0
}

// Why says why a transaction no longer waits.
type Why int

// Reasons.
const (
	Used      Why = iota // a block has it, or another with its nonce
	Expired              // no block has it in time
	PricedOut            // others pay more
	Replaced             // another with its nonce pays more
	Unpayable            // the account has too little left
	Behind               // a transaction of the account before it has left
	Void                 // the caller said so
)

// String returns the reason's name in traces.
func (w Why) String() string {
	return [...]string{"used", "expired", "priced out", "replaced", "unpayable", "behind", "void"}[w]
}

// Left is the action of forgetting a waiting transaction.
type Left struct {
	Tx    *Tx
	Why   Why
	Least ledger.Amount // PricedOut: the least fee with which it would wait now
	By    ledger.TxID   // Replaced: the one in its place
}

// Pool holds the waiting transactions. It is not safe for concurrent use.
type Pool struct {
	limits Limits
	height uint64 // of the next block
	seq    uint64 // of the last arrival

	byID     map[ledger.TxID]*entry
	lanes    map[ledger.Address]*lane
	bytes    int
	free     map[shards.BlobID]*entry
	cheapest heap[*lane]  // by the last transaction: what leaves first is on top
	dearest  heap[*lane]  // by the first transaction: what a block has first is on top
	expiring heap[*entry] // the soonest on top
}

// New makes an empty pool.
func New(limits Limits) *Pool {
	p := &Pool{limits: limits, byID: map[ledger.TxID]*entry{}, lanes: map[ledger.Address]*lane{},
		free: map[shards.BlobID]*entry{}}
	p.cheapest = heap[*lane]{less: func(a, b *lane) bool { return leavesBefore(a.last(), b.last()) },
		moved: func(l *lane, i int) { l.inCheapest = i }}
	p.dearest = heap[*lane]{less: func(a, b *lane) bool { return servedBefore(a.entries[0], b.entries[0]) },
		moved: func(l *lane, i int) { l.inDearest = i }}
	p.expiring = heap[*entry]{less: func(a, b *entry) bool { return a.Expiry < b.Expiry },
		moved: func(e *entry, i int) { e.inExpiring = i }}
	return p
}

// Has reports whether a transaction waits.
func (p *Pool) Has(id ledger.TxID) bool { return p.byID[id] != nil }

// Size counts what waits: transactions, those of them that are free, and bytes.
func (p *Pool) Size() (txs, free, bytes int) { return len(p.byID), len(p.free), p.bytes }

// Accounts counts the accounts that have transactions waiting.
func (p *Pool) Accounts() int { return len(p.lanes) }

// Knows reports whether the pool has the account, so that Arrive needs no newer one.
func (p *Pool) Knows(a ledger.Address) bool { return p.lanes[a] != nil }

// Check returns the *ledger.OpError with which Arrive would refuse the transaction; nil if it would not.
func (p *Pool) Check(tx *Tx, sender Account, relayed bool) error {
	_, refused := p.plan(tx, sender, relayed)
	if refused != nil {
		return refused
	}
	return nil
}

// Arrive takes a transaction in, or refuses it with a *ledger.OpError. sender is its account after the last block;
// relayed says that another node took it in before. What leaves for it is returned. One that waits already is not to be
// given.
func (p *Pool) Arrive(tx *Tx, sender Account, relayed bool) ([]Left, error) {
	plan, refused := p.plan(tx, sender, relayed)
	if refused != nil {
		return nil, refused
	}
	p.seq++
	e := &entry{Tx: tx, seq: p.seq}
	if tx.Free {
		p.free[tx.Blob] = e
		p.add(e)
		return nil, nil
	}
	var left []Left
	for _, victim := range plan.victims {
		l := p.lanes[victim.Sender]
		p.cut(l, len(l.entries)-1)
		left = append(left, Left{Tx: victim.Tx, Why: PricedOut})
	}
	l := p.lanes[tx.Sender]
	switch {
	case plan.replaces != nil:
		at := l.at(tx.Nonce)
		p.drop(plan.replaces)
		l.entries[at] = e
		e.lane = l
		l.rank(at)
		left = append(left, Left{Tx: plan.replaces.Tx, Why: Replaced, By: tx.ID})
	case l == nil:
		l = &lane{account: sender}
		p.lanes[tx.Sender] = l
		l.push(e)
		p.cheapest.push(l)
		p.dearest.push(l)
	default:
		l.push(e)
	}
	p.add(e)
	p.moved(l)
	for i := range left {
		if left[i].Why == PricedOut {
			left[i].Least = p.Least(left[i].Tx)
		}
	}
	return left, nil
}

// Block tells of a committed block: the height of the next one, and the accounts it changed, at least those that wait.
func (p *Pool) Block(next uint64, changed []Account) []Left {
	p.height = next
	var left []Left
	for _, a := range changed {
		if l := p.lanes[a.Address]; l != nil {
			left = append(left, p.settle(l, a)...)
		}
	}
	for len(p.expiring.items) > 0 && p.expiring.items[0].Expiry < next {
		e := p.expiring.items[0]
		if e.Free {
			p.forgetFree(e)
			left = append(left, Left{Tx: e.Tx, Why: Expired})
			continue
		}
		left = append(left, p.cutFrom(e.lane, e.lane.at(e.Nonce), Expired)...)
	}
	return left
}

// Drop forgets a transaction that can have no effect any more, by the caller's knowledge, and those behind it.
func (p *Pool) Drop(id ledger.TxID) []Left {
	e := p.byID[id]
	switch {
	case e == nil:
		return nil
	case e.Free:
		p.forgetFree(e)
		return []Left{{Tx: e.Tx, Why: Void}}
	}
	return p.cutFrom(e.lane, e.lane.at(e.Nonce), Void)
}

// settle brings a lane up to date with its account after a block.
func (p *Pool) settle(l *lane, a Account) (left []Left) {
	used := 0
	for used < len(l.entries) && l.entries[used].Nonce < a.Nonce {
		p.drop(l.entries[used])
		left = append(left, Left{Tx: l.entries[used].Tx, Why: Used})
		used++
	}
	l.entries = append([]*entry(nil), l.entries[used:]...)
	l.account = a
	if len(l.entries) == 0 || l.entries[0].Nonce > a.Nonce { // an account's nonce never goes back
		return append(left, p.cutFrom(l, 0, Behind)...)
	}
	payable := l.rank(0)
	left = append(left, p.cutFrom(l, payable, Unpayable)...)
	p.moved(l)
	return left
}

// cutFrom forgets a lane's transactions from index i on: the first for a reason, the others since it is gone. The
// highest nonce goes first.
func (p *Pool) cutFrom(l *lane, i int, why Why) (left []Left) {
	for j := len(l.entries) - 1; j >= i; j-- {
		reason := Behind
		if j == i {
			reason = why
		}
		left = append(left, Left{Tx: l.entries[j].Tx, Why: reason})
	}
	p.cut(l, i)
	return left
}

// cut forgets a lane's transactions from index i on, and the lane if it is empty.
func (p *Pool) cut(l *lane, i int) {
	for _, e := range l.entries[i:] {
		p.drop(e)
	}
	clear(l.entries[i:])
	if l.entries = l.entries[:i]; i == 0 {
		p.cheapest.remove(l.inCheapest)
		p.dearest.remove(l.inDearest)
		delete(p.lanes, l.account.Address)
		return
	}
	p.moved(l)
}

// moved puts a lane, if it still waits, where its first and last transactions now belong.
func (p *Pool) moved(l *lane) {
	if len(l.entries) > 0 {
		p.cheapest.fix(l.inCheapest)
		p.dearest.fix(l.inDearest)
	}
}

func (p *Pool) add(e *entry) {
	p.byID[e.ID] = e
	p.bytes += len(e.Raw)
	p.expiring.push(e)
}

func (p *Pool) drop(e *entry) {
	delete(p.byID, e.ID)
	p.bytes -= len(e.Raw)
	p.expiring.remove(e.inExpiring)
}

func (p *Pool) forgetFree(e *entry) {
	p.drop(e)
	delete(p.free, e.Blob)
}

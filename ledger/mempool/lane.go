package mempool

import (
	"cmp"
	"math/bits"

	"walrus/ledger"
)

// entry is a waiting transaction.
type entry struct {
	*Tx
	lane       *lane // nil for a free one
	seq        uint64
	rank       price         // the least of its own price and the prices before it in the lane
	left       ledger.Amount // of the balance, after it
	inExpiring int
}

// lane holds the waiting transactions of one account, in the order of their nonces, without a gap, from the account's.
type lane struct {
	account               Account
	entries               []*entry
	inCheapest, inDearest int
}

func (l *lane) last() *entry { return l.entries[len(l.entries)-1] }

// next returns the nonce of the next transaction.
func (l *lane) next() uint64 { return l.account.Nonce + uint64(len(l.entries)) }

// at returns the index of the transaction with a nonce.
func (l *lane) at(nonce uint64) int { return int(nonce - l.account.Nonce) }

func (l *lane) push(e *entry) {
	e.lane = l
	l.entries = append(l.entries, e)
	l.rank(len(l.entries) - 1)
}

// rank ranks the transactions from index i on and adds up what they leave of the balance. It returns the index of the
// first that the account cannot pay for.
func (l *lane) rank(i int) int {
	left, least := l.account.Balance, price{}
	if i > 0 {
		left, least = l.entries[i-1].left, l.entries[i-1].rank
	}
	for ; i < len(l.entries); i++ {
		e := l.entries[i]
		if left < e.Fee {
			return i
		}
		e.left = remaining(left, e.Tx)
		if e.rank = e.price(); i > 0 && least.compare(e.rank) < 0 {
			e.rank = least
		}
		left, least = e.left, e.rank
	}
	return i
}

// remaining returns what a transaction leaves of a balance that covers its fee. Operations that cost more than the
// balance may still fail, and then take nothing: but nobody can count on it.
func remaining(balance ledger.Amount, tx *Tx) ledger.Amount {
	balance -= tx.Fee
	return balance - min(balance, tx.Spends)
}

// price is a tip for a weight.
type price struct{ tip, weight uint64 }

func (tx *Tx) price() price { return price{uint64(tx.Fee - tx.Least), tx.Weight} }

// compare compares tips per unit of weight.
func (a price) compare(b price) int {
	aHi, aLo := bits.Mul64(a.tip, b.weight)
	bHi, bLo := bits.Mul64(b.tip, a.weight)
	return cmp.Or(cmp.Compare(aHi, bHi), cmp.Compare(aLo, bLo))
}

// times returns the tip for another weight at the same price, rounded up; the greatest amount on overflow.
func (a price) times(weight uint64) ledger.Amount {
	hi, lo := bits.Mul64(a.tip, weight)
	if hi >= a.weight {
		return most
	}
	tip, rest := bits.Div64(hi, lo, a.weight)
	if rest > 0 {
		return add(ledger.Amount(tip), 1)
	}
	return ledger.Amount(tip)
}

// leavesBefore orders the last transactions of lanes: what ranks lowest leaves first, of equals the latest.
func leavesBefore(a, b *entry) bool {
	return cmp.Or(a.rank.compare(b.rank), cmp.Compare(b.seq, a.seq)) < 0
}

// servedBefore orders transactions for a block: what ranks highest comes first, of equals the one with fewer of its
// account before it, then the earliest.
func servedBefore(a, b *entry) bool {
	turn := func(e *entry) int { return e.lane.at(e.Nonce) }
	return cmp.Or(b.rank.compare(a.rank), cmp.Compare(turn(a), turn(b)), cmp.Compare(a.seq, b.seq)) < 0
}

package mempool

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"math/bits"
	"slices"

	"walrus/ledger"
)

const (
	// calm is the fullness, in thousandths, up to which the ledger's least fee is enough.
	calm = 500
	// doubling is the number of thousandths of fullness with which the least fee doubles above calm.
	doubling = 100
	// stepPart: who takes another's place pays at least one stepPart-th more, so that nobody displaces others again and
	// again for one FROST each.
	stepPart = 10
)

const most = ledger.Amount(math.MaxUint64)

// plan says how a transaction is taken in.
type plan struct {
	replaces *entry   // the one with its nonce
	victims  []*entry // that make room, in the order in which they leave: the last ones of their lanes
}

// plan decides about a transaction.
func (p *Pool) plan(tx *Tx, sender Account, relayed bool) (plan, *ledger.OpError) {
	life := uint64(LeastLife)
	if relayed {
		life /= 2
	}
	if tx.Expiry < p.height || tx.Expiry-p.height < life-1 {
		return plan{}, refuse(ledger.CodeExpired, "it expires at height %d and the next block is %d: sign it again with an expiry of %d or later",
			tx.Expiry, p.height, p.height+life-1)
	}
	if tx.Free {
		return p.planFree(tx)
	}
	l := p.lanes[tx.Sender]
	if l == nil {
		l = &lane{account: sender}
	}
	switch next := l.next(); {
	case tx.Nonce < l.account.Nonce:
		return plan{}, refuse(ledger.CodeNonce, "nonce %d is already used, the account's next is %d: sign it again with that nonce",
			tx.Nonce, next)
	case tx.Nonce > next:
		return plan{}, refuse(ledger.CodeNonce, "nonce %d is ahead of the account's next, %d: submit the transactions between first",
			tx.Nonce, next)
	case tx.Nonce == math.MaxUint64:
		return plan{}, refuse(ledger.CodeNonce, "nonce %d is the last of this account: use another account", tx.Nonce)
	case tx.Fee < tx.Least:
		return plan{}, refuse(ledger.CodeFee, "the fee is %v, and a transaction of %d bytes needs at least %v: sign it again with that fee",
			tx.Fee, len(tx.Raw), tx.Least)
	case tx.Nonce < next:
		return p.planReplacing(tx, l)
	case len(l.entries) >= MaxWaiting:
		return plan{}, refuse(ledger.CodeLimit, "%d transactions of this account are pending, the most allowed: wait until a block has some of them",
			len(l.entries))
	}
	balance := l.account.Balance
	if len(l.entries) > 0 {
		balance = l.last().left
	}
	if refused := payable(tx, balance); refused != nil {
		return plan{}, refused
	}
	rank := tx.price()
	if len(l.entries) > 0 && l.last().rank.compare(rank) < 0 {
		rank = l.last().rank
	}
	victims, ok := p.makeRoom(tx, rank, 1, len(tx.Raw))
	if !ok {
		least := p.Least(tx)
		if least <= tx.Fee { // those before it hold it back
			return plan{}, refuse(ledger.CodeLimit, "transactions of this account before it pay too little for it to wait: raise them first, or wait until a block has them")
		}
		return plan{}, pricedOut(least)
	}
	return plan{victims: victims}, nil
}

// planReplacing decides about a transaction whose nonce another of the lane has. It does not add to what waits, so the
// floor does not concern it.
func (p *Pool) planReplacing(tx *Tx, l *lane) (plan, *ledger.OpError) {
	at := l.at(tx.Nonce)
	old := l.entries[at]
	least := add(old.Fee, max(old.Fee/stepPart, 1))
	if least = max(least, add(tx.Least, old.price().times(tx.Weight))); tx.Fee < least {
		return plan{}, &ledger.OpError{Code: ledger.CodeNonce, Op: -1, Least: least, Text: fmt.Sprintf(
			"transaction %s with nonce %d waits already: to replace it pay %d FROST or more", old.ID, tx.Nonce, least)}
	}
	balance := l.account.Balance
	if at > 0 {
		balance = l.entries[at-1].left
	}
	for i := at; i < len(l.entries); i++ {
		each := l.entries[i].Tx
		if i == at {
			each = tx
		}
		if refused := payable(each, balance); refused != nil {
			return plan{}, refused
		}
		balance = remaining(balance, each)
	}
	more := len(tx.Raw) - len(old.Raw)
	if more <= 0 || p.bytes+more <= p.limits.Bytes {
		return plan{replaces: old}, nil
	}
	return plan{}, refuse(ledger.CodeLimit, "it is %d bytes longer than the transaction that it replaces, and there is no room for them: wait for the next block",
		more)
}

func (p *Pool) planFree(tx *Tx) (plan, *ledger.OpError) {
	switch {
	case p.free[tx.Blob] != nil:
		return plan{}, refuse(ledger.CodeLimit, "another proof about blob %s waits for the next block: wait for it", tx.Blob)
	case len(p.free) >= MaxFree:
		return plan{}, refuse(ledger.CodeLimit, "%d free transactions are pending, the most this node keeps: try again later",
			len(p.free))
	}
	return plan{}, nil
}

// payable refuses a transaction whose fee exceeds what the account has left for it.
func payable(tx *Tx, balance ledger.Amount) *ledger.OpError {
	if balance < tx.Fee {
		return refuse(ledger.CodeFee, "the fee is %v, and the sender has %v after all that waits: add %v to the account",
			tx.Fee, balance, tx.Fee-balance)
	}
	return nil
}

// makeRoom finds the transactions that leave for one of a rank: none if there is room and it pays the floor. Else as
// many leave as make its room, and all must rank lower by a step.
func (p *Pool) makeRoom(tx *Tx, rank price, txs, bytes int) (victims []*entry, ok bool) {
	if p.fits(txs, bytes) && tx.Fee >= p.floor(tx.Least) {
		return nil, true
	}
	last := func(l *lane) int { return len(l.entries) - 1 }
	walk(&p.cheapest, leavesBefore, last, -1, func(e *entry) bool {
		if e.Sender == tx.Sender || rank.times(tx.Weight) < displaces(e.rank, tx) {
			return false
		}
		victims = append(victims, e)
		txs, bytes = txs-1, bytes-len(e.Raw)
		ok = txs <= 0 && bytes <= 0
		return !ok
	})
	if !ok {
		return nil, false
	}
	return victims, true
}

// displaces returns the tip for which tx takes the place of one of a rank.
func displaces(rank price, tx *Tx) ledger.Amount {
	return add(rank.times(tx.Weight), max(tx.Least/stepPart, 1))
}

func (p *Pool) fits(txs, bytes int) bool {
	return len(p.byID)-len(p.free)+txs <= p.limits.Txs && p.bytes+bytes <= p.limits.Bytes
}

// Least returns the least fee for which a transaction like tx may come now, as far as one figure tells: the floor, or
// less if something cheaper can leave for it.
func (p *Pool) Least(tx *Tx) ledger.Amount {
	floor := p.floor(tx.Least)
	if len(p.cheapest.items) == 0 {
		return floor
	}
	place := add(tx.Least, displaces(p.dearestVictim(len(tx.Raw)), tx))
	if !p.fits(1, len(tx.Raw)) {
		return place
	}
	return min(floor, place)
}

// dearestVictim returns the rank of the last transaction that would have to leave for some bytes.
func (p *Pool) dearestVictim(bytes int) (rank price) {
	last := func(l *lane) int { return len(l.entries) - 1 }
	walk(&p.cheapest, leavesBefore, last, -1, func(e *entry) bool {
		rank = e.rank
		bytes -= len(e.Raw)
		return bytes > 0
	})
	return rank
}

// fullness returns the fullness in thousandths, of transactions or of bytes, whichever is more.
func (p *Pool) fullness() uint64 {
	txs := uint64(len(p.byID)-len(p.free)) * 1000 / uint64(p.limits.Txs)
	return min(1000, max(txs, uint64(p.bytes)*1000/uint64(p.limits.Bytes)))
}

// floor raises a least fee with the fullness: it doubles with each doubling above calm, and goes straight from one
// doubling to the next.
func (p *Pool) floor(least ledger.Amount) ledger.Amount {
	full := p.fullness()
	if full <= calm {
		return least
	}
	doublings, rest := (full-calm)/doubling, (full-calm)%doubling
	hi, lo := bits.Mul64(uint64(least)<<doublings, doubling+rest)
	if hi >= doubling || uint64(least)<<doublings>>doublings != uint64(least) {
		return most
	}
	fee, _ := bits.Div64(hi, lo, doubling)
	return ledger.Amount(fee)
}

// Best calls visit with waiting transactions as a block wants them, until it returns false: the free ones, then what
// ranks highest, each account's in the order of nonces.
func (p *Pool) Best(visit func(*Tx) bool) {
	free := slices.SortedFunc(maps.Values(p.free), func(a, b *entry) int { return cmp.Compare(a.seq, b.seq) })
	for _, e := range free {
		if !visit(e.Tx) {
			return
		}
	}
	walk(&p.dearest, servedBefore, func(*lane) int { return 0 }, 1, func(e *entry) bool { return visit(e.Tx) })
}

func add(a, b ledger.Amount) ledger.Amount {
	if a > most-b {
		return most
	}
	return a + b
}

func refuse(code ledger.Code, format string, args ...any) *ledger.OpError {
	return &ledger.OpError{Code: code, Op: -1, Text: fmt.Sprintf(format, args...)}
}

// pricedOut says what it takes.
func pricedOut(least ledger.Amount) *ledger.OpError {
	return &ledger.OpError{Code: ledger.CodeFee, Op: -1, Least: least,
		Text: fmt.Sprintf("priced out: the least fee is now %d FROST; raise it with walrus wallet bump", least)}
}

// Err returns what the sender of a transaction that has left hears; nil if a block may have it.
func (l *Left) Err() *ledger.OpError {
	switch l.Why {
	case PricedOut:
		return pricedOut(l.Least)
	case Expired:
		return refuse(ledger.CodeExpired, "it expired at height %d without getting into a block: sign it again", l.Tx.Expiry)
	case Replaced:
		return refuse(ledger.CodeNonce, "it was replaced by transaction %s, which pays more", l.By)
	case Unpayable:
		return refuse(ledger.CodeFee, "the account can no longer pay the fee of %v after its other transactions: add WAL to it",
			l.Tx.Fee)
	case Behind:
		return refuse(ledger.CodeNonce, "a transaction of this account before it has left: send that one again first")
	}
	return nil
}

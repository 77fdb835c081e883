package machine

import (
	"errors"
	"fmt"
	"math"
	"sync"

	"walrus/ledger"
	"walrus/ledger/mempool"
)

// Gate decides which transactions may wait for a block, and keeps them: it judges them by the state after the last
// block and the rules, and package mempool decides what is worth the room. It is safe for concurrent use.
type Gate struct {
	mu     sync.Mutex
	state  State         // guarded by mu, as all that follow
	params ledger.Params // of state
	epoch  uint32        // of state
	height uint64        // of the next block; 0 before the first Update
	rules  uint32        // version that the next block runs under
	pool   *mempool.Pool

	limits mempool.Limits // constant
}

// Taken is a transaction that waits.
type Taken = mempool.Tx

// Left is a transaction that no longer waits, and why.
type Left = mempool.Left

// NewGate makes a Gate that lets as much wait as limits allow, and nothing before the first Update.
func NewGate(limits mempool.Limits) *Gate { return &Gate{pool: mempool.New(limits), limits: limits} }

// Update tells of the state after a block, and of all its changes. It returns what no longer waits. After a state that
// does not follow on the last one, nothing waits.
func (g *Gate) Update(s State, height uint64, changes []Change) ([]Left, error) {
	params, err := ledger.ReadParams(s.Values)
	if err != nil {
		return nil, fmt.Errorf("admit transactions after block %d: %w", height, err)
	}
	epoch, err := ledger.ReadEpoch(s.Values)
	if err != nil {
		return nil, fmt.Errorf("admit transactions after block %d: %w", height, err)
	}
	now, err := ledger.ReadRules(s.Values)
	if err != nil {
		return nil, fmt.Errorf("admit transactions after block %d: %w", height, err)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if height != g.height {
		g.pool = mempool.New(g.limits)
	}
	newEpoch := epoch.Epoch != g.epoch
	g.rules = now.At(height + 1)
	g.state, g.params, g.epoch, g.height = s, params, epoch.Epoch, height+1
	var accounts []mempool.Account
	marks := false
	for i := range changes {
		switch key := changes[i].Key; key[0] {
		case letterAccount:
			var a ledger.Address
			if copy(a[:], key[1:]); !g.pool.Knows(a) {
				continue
			}
			account, err := ledger.ReadAccount(s.Values, a)
			if err != nil {
				return nil, fmt.Errorf("admit transactions after block %d: %w", height, err)
			}
			accounts = append(accounts, mempool.Account{Address: a, Balance: account.Balance, Nonce: account.Nonce})
		case letterBlobInfo:
			marks = true
		}
	}
	left := g.pool.Block(height+1, accounts)
	if marks || newEpoch {
		void, err := g.checkFree()
		if err != nil {
			return nil, fmt.Errorf("admit transactions after block %d: %w", height, err)
		}
		left = append(left, void...)
	}
	return left, nil
}

var (
	letterAccount  = ledger.KeyAccount(ledger.Address{})[0]
	letterBlobInfo = ledger.KeyBlobInfo([32]byte{})[0]
)

// Admit lets a transaction wait, or refuses it with a *ledger.OpError; any other error means that the state cannot be
// read. verified reports transactions whose signatures are known to be good; nil means none. relayed says that another
// node has let it wait. taken is nil if it waits already. left no longer waits.
func (g *Gate) Admit(raw []byte, verified func(ledger.TxID) bool, relayed bool) (taken *Taken, left []Left, err error) {
	id := ledger.HashTx(raw)
	if g.Has(id) {
		return nil, nil, nil
	}
	tx, err := ledger.UnmarshalTx(raw)
	if err != nil {
		return nil, nil, refuse(ledger.CodeFormat, "%v", err)
	}
	if err := g.fits(tx, len(raw)); err != nil {
		return nil, nil, err
	}
	signed := func() bool { return verified != nil && verified(id) || tx.Verify() == nil }
	t := &mempool.Tx{ID: id, Sender: tx.Sender.Address(), Nonce: tx.Nonce, Expiry: tx.Expiry, Fee: tx.Fee, Raw: raw}
	t.Blob, t.Free = tx.Free()
	var payer payer
	if _, err := g.admit(t, tx, &payer, relayed, false); err != nil { // cheap checks come before the signature
		return nil, nil, err
	}
	if t.Free {
		if err := g.judgeFree(tx, t.Blob, signed); err != nil { // without the lock: it takes long
			return nil, nil, err
		}
	} else if !signed() {
		return nil, nil, errSignature()
	}
	if left, err = g.admit(t, tx, &payer, relayed, true); err != nil {
		return nil, nil, err
	}
	return t, left, nil
}

// fits refuses a transaction that no block has room for, or that the next block's rules do not know.
func (g *Gate) fits(tx *ledger.Tx, size int) error {
	g.mu.Lock()
	started, work, refused := g.height > 0, g.params.Work(size, tx.Ops), g.state.Rules.checkKinds(tx, g.rules)
	g.mu.Unlock()
	if started && refused != nil {
		return refused
	}
	if work > ledger.MaxBlockWork {
		return refuse(ledger.CodeLimit, "it has %d units of work, and a block has at most %d: make several of it", work,
			ledger.MaxBlockWork)
	}
	return nil
}

// payer is a sender's account as read for a block.
type payer struct {
	mempool.Account
	height uint64 // of the next block; 0: not read
}

// admit checks all but the signature and a proof, and with keep lets the transaction wait. It reads the sender's
// account into a, once for each block.
func (g *Gate) admit(t *mempool.Tx, tx *ledger.Tx, a *payer, relayed, keep bool) ([]Left, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.height == 0 {
		return nil, errNotStarted
	}
	if refused := checkEnvelope(tx, g.state.Network, g.height); refused != nil {
		return nil, refused
	}
	size := len(t.Raw)
	t.Least, t.Spends = g.params.MinFee(size, tx.Ops), spends(tx, t.Sender, &g.params)
	t.Work, t.Weight = g.params.Work(size, tx.Ops), g.params.Weight(size, tx.Ops)
	if !t.Free && !g.pool.Knows(t.Sender) && a.height != g.height {
		read, err := ledger.ReadAccount(g.state.Values, t.Sender)
		if err != nil {
			return nil, err
		}
		*a = payer{mempool.Account{Address: t.Sender, Balance: read.Balance, Nonce: read.Nonce}, g.height}
	}
	if !keep {
		return nil, g.pool.Check(t, a.Account, relayed)
	}
	if g.pool.Has(t.ID) { // came twice at the same time
		return nil, nil
	}
	return g.pool.Arrive(t, a.Account, relayed)
}

var errNotStarted = errors.New("admit transaction: the ledger has not started yet")

// spends adds up the WAL that a transaction takes from its sender besides the fee, deposits included, as far as the
// operations tell. If the gate ignored it, one person could fill it for nothing: move the balance on to the next
// account, and leave transactions behind that can never pay.
func spends(tx *ledger.Tx, sender ledger.Address, p *ledger.Params) (sum ledger.Amount) {
	for _, op := range tx.Ops {
		if to, ok := op.(ledger.Transfer); ok && to.To == sender {
			continue
		}
		cost, err := ledger.OpCost(p, op)
		if err != nil {
			return math.MaxUint64
		}
		for _, amount := range []ledger.Amount{max(cost, ledger.OpOutlay(op, sender)), ledger.OpDeposit(p, op)} {
			if sum, err = sum.Add(amount); err != nil {
				return math.MaxUint64
			}
		}
	}
	return sum
}

// Has reports whether a transaction waits.
func (g *Gate) Has(id ledger.TxID) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.pool.Has(id)
}

// Best calls visit with waiting transactions, first what a block wants most, until it returns false. In the order of
// the calls those of one account are in the order of their nonces. visit must not use the gate.
func (g *Gate) Best(visit func(*Taken) bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.pool.Best(visit)
}

// Pending counts the transactions that wait, and their accounts.
func (g *Gate) Pending() (txs, accounts int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	txs, _, _ = g.pool.Size()
	return txs, g.pool.Accounts()
}

package machine

import (
	"errors"
	"fmt"
	"math"
	"sync"

	"walrus/ledger"
	"walrus/shards"
)

// MaxPending bounds the transactions of one account that wait for a block.
const MaxPending = 256

// Gate decides which transactions may wait for a block: those that would be valid in the next block, after all that
// wait already. It keeps no transactions, only about 100 bytes for each account that sent some. It is safe for
// concurrent use.
type Gate struct {
	limit int // constant

	mu      sync.Mutex
	state   State                    // guarded by mu, as all that follow
	params  ledger.Params            // of state
	height  uint64                   // of the next block; 0 before the first Update
	version uint32                   // of the next block's rules
	waiting map[ledger.Address]*lane // accounts with transactions that wait
	proofs  map[shards.BlobID]bool   // blobs about which a free transaction waits
	total   int                      // transactions that wait
}

// lane predicts a sender's account after its waiting transactions have paid their fees and outlays.
type lane struct {
	account ledger.Account
	count   int
}

// NewGate makes a Gate that lets at most limit transactions wait, and none before the first Update.
func NewGate(limit int) *Gate {
	return &Gate{limit: limit, waiting: make(map[ledger.Address]*lane), proofs: make(map[shards.BlobID]bool)}
}

// Update starts anew with the state after a block: nothing waits. The caller, who keeps the transactions, then admits
// them again in their order and drops any that are refused.
func (g *Gate) Update(s State, height uint64) error {
	params, err := ledger.ReadParams(s.Values)
	if err != nil {
		return fmt.Errorf("admit transactions after block %d: %w", height, err)
	}
	now, err := ledger.ReadRules(s.Values)
	if err != nil {
		return fmt.Errorf("admit transactions after block %d: %w", height, err)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.state, g.params, g.height, g.version = s, params, height+1, now.At(height+1)
	g.waiting, g.proofs, g.total = make(map[ledger.Address]*lane), make(map[shards.BlobID]bool), 0
	return nil
}

// Admit lets a transaction wait, or refuses it with a *ledger.OpError; any other error means that the state cannot be
// read. verified reports transactions whose signatures are known to be good; nil means none.
func (g *Gate) Admit(raw []byte, verified func(ledger.TxID) bool) (*ledger.Tx, ledger.TxID, error) {
	id := ledger.HashTx(raw)
	tx, err := ledger.UnmarshalTx(raw)
	if err != nil {
		return nil, id, refuse(ledger.CodeFormat, "%v", err)
	}
	if err := g.fits(tx, len(raw)); err != nil {
		return nil, id, err
	}
	signed := func() bool { return verified != nil && verified(id) || tx.Verify() == nil }
	if blob, free := tx.Free(); free {
		if err := g.admitFree(tx, blob, signed); err != nil {
			return nil, id, err
		}
		return tx, id, nil
	}
	if refused := g.admit(tx, len(raw), false); refused != nil { // cheap checks come before the signature
		return nil, id, refused
	}
	if !signed() {
		return nil, id, errSignature()
	}
	if refused := g.admit(tx, len(raw), true); refused != nil {
		return nil, id, refused
	}
	return tx, id, nil
}

// fits refuses a transaction that no block has room for, or that the next block's rules do not know.
func (g *Gate) fits(tx *ledger.Tx, size int) error {
	g.mu.Lock()
	started, work, refused := g.height > 0, g.params.Work(size, tx.Ops), g.state.Rules.checkKinds(tx, g.version)
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

// admit checks all but the signature, and with count lets the transaction wait.
func (g *Gate) admit(tx *ledger.Tx, size int, count bool) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.height == 0 {
		return errNotStarted
	}
	if refused := checkEnvelope(tx, g.state.Network, g.height); refused != nil {
		return refused
	}
	sender := tx.Sender.Address()
	l := g.waiting[sender]
	if l == nil {
		a, err := ledger.ReadAccount(g.state.Values, sender)
		if err != nil {
			return err
		}
		l = &lane{account: a}
	}
	if refused := checkPayer(tx, size, l.account, &g.params); refused != nil {
		return refused
	}
	if l.count >= MaxPending {
		return refuse(ledger.CodeLimit, "%d transactions of this account are pending, the most allowed: wait until a block has some of them", l.count)
	}
	if err := g.roomForOne(); err != nil {
		return err
	}
	if count {
		l.account.Balance -= tx.Fee
		l.account.Balance -= min(l.account.Balance, outlay(tx, sender))
		l.account.Nonce++
		l.count++
		g.total++
		g.waiting[sender] = l
	}
	return nil
}

var errNotStarted = errors.New("admit transaction: the ledger has not started yet")

// roomForOne reports whether one more transaction may wait. The caller holds mu.
func (g *Gate) roomForOne() error {
	if g.total >= g.limit {
		return refuse(ledger.CodeLimit, "%d transactions are pending, the most this node keeps: try again later", g.total)
	}
	return nil
}

// outlay adds up the WAL that a transaction gives away. If the gate ignored it, one person could fill the gate for
// nothing: move the balance on to the next account, and leave transactions behind that can never pay.
func outlay(tx *ledger.Tx, sender ledger.Address) (sum ledger.Amount) {
	for _, op := range tx.Ops {
		amount := ledger.OpOutlay(op, sender)
		if amount > math.MaxUint64-sum {
			return math.MaxUint64
		}
		sum += amount
	}
	return sum
}

// Pending counts the transactions that wait, and their accounts.
func (g *Gate) Pending() (txs, accounts int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.total, len(g.waiting)
}

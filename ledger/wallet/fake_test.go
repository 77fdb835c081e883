package wallet

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"walrus/ledger"
)

const blockTime = 50 * time.Millisecond

// fakeChain is a ledger in memory with one account. It admits a transaction whose nonce follows those of the waiting
// ones, and commits all waiting ones in one block each blockTime.
type fakeChain struct {
	t testing.TB

	mu        sync.Mutex
	rand      *rand.Rand // guarded by mu, as are all below
	head      Head
	waiting   []*ledger.Tx
	block     chan struct{} // closed with the next block; nil while nothing waits
	receipts  map[ledger.TxID]ledger.Receipt
	committed []*ledger.Tx
	reads     int  // calls of Head
	sent      int  // calls of Submit
	forgets   bool // no longer knows which transaction used which nonce

	caughtUp *Head // nil, or the head after CatchUp

	gate    chan struct{}                  // nil, or closed when transactions may arrive
	delay   time.Duration                  // transactions arrive late by up to this
	refuse  func(*ledger.Tx) error         // called before anything else
	after   func(*ledger.Tx) error         // its error replaces the receipt
	execute func(*ledger.Tx) ledger.Result // nil: every transaction succeeds
}

func newChain(t testing.TB, balance ledger.Amount) *fakeChain {
	return &fakeChain{
		t: t, rand: rand.New(rand.NewPCG(1, 2)), receipts: make(map[ledger.TxID]ledger.Receipt),
		head: Head{
			Network: [32]byte{9}, Height: 100, Account: ledger.Account{Balance: balance, Nonce: 5},
			Params: ledger.Params{Shards: 10, StoragePrice: 100_000, WritePrice: 20_000, FeeTx: 1000, FeeByte: 10},
		},
	}
}

func (c *fakeChain) Head(ctx context.Context, _ ledger.Address) (Head, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reads++
	return c.head, ctx.Err()
}

func (c *fakeChain) CatchUp(context.Context) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.caughtUp != nil {
		c.head = *c.caughtUp
	}
}

func (c *fakeChain) Used(_ context.Context, _ ledger.Address, nonce uint64) (ledger.Receipt, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, tx := range c.committed {
		if tx.Nonce == nonce && !c.forgets {
			return c.receipts[tx.ID()], nil
		}
	}
	if c.forgets || nonce >= c.head.Account.Nonce {
		return ledger.Receipt{}, ledger.ErrNotFound
	}
	return ledger.Receipt{ID: ledger.TxID{1}}, nil // another payer's
}

func (c *fakeChain) Submit(ctx context.Context, tx *ledger.Tx) (ledger.Receipt, error) {
	if err := tx.Verify(); err != nil {
		c.t.Errorf("submitted: %v", err)
	}
	c.mu.Lock()
	c.sent++
	gate := c.gate
	var late time.Duration
	if c.delay > 0 {
		late = time.Duration(c.rand.Int64N(int64(c.delay)))
	}
	c.mu.Unlock()
	if gate != nil {
		<-gate
	}
	if late > 0 {
		<-time.After(late)
	}
	block, err := c.admit(tx)
	if err != nil {
		return ledger.Receipt{}, err
	}
	select {
	case <-block:
	case <-ctx.Done():
		return ledger.Receipt{}, ctx.Err()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.after != nil {
		if err := c.after(tx); err != nil {
			return ledger.Receipt{}, err
		}
	}
	return c.receipts[tx.ID()], nil
}

func refusedFor(code ledger.Code) error {
	return &ledger.OpError{Code: code, Op: -1, Text: "refused: " + code.String()}
}

func (c *fakeChain) admit(tx *ledger.Tx) (block chan struct{}, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.refuse != nil {
		if err := c.refuse(tx); err != nil {
			return nil, err
		}
	}
	switch {
	case tx.Network != c.head.Network:
		return nil, refusedFor(ledger.CodeNetwork)
	case tx.Nonce != c.head.Account.Nonce+uint64(len(c.waiting)):
		return nil, refusedFor(ledger.CodeNonce)
	case tx.Expiry <= c.head.Height:
		return nil, refusedFor(ledger.CodeExpired)
	case tx.Fee < c.head.Params.MinFee(len(tx.Marshal()), tx.Ops):
		return nil, refusedFor(ledger.CodeFee)
	}
	c.waiting = append(c.waiting, tx)
	if c.block == nil {
		c.block = make(chan struct{})
		time.AfterFunc(blockTime, c.commit)
	}
	return c.block, nil
}

func (c *fakeChain) commit() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.head.Height++
	for i, tx := range c.waiting {
		result := ledger.Result{Op: -1, Fee: tx.Fee, Spent: tx.Fee}
		for _, op := range tx.Ops {
			if o, ok := op.(ledger.Transfer); ok {
				result.Events = append(result.Events, ledger.Event{Kind: ledger.EventTransferred, To: o.To, Amount: o.Amount})
			}
		}
		if c.execute != nil {
			result = c.execute(tx)
		}
		if spent, err := Cost(&c.head.Params, tx.Ops); err == nil && result.Code == ledger.CodeOK {
			result.Spent += spent
		}
		c.head.Account.Nonce++
		left, err := c.head.Account.Balance.Sub(result.Spent)
		if err != nil {
			c.t.Errorf("transaction %d of block %d: %v", i, c.head.Height, err)
		}
		c.head.Account.Balance = left
		c.receipts[tx.ID()] = ledger.Receipt{ID: tx.ID(), Height: c.head.Height, Index: uint32(i), Result: result}
		c.committed = append(c.committed, tx)
	}
	c.waiting = nil
	close(c.block)
	c.block = nil
}

// change does something to the chain.
func (c *fakeChain) change(f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f()
}

// once returns a function that fails only on its first call.
func once(err error) func(*ledger.Tx) error {
	return func(*ledger.Tx) error {
		first := err
		err = nil
		return first
	}
}

var errDown = errors.New("nobody is there")

package engine

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"sync"

	abci "github.com/cometbft/cometbft/abci/types"

	"walrus/ledger"
	"walrus/ledger/machine"
)

// counter is an application that keeps its transactions, each once, in order. It survives a restart of its node.
type counter struct {
	abci.BaseApplication

	mu      sync.Mutex
	height  int64
	txs     []string
	next    []string // of the block being finalized
	waiting []string
	changed chan struct{} // closed at every commit
	broken  error         // returned by FinalizeBlock; guarded by mu
	look    func(int64)   // called with a block's height before it is applied; guarded by mu
	fork    string        // added to the state's hash
}

func newCounter() *counter { return &counter{changed: make(chan struct{})} }

func (c *counter) hash(txs []string) []byte {
	h := sha256.New()
	h.Write([]byte(c.fork))
	for _, tx := range txs {
		h.Write(binary.BigEndian.AppendUint32(nil, uint32(len(tx))))
		h.Write([]byte(tx))
	}
	return h.Sum(nil)
}

func (c *counter) Info(context.Context, *abci.RequestInfo) (*abci.ResponseInfo, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return &abci.ResponseInfo{AppVersion: 1, LastBlockHeight: c.height, LastBlockAppHash: c.hash(c.txs)}, nil
}

func (c *counter) InitChain(context.Context, *abci.RequestInitChain) (*abci.ResponseInitChain, error) {
	return &abci.ResponseInitChain{AppHash: c.hash(nil)}, nil
}

// CheckTx answers whether anything waits, as app.App does.
func (c *counter) CheckTx(_ context.Context, r *abci.RequestCheckTx) (*abci.ResponseCheckTx, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.waiting) == 0 {
		return &abci.ResponseCheckTx{Code: 1}, nil
	}
	return &abci.ResponseCheckTx{}, nil
}

// Offer implements pool.
func (c *counter) Offer(raw []byte, _ bool) (*machine.Taken, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if slices.Contains(c.waiting, string(raw)) || slices.Contains(c.txs, string(raw)) {
		return nil, nil
	}
	c.waiting = append(c.waiting, string(raw))
	return &machine.Taken{ID: ledger.HashTx(raw), Raw: raw}, nil
}

// Waiting implements pool.
func (c *counter) Waiting(visit func(*machine.Taken) bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, tx := range c.waiting {
		if !visit(&machine.Taken{ID: ledger.HashTx([]byte(tx)), Raw: []byte(tx)}) {
			return
		}
	}
}

func (c *counter) PrepareProposal(context.Context,
	*abci.RequestPrepareProposal) (*abci.ResponsePrepareProposal, error) {
	res := &abci.ResponsePrepareProposal{}
	c.Waiting(func(t *machine.Taken) bool { res.Txs = append(res.Txs, t.Raw); return true })
	return res, nil
}

func (c *counter) FinalizeBlock(_ context.Context, r *abci.RequestFinalizeBlock) (*abci.ResponseFinalizeBlock, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.broken != nil {
		return nil, c.broken
	}
	if c.look != nil {
		c.look(r.Height)
	}
	c.next = slices.Clone(c.txs)
	res := &abci.ResponseFinalizeBlock{}
	for _, tx := range r.Txs {
		c.next = append(c.next, string(tx))
		res.TxResults = append(res.TxResults, &abci.ExecTxResult{})
	}
	res.AppHash = c.hash(c.next)
	c.height = r.Height
	return res, nil
}

func (c *counter) Commit(context.Context, *abci.RequestCommit) (*abci.ResponseCommit, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.txs = c.next
	c.waiting = slices.DeleteFunc(c.waiting, func(tx string) bool { return slices.Contains(c.txs, tx) })
	close(c.changed)
	c.changed = make(chan struct{})
	return &abci.ResponseCommit{}, nil
}

// at returns the height, the transactions, and a channel that is closed at the next change.
func (c *counter) at() (int64, []string, <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.height, c.txs, c.changed
}

// lookWith sets a function that is called before each block; nil for none.
func (c *counter) lookWith(f func(height int64)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.look = f
}

// breakWith makes it fail at the next block; nil repairs it.
func (c *counter) breakWith(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.broken = err
}

package engine

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"slices"
	"sync"

	abci "github.com/cometbft/cometbft/abci/types"
)

// counter is an application that keeps its transactions, each once, in order. It survives a restart of its node.
type counter struct {
	abci.BaseApplication

	mu      sync.Mutex
	height  int64
	txs     []string
	next    []string      // of the block being finalized
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

func (c *counter) CheckTx(_ context.Context, r *abci.RequestCheckTx) (*abci.ResponseCheckTx, error) {
	if len(r.Tx) == 0 {
		return nil, errors.New("an empty transaction breaks the counter")
	}
	return &abci.ResponseCheckTx{}, nil
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

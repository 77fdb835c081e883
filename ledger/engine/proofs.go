package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"

	abci "github.com/cometbft/cometbft/abci/types"
	"github.com/cometbft/cometbft/crypto/merkle"
	"github.com/cometbft/cometbft/types"

	"walrus/ledger"
	"walrus/ledger/engine/app"
	"walrus/ledger/light"
)

// keptProofs is the number of blocks whose proofs are kept: 3 MB for a full one.
const keptProofs = 4

// proofs makes provenBlocks, one at a time, and keeps those used last. A full block takes some 10 ms and is needed once
// for each of its transactions.
type proofs struct {
	turn   chan struct{}  // holds one while a goroutine uses blocks
	blocks []*provenBlock // guarded by turn; the last used is last
}

func newProofs() *proofs { return &proofs{turn: make(chan struct{}, 1)} }

// of returns the block at a height. Errors wrap light.ErrBehind while the next header is missing, and
// light.ErrPruned.
func (p *proofs) of(ctx context.Context, c *chain, a *app.App, height int64) (*provenBlock, error) {
	select {
	case p.turn <- struct{}{}:
		defer func() { <-p.turn }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if err := ctx.Err(); err != nil { // nobody is waiting for the answer
		return nil, err
	}
	if i := slices.IndexFunc(p.blocks, func(b *provenBlock) bool { return b.block.Height == height }); i >= 0 {
		b := p.blocks[i]
		p.blocks = append(slices.Delete(p.blocks, i, i+1), b)
		return b, nil
	}
	b, err := c.proveBlock(a, height)
	if err != nil {
		return nil, err
	}
	if len(p.blocks) == keptProofs {
		p.blocks = slices.Delete(p.blocks, 0, 1)
	}
	p.blocks = append(p.blocks, b)
	return b, nil
}

// provenBlock is a block with the proofs of all its transactions and results. It does not change.
type provenBlock struct {
	block  *types.Block
	next   *types.LightBlock // the next header, which has the hash of the results
	inData []*merkle.Proof   // for each transaction
	inNext []*merkle.Proof   // for each result
}

// proveBlock reads the block at a height and makes all its proofs.
func (c *chain) proveBlock(a *app.App, height int64) (*provenBlock, error) {
	next, err := c.lightBlock(height + 1)
	if err != nil {
		return nil, err
	}
	block := c.node.BlockStore().LoadBlock(height)
	log, err := a.Blocks(uint64(height), 1)
	if block == nil || errors.Is(err, ErrPruned) {
		return nil, fmt.Errorf("block %d: %w", height, light.ErrPruned)
	}
	if err != nil {
		return nil, fmt.Errorf("read results of block %d: %w", height, err)
	}
	if len(log) == 0 || log[0].Height != uint64(height) {
		return nil, fmt.Errorf("results of block %d: %w", height, light.ErrBehind)
	}
	b := &provenBlock{block: block, next: next}
	if b.inData, b.inNext, err = prove(block.Txs, results(log[0].Receipts)); err != nil {
		return nil, fmt.Errorf("make the proofs of block %d: %w", height, err)
	}
	return b, nil
}

// results returns the results that were agreed on, from the receipts of a block.
func results(receipts []ledger.Receipt) []*abci.ExecTxResult {
	list := make([]*abci.ExecTxResult, len(receipts))
	for i, r := range receipts {
		list[i] = app.Agreed(r.Result)
	}
	return list
}

// prove makes the proofs of each transaction and of each result, against the hashes in headers.
func prove(txs types.Txs, results []*abci.ExecTxResult) (inData, inNext []*merkle.Proof, err error) {
	if len(txs) != len(results) {
		return nil, nil, fmt.Errorf("%d transactions have %d results", len(txs), len(results))
	}
	leaves := make([][]byte, len(txs))
	for i, tx := range txs {
		leaves[i] = tx.Hash()
	}
	_, inData = merkle.ProofsFromByteSlices(leaves)
	for i, r := range types.NewResults(results) {
		if leaves[i], err = r.Marshal(); err != nil {
			return nil, nil, err
		}
	}
	_, inNext = merkle.ProofsFromByteSlices(leaves)
	return inData, inNext, nil
}

// include returns a receipt with its proofs.
func (b *provenBlock) include(r ledger.Receipt) (*light.Inclusion, error) {
	i := int(r.Index)
	if i >= len(b.inData) {
		return nil, fmt.Errorf("block %d has no transaction %d, but a receipt names it", b.block.Height, i)
	}
	return &light.Inclusion{
		Tx: b.block.Txs[i], Receipt: r, Header: &b.block.Header, Next: b.next, Total: int64(len(b.inData)),
		InData: b.inData[i].Aunts, InNext: b.inNext[i].Aunts,
	}, nil
}

package light

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync/atomic"

	abci "github.com/cometbft/cometbft/abci/types"
	cmtmerkle "github.com/cometbft/cometbft/crypto/merkle"
	"github.com/libp2p/go-libp2p/core/peer"

	"walrus/ledger"
)

// ResultOf returns the part of a result that the block's results hash covers.
func ResultOf(r *ledger.Result) *abci.ExecTxResult {
	return &abci.ExecTxResult{Code: uint32(r.Code), Data: r.Agreed()}
}

// prove verifies an inclusion from a node: a signed block contains the transaction, and the nodes have agreed on
// everything in its receipt but the log.
func (c *Client) prove(ctx context.Context, from peer.ID, i *Inclusion) error {
	r, h, next := &i.Receipt, i.Header, i.Next
	switch {
	case ledger.HashTx(i.Tx) != r.ID:
		return wrong("the receipt of transaction %s came with a different transaction", r.ID)
	case h.ValidateBasic() != nil:
		return wrong("the header of the block of transaction %s is malformed", r.ID)
	case r.Height != uint64(h.Height) || r.Time != h.Time.UnixNano():
		return wrong("the receipt of transaction %s names height %d and time %d, but its block has height %d and time %d",
			r.ID,
			r.Height, r.Time, h.Height, h.Time.UnixNano())
	case next.Height != h.Height+1 || len(h.Hash()) == 0 || string(next.LastBlockID.Hash) != string(h.Hash()):
		return wrong("block %d does not follow block %d, in which transaction %s should be", next.Height, h.Height, r.ID)
	}
	if err := c.verify(ctx, from, next); err != nil {
		return err
	}
	tx := sha256.Sum256(i.Tx)
	if err := i.path(i.InData, h.DataHash, tx[:]); err != nil {
		return wrong("transaction %s is not in block %d: %w", r.ID, h.Height, err)
	}
	result, err := ResultOf(&r.Result).Marshal()
	if err != nil {
		return wrong("the result of transaction %s: %w", r.ID, err)
	}
	if err := i.path(i.InNext, next.LastResultsHash, result); err != nil {
		return wrong("the result of transaction %s is not the agreed one: %w", r.ID, err)
	}
	return nil
}

// path checks the hashes from the transaction, or its result, to the root over all of them in the block.
func (i *Inclusion) path(aunts [][]byte, root, leaf []byte) error {
	sum := sha256.Sum256(append([]byte{0}, leaf...)) // a zero byte precedes a leaf
	p := cmtmerkle.Proof{Total: i.Total, Index: int64(i.Receipt.Index), LeafHash: sum[:], Aunts: aunts}
	if len(root) == 0 {
		return errors.New("the header has no hash")
	}
	return p.Verify(root, leaf)
}

// Receipt asks for the receipt of a transaction. If no node has one, and nodes with more than a third of the shards say
// so, the error wraps ledger.ErrNotFound: not all of them lie. It wraps ErrPending, too, because the transaction may
// still be committed until it expires. With fewer answers it wraps ErrPending alone.
func (c *Client) Receipt(ctx context.Context, id ledger.TxID) (ledger.Receipt, error) {
	i, err := c.inclusion(ctx, id)
	if err != nil {
		return ledger.Receipt{}, err
	}
	return i.Receipt, nil
}

func (c *Client) inclusion(ctx context.Context, id ledger.TxID) (*Inclusion, error) {
	var none atomic.Int64 // shards of nodes that have no receipt
	i, err := first(ctx, c, func(ctx context.Context, node peer.ID) (*Inclusion, error) {
		i, err := c.receiptFrom(ctx, node, receiptProtocol, id, &receiptRequest{ID: id})
		if errors.Is(err, ErrPending) {
			none.Add(int64(c.shards[node]))
		}
		return i, err
	})
	switch {
	case errors.Is(err, ErrPending) && 3*none.Load() > int64(c.cfg.Genesis.Shards):
		return nil, fmt.Errorf("look up transaction %s: %w: %w", id, ledger.ErrNotFound, err)
	case err != nil:
		return nil, fmt.Errorf("look up transaction %s: %w", id, err)
	}
	c.raise(i.Receipt.Height)
	return i, nil
}

// Transaction returns a committed transaction and its receipt, with the same errors as Receipt.
func (c *Client) Transaction(ctx context.Context, id ledger.TxID) (*Entry, error) {
	i, err := c.inclusion(ctx, id)
	if err != nil {
		return nil, err
	}
	tx, err := ledger.UnmarshalTx(i.Tx)
	if err != nil { // cannot happen: a signed block has it, with effect
		return nil, fmt.Errorf("look up transaction %s: %w", id, err)
	}
	return &Entry{i.Receipt, tx}, nil
}

// receiptFrom sends one node a request that is answered with a receipt.
func (c *Client) receiptFrom(ctx context.Context, node peer.ID, protocol string, id ledger.TxID,
	m message) (*Inclusion, error) {
	i := new(Inclusion)
	if err := c.calls.ask(ctx, node, protocol, m, i); err != nil {
		return nil, err
	}
	if i.Receipt.ID != id {
		return nil, wrong("asked for transaction %s, it gave transaction %s", id, i.Receipt.ID)
	}
	if err := c.prove(ctx, node, i); err != nil {
		return nil, err
	}
	if !i.Receipt.Effective() {
		return nil, fmt.Errorf("%w: block %d includes it without effect: %s", ErrPending, i.Receipt.Height, i.Receipt.Code)
	}
	return i, nil
}

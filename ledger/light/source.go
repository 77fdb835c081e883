package light

import (
	"context"
	"errors"

	abci "github.com/cometbft/cometbft/abci/types"
	cmtmerkle "github.com/cometbft/cometbft/crypto/merkle"
	"github.com/cometbft/cometbft/types"

	"walrus/ledger"
	"walrus/ledger/merkle"
)

// Source is a node's ledger as clients may see it. Its methods are called concurrently and return soon after their
// context has ended. They return errors that wrap those named here, ErrUnavailable if the node is not ready, or the
// context's; others are told to nobody but the node's own log.
type Source interface {
	Blocks
	States
	Snapshots
	// Trouble is why the ledger stands still as far as the node knows, for people; empty when all is well.
	Trouble() string
}

// Blocks are the chain and the way into it.
type Blocks interface {
	// LightBlock is the header at a height with the signatures of its validators; at 0 the latest that is signed.
	//   ErrBehind  the chain is not there yet
	//   ErrPruned  it is kept no more
	LightBlock(ctx context.Context, height uint64) (*types.LightBlock, error)
	// Submit hands a transaction over for a block. It succeeds as well when the node has it already, waiting or committed.
	//   *ledger.OpError  it is refused
	//   ErrBusy          too many wait
	Submit(ctx context.Context, tx []byte) error
	// Receipt waits until a transaction is committed with effect and the header after it is signed.
	//   ctx.Err()  it was not until then
	//   ErrPruned  it was, and its block is kept no more
	Receipt(ctx context.Context, id ledger.TxID) (*Inclusion, error)
	// History is the committed transactions in which an account had a part: those it sent and those with an event from or to
	// it, or, of the zero address, all transactions; without those that had no effect and those after which no header is signed yet. The newest come first: at most
	// limit, all before a position. Fewer than limit, or none, mean that the node has no more; it has all there were from
	// the height oldest on.
	History(ctx context.Context, account ledger.Address, before Position, limit int) (page []Inclusion, oldest uint64, err error)
}

// States are what the chain has come to.
type States interface {
	// Read proves what the newest state that a signed header vouches for has at some keys, in their order. It waits until
	// the height of that state is at least atLeast.
	//   ErrBehind  it was not before ctx ended
	Read(ctx context.Context, atLeast uint64, keys [][]byte) (*Reading, error)
	// Objects are what an account owns in the state that Read would prove now, ascending by ID, at most limit of those after
	// one. Fewer than limit, or none, are the last.
	Objects(ctx context.Context, owner ledger.Address, after ledger.ObjectID, limit int) ([]Object, error)
}

// Snapshots are whole states for nodes that join. The headers two above a snapshot's height are signed.
type Snapshots interface {
	// Snapshots that the node has, the newest first, at most MaxSnapshots.
	Snapshots(ctx context.Context) ([]Snapshot, error)
	// SnapshotPart is a part of one, at most MaxSnapshotPart bytes.
	//   ledger.ErrNotFound  there is no such snapshot or part
	SnapshotPart(ctx context.Context, height uint64, part uint32) ([]byte, error)
}

// Reading is the values of some keys at a height, and why they are to be believed. Nothing in it may be changed.
type Reading struct {
	Height uint64            // of the state
	Block  *types.LightBlock // at Height+1: its header has the state's root
	Items  []Item            // in the order of the keys
}

// Item is the value of a key.
type Item struct {
	Value []byte // nil if the key is absent
	Proof merkle.Proof
}

// Position is a place in the chain; the zero Position is after everything.
type Position struct {
	Height uint64
	Index  uint32 // of the transaction in the block
}

// Inclusion is a committed transaction and why its receipt is to be believed.
type Inclusion struct {
	Tx      []byte            // binary form
	Receipt ledger.Receipt    //
	Header  *types.Header     // of the block it is in; its data hash has the transaction
	Next    *types.LightBlock // the block after: it has Header's hash, and that of the results
	Total   int64             // transactions in the block
	InData  [][]byte          // from the transaction to the data hash
	InNext  [][]byte          // from the result to the results' hash
}

// Include makes the Inclusion of the transaction that receipt tells about, from its block with the results and the
// header after.
func Include(block *types.Block, results []*abci.ExecTxResult, next *types.LightBlock, receipt ledger.Receipt) (*Inclusion, error) {
	i := int(receipt.Index)
	if i >= len(block.Txs) || len(results) != len(block.Txs) {
		return nil, errors.New("prove receipt: block, results and receipt do not belong together")
	}
	return &Inclusion{
		Tx: block.Txs[i], Receipt: receipt, Header: &block.Header, Next: next, Total: int64(len(results)),
		InData: aunts(block.Txs.Proof(i).Proof), InNext: aunts(types.NewResults(results).ProveResult(i)),
	}, nil
}

func aunts(p cmtmerkle.Proof) [][]byte { return p.Aunts }

// Object is something that an account owns.
type Object struct {
	ID   ledger.ObjectID
	Blob bool // a blob's record; otherwise a storage resource
}

// key is where the object is in the state.
func (o Object) key() []byte {
	if o.Blob {
		return ledger.KeyBlob(o.ID)
	}
	return ledger.KeyStorage(o.ID)
}

// Snapshot is a whole state at a height, in parts.
type Snapshot struct {
	Height uint64
	Parts  uint32
	Header []byte // what is needed to check the parts; at most MaxSnapshotHeader bytes
}

package light

import (
	"context"

	"github.com/cometbft/cometbft/types"

	"walrus/ledger"
	"walrus/ledger/merkle"
)

// Source is a node's ledger, as served to clients. Its methods are called concurrently and return soon after their
// context has ended. Errors wrap those named here, ErrUnavailable if the node is not ready, or the context's error.
// Other errors go only to the node's own log. Together it has ten methods, one for each protocol and Trouble: a node
// answers all protocols or none.
type Source interface {
	Blocks
	States
	Snapshots
	// Trouble explains, for people, why this node considers the ledger stalled; empty if it does not.
	Trouble() string
}

// Blocks gives access to the chain, and takes transactions.
type Blocks interface {
	// LightBlock returns the header at a height with its validators and their signatures; at height 0 the latest
	// signed one.
	//   ErrBehind  the chain has not reached the height
	//   ErrPruned  the height has been pruned
	LightBlock(ctx context.Context, height uint64) (*types.LightBlock, error)
	// Handovers returns the signed headers above a height that name other validators for the next block than their own,
	// ascending: at most limit, none left out in between.
	//   ErrPruned  some of them, from that height on, have been pruned
	Handovers(ctx context.Context, after uint64, limit int) ([]*types.LightBlock, error)
	// Submit queues a transaction for a block. It also succeeds if the node has it already, queued or committed.
	//   *ledger.OpError  it is refused
	//   ErrBusy          too many are waiting
	Submit(ctx context.Context, tx []byte) error
	// Receipt waits until a transaction is committed with effect and the next header is signed.
	//   ctx.Err()  it did not happen in time
	//   ErrPruned  it did, but the block has been pruned
	Receipt(ctx context.Context, id ledger.TxID) (*Inclusion, error)
	// History returns the committed transactions that concern a subject, as ledger.Result.Subjects has it. It leaves
	// out transactions without effect, and transactions whose next header is not signed yet. The newest come first: at most limit, all before a position.
	// If there are fewer than limit, the node has no more. It has all from the height oldest on.
	History(ctx context.Context, about ledger.Subject, before Position, limit int) (page []Inclusion,
		oldest uint64, err error)
}

// States gives access to the state.
type States interface {
	// Read proves values of a state that a signed header proves, in the order of keys. It waits for that state.
	//   ErrBehind  that did not happen before ctx ended
	//   ErrPruned  the state of an exact height is no longer kept
	Read(ctx context.Context, at At, keys [][]byte) (*Reading, error)
	// Objects lists the objects of a list at a height, ascending by ID: at most limit, after one. If there are fewer
	// than limit, they are the last.
	//   ErrPruned  the state of that height is no longer kept
	Objects(ctx context.Context, l Listing, after ledger.ObjectID, limit int) ([]Object, error)
}

// Snapshots gives access to whole states, for joining nodes. The headers at the two heights after a snapshot's are
// signed.
type Snapshots interface {
	// Snapshots returns the heights whose state the node serves in ranges, the newest first, at most MaxSnapshots.
	Snapshots(ctx context.Context) ([]uint64, error)
	// Range returns the pairs of the state at such a height with paths between first and last: all of them, or the
	// first, as many as limit bytes hold and at least one.
	//   ledger.ErrNotFound  the node does not serve this height, or no longer
	Range(ctx context.Context, height uint64, first, last merkle.Hash, limit int) (*Range, error)
}

// At says which state to read, and how much of its tree.
type At struct {
	Height uint64
	Exact  bool  // at that height; false: the newest, at least at that height
	Top    uint8 // depth of the tree's top to send along, at most merkle.MaxTopDepth; 0: none
}

// Listing names a list of objects.
type Listing struct {
	Account ledger.Address
	Offers  bool   // the objects offered to the account, expired offers included; false: those it owns
	Height  uint64 // of the state; 0: the newest that Read would prove
}

// Reading holds the values of some keys at a height, with proofs. Do not modify it.
type Reading struct {
	Height uint64            // of the state
	Block  *types.LightBlock // at Height+1: its header has the state's root
	Items  []Item            // in the order of the keys
	Top    []byte            // of the tree, see merkle.Tree.Top; empty unless asked for
}

// Item is the value of a key with its proof.
type Item struct {
	Value []byte // nil if the key is absent
	Proof merkle.Proof
}

// Position is a place in the chain; the zero Position is after the newest.
type Position struct {
	Height uint64
	Index  uint32 // of the transaction in its block
}

// Inclusion is a committed transaction with its receipt and their proofs.
type Inclusion struct {
	Tx      []byte            // binary form
	Receipt ledger.Receipt    // of Tx
	Header  *types.Header     // of the block it is in; its data hash has the transaction
	Next    *types.LightBlock // the next block: it has Header's hash and the results' hash
	Total   int64             // transactions in the block
	InData  [][]byte          // from the transaction to the data hash
	InNext  [][]byte          // from the result to the results' hash
}

// Object names an object that an account owns.
type Object struct {
	ID   ledger.ObjectID
	Blob bool // a blob's record; false: a storage resource
}

// key returns the object's key in the state.
func (o Object) key() []byte {
	if o.Blob {
		return ledger.KeyBlob(o.ID)
	}
	return ledger.KeyStorage(o.ID)
}

// Package light lets peers without a chain use the ledger. A client follows block headers from a point it trusts, by
// default the genesis. It reads values, absence and receipts with proofs from any node, and detects and names a node
// that lies. A node answers from its own ledger, through the interface Source.
//
// A client believes only what two thirds of the shards have signed. A signed header has the state's root, which proves
// values, and the hash of its block's data, which proves transactions; the next header has the hash of their results. A
// node can still stay silent: the client then asks another. Or it can show an old state, but none older than the
// heartbeat of the chain allows.
//
// Start with New on a client and Serve on a node.
package light

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

var (
	// ErrLied reports an answer that its proofs or the protocol contradict. The error is a *Lie, or lists some.
	ErrLied = errors.New("node lied")
	// ErrStalled reports that no node has a block as new as the chain's heartbeat demands.
	ErrStalled = errors.New("the ledger is stalled")
	// ErrBehind reports that no node that answered has reached the requested height.
	ErrBehind = errors.New("height not reached yet")
	// ErrUnavailable reports that no node answered.
	ErrUnavailable = errors.New("no answer")
	// ErrPruned reports a height that the node has pruned.
	ErrPruned = errors.New("no longer kept")
	// ErrClock reports that this machine's clock is wrong.
	ErrClock = errors.New("clock is wrong")
	// ErrPending reports that a transaction was submitted but its fate is unknown: submit the same one again, or ask
	// for its receipt.
	ErrPending = errors.New("not known to be committed")
	// ErrChanging reports that the listed objects changed during every attempt: ask again.
	ErrChanging = errors.New("changes while it is read")
	// ErrBusy reports that a node, or its share for one peer, is at its limit.
	ErrBusy = errors.New("busy")
	// ErrRequest reports a request that the node considers invalid.
	ErrRequest = errors.New("bad request")
)

// Lie is an answer that is provably false. It wraps ErrLied.
type Lie struct {
	Node peer.ID
	Name string // of the node in the genesis; empty if it is not there
	What error  // what was wrong with the answer
}

// Error describes the error for people.
func (l *Lie) Error() string { return fmt.Sprintf("%s lied: %v", nodeName(l.Node, l.Name), l.What) }

// Unwrap makes errors.Is(err, ErrLied) true.
func (l *Lie) Unwrap() []error { return []error{ErrLied, l.What} }

func nodeName(id peer.ID, name string) string {
	if name == "" {
		return "node " + id.String()
	}
	return fmt.Sprintf("node %s (%s)", name, id)
}

// troubledAfter is the greatest age of a node's latest header if the node reports a stall. Its word is no proof, so
// other nodes are asked too, but only for as long as it takes to see that they all report it.
const troubledAfter = 30 * time.Second

// clockSkew is the greatest offset between the clocks of this machine and of the nodes.
const clockSkew = 10 * time.Second

// failures joins the errors of several nodes on one line.
type failures []error

func (f failures) Error() string {
	texts := make([]string, len(f))
	for i, err := range f {
		texts[i] = err.Error()
	}
	return strings.Join(texts, "; ")
}

func (f failures) Unwrap() []error { return f }

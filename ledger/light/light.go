// Package light lets peers without a chain use the ledger. A client follows block headers from a point it trusts, the
// genesis unless told otherwise, and reads values, absence and receipts with proofs from any node; a node that lies is
// caught and named. The other side answers from what its node has, through the interface Source.
//
// A client believes what two thirds of the shards have signed, and nothing else: values are proven by the state's root
// in a signed header, a transaction by the hash of a block's data, its result by the hash of the results in the header
// after. A node can still keep silent, or show a state some seconds old; the former is answered by asking another, the
// latter bounded by the heartbeat of the chain.
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
	// ErrLied marks an answer that its proofs or the protocol contradict. The error is a *Lie, or lists some.
	ErrLied = errors.New("node lied")
	// ErrStalled says that the ledger stands still: no node has a block as new as the heartbeat of the chain demands.
	ErrStalled = errors.New("the ledger stands still")
	// ErrBehind says that no node that answered has reached the height that was asked for.
	ErrBehind = errors.New("height not reached yet")
	// ErrUnavailable says that no node answered.
	ErrUnavailable = errors.New("no node answers")
	// ErrPruned marks heights that a node keeps no more.
	ErrPruned = errors.New("no longer kept")
	// ErrClock says that this machine's clock is wrong.
	ErrClock = errors.New("clock is wrong")
	// ErrPending says that a transaction was handed over and that its fate is unknown: submit the same one again, or ask
	// for its receipt.
	ErrPending = errors.New("not known to be committed")
	// ErrChanging says that something changed each time while it was being listed: ask again.
	ErrChanging = errors.New("changes while it is read")
	// ErrBusy marks a refusal of a node, or of its share for one peer, that is at its limit.
	ErrBusy = errors.New("busy")
	// ErrRequest marks a request that makes no sense to a node.
	ErrRequest = errors.New("bad request")
)

// Lie is an answer that is provably false. It wraps ErrLied.
type Lie struct {
	Node peer.ID
	Name string // of the node in the genesis; empty if it is not there
	What error  // what was wrong
}

// Error is for people.
func (l *Lie) Error() string { return fmt.Sprintf("%s lied: %v", nodeName(l.Node, l.Name), l.What) }

// Unwrap makes errors.Is(err, ErrLied) true.
func (l *Lie) Unwrap() []error { return []error{ErrLied, l.What} }

func nodeName(id peer.ID, name string) string {
	if name == "" {
		return "node " + id.String()
	}
	return fmt.Sprintf("node %s (%s)", name, id)
}

// heartbeat is the longest that a chain is quiet when there is nothing to do. Every empty block costs each node some 95 kB
// of writes, synced a dozen times: with one every two minutes that is 70 MB a day, where one every 10 s took 0.7 GB.
// Nothing but the age of the newest header depends on it: transactions and the ends of epochs do not wait for it, and nodes
// that see why no block comes say so at once.
const heartbeat = 2 * time.Minute

// Heartbeat is how long a chain with epochs of this length waits before it makes an empty block. Nodes must keep to it,
// because clients conclude from it that the ledger stands still.
func Heartbeat(epoch time.Duration) time.Duration { return min(heartbeat, epoch/6) }

// staleAfter is how old the latest header may be. Its time is that of the votes for the block before, which may be
// one heartbeat older than itself, and the next may be another one away. The rest is for votes, travel and clocks.
func staleAfter(epoch time.Duration) time.Duration { return 2*Heartbeat(epoch) + clockSkew }

// troubledAfter is how old the latest header of a node may be that says why its ledger stands still: its word is no proof,
// so other nodes are asked, but no longer waited for than it takes to see that they all say so.
const troubledAfter = 30 * time.Second

// clockSkew is how far the clocks of this machine and of the nodes may be apart.
const clockSkew = 10 * time.Second

// failures are the reasons of several nodes, on one line.
type failures []error

func (f failures) Error() string {
	texts := make([]string, len(f))
	for i, err := range f {
		texts[i] = err.Error()
	}
	return strings.Join(texts, "; ")
}

func (f failures) Unwrap() []error { return f }

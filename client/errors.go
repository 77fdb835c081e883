package client

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"

	"github.com/libp2p/go-libp2p/core/peer"

	"walrus/certs"
	"walrus/gather"
	"walrus/ledger"
)

// ErrNotFound is returned for a blob that is not stored according to the ledger or to a quorum of shards. The wrapping
// error gives the reason.
var ErrNotFound = errors.New("no such blob")

// ErrNoFile is returned for a file that the quilt does not contain.
var ErrNoFile = errors.New("no such file in the quilt")

// ErrStalled is returned by operations that need the ledger when it is stalled or cannot be reached. Reads go on.
var ErrStalled = errors.New("the ledger is stalled")

// ErrUnknown is returned when a transaction was sent and its outcome is unknown: it may have taken effect, or may still
// do so.
var ErrUnknown = ledger.ErrUnknown

// ErrNoWallet is returned for operations that cost WAL when the client has no wallet.
var ErrNoWallet = errors.New("this costs WAL and there is no wallet: name one in the configuration")

// ErrNoFunds is returned when the account has too little WAL. The error is a *NoFundsError if the amounts are known.
var ErrNoFunds = errors.New("not enough WAL")

// RequestError says why a request can never succeed as it is.
type RequestError struct{ text string }

// Error says what is wrong with the request.
func (e *RequestError) Error() string { return e.text }

func requestError(format string, args ...any) error {
	return &RequestError{fmt.Sprintf(format, args...)}
}

// NoFundsError says how much WAL is missing.
type NoFundsError struct {
	Account    ledger.Address
	Need, Have ledger.Amount
}

// Error returns the whole sentence for people.
func (e *NoFundsError) Error() string {
	return fmt.Sprintf("%v: %v needed, account %s has %v", ErrNoFunds, e.Need, e.Account, e.Have)
}

// Unwrap returns ErrNoFunds.
func (e *NoFundsError) Unwrap() error { return ErrNoFunds }

// BadNode names a node that did not do its part, and the reason.
type BadNode struct {
	Node   peer.ID `json:"node"`
	Name   string  `json:"name"`
	Reason string  `json:"reason"`
	// Lied is true for provably wrong bytes, false for other failures.
	Lied bool `json:"lied"`
}

func badNode(m *certs.Member, err error) BadNode {
	return BadNode{Node: m.Node, Name: m.Name, Reason: reason(err), Lied: lied(err)}
}

// blame adds the holders that failed to list, each node once; a lie replaces an earlier reason.
func blame(list []BadNode, com *certs.Committee, failures []gather.Failure) []BadNode {
	for _, f := range failures {
		named := badNode(&com.Members()[f.Holder], f.Err)
		k := slices.IndexFunc(list, func(b BadNode) bool { return b.Node == named.Node })
		switch {
		case k < 0:
			list = append(list, named)
		case named.Lied && !list[k].Lied:
			list[k] = named
		}
	}
	return list
}

// String returns "name (reason)".
func (b BadNode) String() string { return fmt.Sprintf("%s (%s)", b.Name, b.Reason) }

// NotEnoughError says that too few shards took part. Try again when more nodes are up.
type NotEnoughError struct {
	Op     string // "store" or "read"
	Did    string // what the shards did: "confirmed", "answered"
	Have   int    // shards that did it
	Needed int
	Shards int // of the network
	Nodes  []BadNode
	Advice string
}

// Error returns the whole sentence for people.
func (e *NotEnoughError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %d of %d shards %s, %d needed", e.Op, e.Have, e.Shards, e.Did, e.Needed)
	for i, n := range e.Nodes {
		b.WriteString([]string{"; missing: ", ", "}[min(i, 1)])
		if i == 5 {
			fmt.Fprintf(&b, "and %d more", len(e.Nodes)-i)
			break
		}
		b.WriteString(n.String())
	}
	if e.Advice != "" {
		b.WriteString("; " + e.Advice)
	}
	return b.String()
}

// reason returns err on one line, short enough for a table; empty for nil.
func reason(err error) string {
	switch {
	case err == nil:
		return ""
	case errors.Is(err, syscall.ECONNREFUSED):
		return "refused the connection: it is not running"
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, gather.ErrSilent):
		return gather.ErrSilent.Error()
	case errors.Is(err, context.Canceled):
		return "had not answered when the others were done"
	}
	return shorten(strings.Join(strings.Fields(err.Error()), " "))
}

// shorten cuts the middle of a long text: the beginning says what was done, the end gives the cause.
func shorten(s string) string {
	const most, head = 240, 60
	r := []rune(s)
	if len(r) <= most {
		return s
	}
	return string(r[:head]) + " … " + string(r[len(r)-(most-head):])
}

// Package machine holds the ledger's rules: it applies a block of transactions to the state. It is pure: no clock, no
// network, no disk except through the Reader it is given. Results, events, changes and root are the same for any number
// of workers. Keeping states, agreeing on blocks and serving reads are not done here. Start with State.Apply.
//
// A block is applied in steps:
//
//  1. Settle the epochs that have ended by its time.
//  2. Remove what has ended, a bounded number.
//  3. Decode the transactions and verify their signatures, in parallel.
//  4. Let each transaction declare the records it may touch, from its operations and the state before the block.
//  5. Verify certificates, in parallel.
//  6. Run transactions that share no record in parallel, the others in the block's order.
//
// Each kind of operation has a file, op….go, with its declare and apply, and a row in rules.
package machine

import (
	"fmt"
	"runtime"

	"walrus/certs"
	"walrus/ledger"
	"walrus/ledger/merkle"
)

// Change sets a key of the state to a value, or removes it if the value is nil.
type Change = merkle.Change

// State holds the ledger after some block. It is never changed.
type State struct {
	Tree       *merkle.Tree
	Values     ledger.Reader // the same pairs as in Tree; safe for concurrent use
	Ends       Ends          // of the same state; safe for concurrent use
	Network    certs.NetworkID
	Committees certs.Committees
	Rules      Rules // of this program
}

// Block holds the input the network agreed on.
type Block struct {
	Height uint64
	Time   int64    // Unix nanoseconds, never before that of the block before
	Txs    [][]byte // binary forms, in order
}

// Options make Apply faster. The outcome does not depend on them, provided that the signatures and certificates they
// vouch for are good.
type Options struct {
	Workers      int                    // goroutines at most; 0 is one for each core
	Verified     func(ledger.TxID) bool // signatures known to be good; nil: none
	Learned      func(ledger.TxID)      // is told of each other signature that is good; nil: nobody
	Certificates Certificates           // certificates known to be good; nil: none

	eager  bool // tests: run even small blocks in parallel
	strict bool // for Check
}

func (o Options) workers() int {
	if o.Workers > 0 {
		return o.Workers
	}
	return runtime.GOMAXPROCS(0)
}

// Outcome holds the effects of a block on a state.
type Outcome struct {
	Results []ledger.Result // of each transaction, in order
	Events  []ledger.Event  // of the block itself: epochs that began, what the ended ones paid, objects that ended
	Changes []Change        // ascending by key, each key once
	Tree    *merkle.Tree    // with the changes
}

// Apply runs a block. It fails only if the state cannot be read, a committee is not known, or the block is under rules
// that this program does not know, with an *UnknownRules; then the node must stop.
// A bad transaction is not an error: its result has a code.
func (s State) Apply(b Block, o Options) (*Outcome, error) {
	k, err := s.run(b, o)
	if err != nil {
		return nil, fmt.Errorf("apply block %d: %w", b.Height, err)
	}
	out := &Outcome{Results: make([]ledger.Result, len(k.runs)), Events: k.events, Changes: k.changes()}
	for i := range k.runs {
		out.Results[i] = k.runs[i].result
	}
	if out.Tree, err = s.Tree.Apply(out.Changes, o.workers()); err != nil {
		return nil, fmt.Errorf("apply block %d: %w", b.Height, err)
	}
	return out, nil
}

// run applies a block, without gathering its changes.
func (s State) run(b Block, o Options) (*block, error) {
	k, err := newBlock(s, b)
	if err != nil {
		return nil, err
	}
	if err := s.Rules.Runs(s.Values, b.Height); err != nil {
		return nil, err
	}
	k.strict = o.strict
	if err := k.settleEpochs(b.Time); err != nil {
		return nil, err
	}
	if err := k.changeRules(); err != nil {
		return nil, err
	}
	if err := k.removeEnded(s.Ends); err != nil {
		return nil, err
	}
	committee, err := s.Committees.At(k.epoch.Epoch)
	if err != nil {
		return nil, err
	}
	k.certificates = newCertificates(committee, o.Certificates)
	if err := k.decode(b.Txs, o); err != nil {
		return nil, err
	}
	if err := k.plan(); err != nil {
		return nil, err
	}
	k.certificates.prefetch(o.workers())
	k.execute(o)
	for i := range k.runs {
		if err := k.runs[i].broken; err != nil {
			return nil, err
		}
	}
	if err := k.objection(); err != nil {
		return nil, err
	}
	return k, k.earn()
}

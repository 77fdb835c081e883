// Package machine is the ledger's rules: what a block of transactions does to the state. It is pure: no clock, no
// network, no disk but through the Reader it is given, and whatever the number of workers, results, events, changes
// and root are the same. Keeping states, agreeing on blocks and serving reads are not done here. Start with State.Apply.
//
// A block is applied in steps: epochs that have ended by its time are settled; transactions are decoded, their
// signatures and certificates verified, all in parallel; each declares from its operations and the state before the
// block which records it will touch; those that share no record run in parallel, those that do in the block's order.
package machine

import (
	"fmt"
	"runtime"

	"walrus/certs"
	"walrus/ledger"
	"walrus/ledger/merkle"
)

// Change gives a key of the state a value, or takes it away if the value is nil.
type Change = merkle.Change

// State is the ledger after some block. It is never changed.
type State struct {
	Tree      *merkle.Tree
	Values    ledger.Reader    // the same pairs as in Tree; safe for concurrent use
	Committee *certs.Committee // of the network, for whatever epoch
}

// Block is what the network agreed on.
type Block struct {
	Height uint64
	Time   int64    // Unix nanoseconds, never before that of the block before
	Txs    [][]byte // binary forms, in order
}

// Options are about the time Apply takes. What they say must be true, then the outcome does not depend on them.
type Options struct {
	Workers      int                    // goroutines at most; 0 is one for each core
	Verified     func(ledger.TxID) bool // signatures known to be good; nil: none
	Certificates Certificates           // certificates known to be good; nil: none

	eager bool // tests: run even small blocks in parallel
}

func (o Options) workers() int {
	if o.Workers > 0 {
		return o.Workers
	}
	return runtime.GOMAXPROCS(0)
}

// Outcome is what a block does to a state.
type Outcome struct {
	Results []ledger.Result // of each transaction, in order
	Events  []ledger.Event  // of the block itself: epochs that began and what the ended ones paid
	Changes []Change        // ascending by key, each key once
	Tree    *merkle.Tree    // with the changes
}

// Apply runs a block. It fails only if the state cannot be read, and then a node has to stop: results say what became
// of bad transactions.
func (s State) Apply(b Block, o Options) (*Outcome, error) {
	k, err := s.run(b, o)
	if err != nil {
		return nil, fmt.Errorf("apply block %d: %w", b.Height, err)
	}
	out := &Outcome{Results: make([]ledger.Result, len(k.runs)), Events: k.events, Changes: k.changes()}
	for i := range k.runs {
		out.Results[i] = k.runs[i].result
	}
	out.Tree = s.Tree.Apply(out.Changes, o.workers())
	return out, nil
}

// run does all that Apply does but gather what changed.
func (s State) run(b Block, o Options) (*block, error) {
	k, err := newBlock(s, b)
	if err != nil {
		return nil, err
	}
	if err := k.settleEpochs(b.Time); err != nil {
		return nil, err
	}
	k.certificates = newCertificates(s.Committee.ForEpoch(k.epoch.Epoch), o.Certificates)
	k.decode(b.Txs, o)
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
	return k, k.earn()
}

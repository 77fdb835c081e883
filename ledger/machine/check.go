package machine

import (
	"fmt"

	"walrus/ledger"
)

// Objection says why a proposed block is refused.
type Objection struct {
	Index  int // of a transaction without effect; −1 if it is the block
	Reason *ledger.OpError
}

// Error describes the objection for people.
func (o *Objection) Error() string {
	if o.Index < 0 {
		return o.Reason.Text
	}
	return fmt.Sprintf("transaction %d would have no effect: %s", o.Index, o.Reason.Text)
}

// Check runs a proposed block like Apply, but refuses one that contains anything without effect, bytes that are no
// transaction or transactions that would be invalid, and one above ledger.MaxBlockWork. Then the error is an
// *Objection. What costs least is checked first: forms, expiries, work, nonces and fees before signatures, signatures
// before certificates and operations. Running ends at the first transaction without effect. A decided block has
// passed this check on the nodes that voted for it; Apply runs it whatever it contains.
func (s State) Check(b Block, o Options) (*Outcome, error) {
	o.strict = true
	return s.Apply(b, o)
}

// objection returns the first transaction that is known to have no effect. Without Check nobody asks.
func (k *block) objection() error {
	if !k.strict {
		return nil
	}
	for i := range k.runs {
		x := &k.runs[i]
		switch {
		case x.invalid != nil:
			return &Objection{i, x.invalid}
		case x.result.Code != ledger.CodeOK && !x.paid:
			return &Objection{i, &ledger.OpError{Code: x.result.Code, Op: x.result.Op, Text: x.result.Log}}
		}
	}
	return nil
}

// screen finds too much work, and transactions with a wrong nonce or less than the least fee, before any signature is
// verified. Each transaction of a block without waste uses its nonce, so the block's nonces follow from the state
// before it. Whether the senders can still pay by then, only running tells.
func (k *block) screen() error {
	next, work := make(map[ledger.Address]uint64), uint64(0)
	for i := range k.runs {
		x := &k.runs[i]
		if x.invalid != nil {
			continue
		}
		if work += k.params.Work(x.size, x.tx.Ops); work > ledger.MaxBlockWork {
			return &Objection{-1, refuse(ledger.CodeLimit, "the block has more than %d units of work", ledger.MaxBlockWork)}
		}
		if _, free := x.tx.Free(); free {
			continue
		}
		nonce, seen := next[x.sender]
		if !seen {
			s := k.accounts.slot(x.sender)
			if err := k.accounts.load(x.sender, s); err != nil {
				return err
			}
			nonce = s.value.Nonce
		}
		x.invalid = checkTerms(x.tx, x.size, nonce, &k.params)
		next[x.sender] = nonce + 1
	}
	return k.objection()
}

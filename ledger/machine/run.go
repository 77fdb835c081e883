package machine

import (
	"fmt"
	"math"
	"sync/atomic"

	"walrus/certs"
	"walrus/ledger"
)

// run holds one transaction of a block while the block is applied.
type run struct {
	block     *block
	position  int32      // in the block, from 1
	size      int        // of the binary form, in bytes
	tx        *ledger.Tx // nil if it has no such form
	id        ledger.TxID
	sender    ledger.Address
	invalid   *ledger.OpError // the reason why it has no effect, whatever the state
	access                    // the records it declared
	hopeless  atomic.Bool     // it brings a bad certificate
	disagreed []int           // operations that bond a monitor without its signature

	op     int             // index of the operation that declares or runs now
	undo   []func()        // of the operations so far
	earned ledger.Amount   // for the pot of the current epoch; added by block.earn
	paid   bool            // the fee, or it is free, so the transaction is valid
	fault  *ledger.OpError // it touched a record that it had not declared
	broken error           // the state cannot be read
	result ledger.Result
}

// refuse makes the error of a refused transaction or operation.
func refuse(code ledger.Code, format string, args ...any) *ledger.OpError {
	return &ledger.OpError{Code: code, Op: -1, Text: fmt.Sprintf(format, args...)}
}

// checkEnvelope checks everything that depends on neither the state nor the signature.
func checkEnvelope(tx *ledger.Tx, network certs.NetworkID, height uint64) *ledger.OpError {
	switch {
	case tx.Network != network:
		return refuse(ledger.CodeNetwork, "it was made for network %s, this is network %s: use this network's genesis",
			tx.Network, network)
	case tx.Expiry < height:
		return refuse(ledger.CodeExpired, "it expired at height %d, this is height %d: sign it again with a later expiry",
			tx.Expiry, height)
	case tx.Expiry-height > ledger.MaxExpiry:
		return refuse(ledger.CodeExpired, "it expires at height %d, %d ahead: at most %d", tx.Expiry, tx.Expiry-height,
			uint64(ledger.MaxExpiry))
	}
	return nil
}

// checkPayer checks nonce and fee against the sender's account.
func checkPayer(tx *ledger.Tx, size int, a ledger.Account, p *ledger.Params) *ledger.OpError {
	if refused := checkTerms(tx, size, a.Nonce, p); refused != nil {
		return refused
	}
	if a.Balance < tx.Fee {
		return refuse(ledger.CodeFee, "the fee is %v, and the sender has %v: add %v to the account", tx.Fee,
			a.Balance, tx.Fee-a.Balance)
	}
	return nil
}

// checkTerms checks the nonce against the next one of the sender's account, and the fee against the least.
func checkTerms(tx *ledger.Tx, size int, next uint64, p *ledger.Params) *ledger.OpError {
	least := p.MinFee(size, tx.Ops)
	switch {
	case tx.Nonce < next:
		return refuse(ledger.CodeNonce, "nonce %d is already used, the account's next is %d: sign it again with that nonce",
			tx.Nonce, next)
	case tx.Nonce > next:
		return refuse(ledger.CodeNonce, "nonce %d is ahead of the account's next, %d: submit the transactions between first",
			tx.Nonce, next)
	case tx.Nonce == math.MaxUint64:
		return refuse(ledger.CodeNonce, "nonce %d is the last of this account: use another account", tx.Nonce)
	case tx.Fee < least:
		return refuse(ledger.CodeFee, "the fee is %v, and a transaction of %d bytes and %d units of work needs at least %v: sign it again with that fee",
			tx.Fee, size, p.Work(size, tx.Ops), least)
	}
	return nil
}

// execute runs the transaction: the fee first, then the operations, all of which take effect or none.
func (x *run) execute() {
	x.result.Op = -1
	if x.block.strict && x.block.wasted.Load() {
		return // the block is refused
	}
	if x.invalid != nil {
		x.fail(x.invalid)
		return
	}
	for _, c := range x.claims {
		c.holder.Store(x.position)
	}
	if _, free := x.tx.Free(); free {
		x.executeFree()
		return
	}
	payer := x.account(x.sender)
	if refused := checkPayer(x.tx, x.size, payer, &x.block.params); refused != nil || x.stopped() != nil {
		x.fail(refused)
		return
	}
	before := payer.Balance
	payer.Balance -= x.tx.Fee
	payer.Nonce++
	x.setAccount(x.sender, payer)
	x.earned, x.result.Fee, x.result.Spent = x.tx.Fee, x.tx.Fee, x.tx.Fee
	x.undo, x.paid = x.undo[:0], true // the fee stays
	for i, op := range x.tx.Ops {
		x.op = i
		refused := rules[ledger.OpKind(op)].apply(x, op)
		if stopped := x.stopped(); stopped != nil {
			refused = stopped
		}
		if refused != nil {
			refused.Op = i
			x.fail(refused)
			return
		}
	}
	x.undo = nil
	if after := x.account(x.sender).Balance; after < before {
		x.result.Spent = before - after
	}
}

// stopped returns the reason why the transaction must not go on, even if its operation succeeded.
func (x *run) stopped() *ledger.OpError {
	if x.broken != nil {
		return refuse(ledger.CodeInternal, "%v", x.broken)
	}
	return x.fault
}

// fail undoes the operations and records why.
func (x *run) fail(refused *ledger.OpError) {
	if stopped := x.stopped(); stopped != nil {
		stopped.Op = -1
		refused = stopped
	}
	for i := len(x.undo) - 1; i >= 0; i-- {
		x.undo[i]()
	}
	if !x.paid {
		x.block.wasted.Store(true)
	}
	x.undo, x.earned = nil, x.result.Fee
	x.result.Code, x.result.Op, x.result.Log, x.result.Events = refused.Code, refused.Op, refused.Text, nil
}

// object names the object that the current operation makes.
func (x *run) object() ledger.ObjectID { return ledger.NewObjectID(x.sender, x.tx.Nonce, x.op) }

func (x *run) now() uint32 { return x.block.epoch.Epoch }

// event records an effect of the operation.
func (x *run) event(e ledger.Event) {
	e.Epoch = x.now()
	x.result.Events = append(x.result.Events, e)
}

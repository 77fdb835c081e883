package machine

import (
	"fmt"
	"math"
	"sync/atomic"

	"walrus/certs"
	"walrus/ledger"
)

// run is one transaction of a block.
type run struct {
	block    *block
	position int32      // in the block, from 1
	size     int        // of the binary form, in bytes
	tx       *ledger.Tx // nil if it has no such form
	id       ledger.TxID
	sender   ledger.Address
	invalid  *ledger.OpError // why it has no effect whatever the state
	access                   // what it declared
	hopeless atomic.Bool     // it brings a bad certificate

	op     int             // that runs now
	undo   []func()        // of the operations so far
	earned ledger.Amount   // by the pot of the current epoch
	paid   bool            // the fee, so the transaction is valid
	fault  *ledger.OpError // it touched what it did not declare
	broken error           // the state is damaged
	result ledger.Result
}

// refuse makes the reason why a transaction or an operation is refused.
func refuse(code ledger.Code, format string, args ...any) *ledger.OpError {
	return &ledger.OpError{Code: code, Op: -1, Text: fmt.Sprintf(format, args...)}
}

// checkEnvelope checks what depends on neither the state nor the signature.
func checkEnvelope(tx *ledger.Tx, network certs.NetworkID, height uint64) *ledger.OpError {
	switch {
	case tx.Network != network:
		return refuse(ledger.CodeNetwork, "made for network %s, this is %s: use the genesis of the right one", tx.Network, network)
	case tx.Expiry < height:
		return refuse(ledger.CodeExpired, "expired at height %d, this is %d: sign it again with a later expiry", tx.Expiry, height)
	case tx.Expiry-height > ledger.MaxExpiry:
		return refuse(ledger.CodeExpired, "expires at height %d, %d ahead: at most %d", tx.Expiry, tx.Expiry-height, uint64(ledger.MaxExpiry))
	}
	return nil
}

// checkPayer checks nonce and fee against the sender's account.
func checkPayer(tx *ledger.Tx, size int, a ledger.Account, p *ledger.Params) *ledger.OpError {
	least := p.MinFee(size)
	switch {
	case tx.Nonce < a.Nonce:
		return refuse(ledger.CodeNonce, "nonce %d was used before, the account's next is %d: sign it again with that", tx.Nonce, a.Nonce)
	case tx.Nonce > a.Nonce:
		return refuse(ledger.CodeNonce, "nonce %d is ahead, the account's next is %d: the transactions between are missing", tx.Nonce, a.Nonce)
	case tx.Nonce == math.MaxUint64:
		return refuse(ledger.CodeNonce, "nonce %d is the last one: use another account", tx.Nonce)
	case tx.Fee < least:
		return refuse(ledger.CodeFee, "the fee is %v, a transaction of %d bytes takes %v at least: sign it again with that", tx.Fee, size, least)
	case a.Balance < tx.Fee:
		return refuse(ledger.CodeFee, "the fee is %v, the sender has %v: pay in %v more", tx.Fee, a.Balance, tx.Fee-a.Balance)
	}
	return nil
}

// execute runs the transaction: the fee first, then the operations, all of which take effect or none.
func (x *run) execute() {
	x.result.Op = -1
	if x.invalid != nil {
		x.fail(x.invalid)
		return
	}
	for _, c := range x.claims {
		c.holder.Store(x.position)
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
		refused := x.do(op)
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

// stopped is why the transaction cannot go on, whatever the operation itself makes of it.
func (x *run) stopped() *ledger.OpError {
	if x.broken != nil {
		return refuse(ledger.CodeInternal, "%v", x.broken)
	}
	return x.fault
}

// fail undoes what the operations did.
func (x *run) fail(refused *ledger.OpError) {
	if stopped := x.stopped(); stopped != nil {
		stopped.Op = -1
		refused = stopped
	}
	for i := len(x.undo) - 1; i >= 0; i-- {
		x.undo[i]()
	}
	x.undo, x.earned = nil, x.result.Fee
	x.result.Code, x.result.Op, x.result.Log, x.result.Events = refused.Code, refused.Op, refused.Text, nil
}

// do runs one operation.
func (x *run) do(op ledger.Op) *ledger.OpError {
	switch op := op.(type) {
	case ledger.Transfer:
		return x.transfer(op)
	case ledger.BuyStorage:
		return x.buyStorage(op)
	case ledger.SplitStorage:
		return x.splitStorage(op)
	case ledger.MergeStorage:
		return x.mergeStorage(op)
	case ledger.TransferStorage:
		return x.transferStorage(op)
	case ledger.RegisterBlob:
		return x.registerBlob(op)
	case ledger.CertifyBlob:
		return x.certifyBlob(op)
	case ledger.ExtendBlob:
		return x.extendBlob(op)
	case ledger.DeleteBlob:
		return x.deleteBlob(op)
	case ledger.ShareBlob:
		return x.shareBlob(op)
	case ledger.FundBlob:
		return x.fundBlob(op)
	case ledger.TransferBlob:
		return x.transferBlob(op)
	case ledger.BurnBlob:
		return x.burnBlob(op)
	case ledger.SetAttributes:
		return x.setAttributes(op)
	case ledger.Sweep:
		return x.sweep(op)
	}
	return refuse(ledger.CodeInternal, "no rule for %T", op)
}

// object names what the operation that runs now makes.
func (x *run) object() ledger.ObjectID { return ledger.NewObjectID(x.sender, x.tx.Nonce, x.op) }

func (x *run) now() uint32 { return x.block.epoch.Epoch }

// event records what the operation did.
func (x *run) event(e ledger.Event) {
	e.Epoch = x.now()
	x.result.Events = append(x.result.Events, e)
}

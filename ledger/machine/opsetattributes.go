package machine

import "walrus/ledger"

func declareSetAttributes(x *run, op ledger.SetAttributes) { declareRecord(x, op.Object) }

func applySetAttributes(x *run, op ledger.SetAttributes) *ledger.OpError {
	b, refused := x.ownBlob(op.Object)
	if refused != nil {
		return refused
	}
	if b.Attributes, refused = mergeAttributes(b.Attributes, op.Set, op.Remove); refused != nil {
		return refused
	}
	deposit := x.block.params.BlobDeposit(b.Attributes)
	change, refused := lodge(x, 0, b.Deposit, deposit)
	if refused != nil {
		return refused
	}
	b.Deposit = deposit
	x.setBlob(op.Object, b)
	e := x.blobEvent(ledger.EventAttributes, op.Object, &b)
	e.Deposit = change
	x.event(e)
	return nil
}

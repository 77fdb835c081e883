package machine

import "walrus/ledger"

func declareShareBlob(x *run, op ledger.ShareBlob) {
	x.declareBlob(op.Object)
	declare(x, &x.block.offers, op.Object)
}

// applyShareBlob removes the owner of a permanent record, so that anybody can extend it, and adds to its funds.
func applyShareBlob(x *run, op ledger.ShareBlob) *ledger.OpError {
	b, refused := x.ownBlob(op.Object)
	if refused != nil {
		return refused
	}
	if b.Deletable {
		return refuse(ledger.CodeState, "blob record %s is deletable: only permanent ones can be shared", op.Object)
	}
	if refused := x.checkValid(b.BlobID); refused != nil {
		return refused
	}
	if refused := x.pay(op.Amount); refused != nil {
		return refused
	}
	b.Owner, b.Shared, b.Funds = ledger.Address{}, true, op.Amount
	x.setBlob(op.Object, b)
	e := x.blobEvent(ledger.EventShared, op.Object, &b)
	e.Amount = op.Amount
	x.event(e)
	return x.count(x.sender, 0, -1)
}

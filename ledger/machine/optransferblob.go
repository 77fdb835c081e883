package machine

import "walrus/ledger"

func declareTransferBlob(x *run, op ledger.TransferBlob) {
	declare(x, &x.block.blobs, op.Object)
	declare(x, &x.block.accounts, op.To)
}

// applyTransferBlob gives a record to another account.
func applyTransferBlob(x *run, op ledger.TransferBlob) *ledger.OpError {
	if refused := checkRecipient(op.To); refused != nil {
		return refused
	}
	b, refused := x.ownBlob(op.Object)
	if refused != nil {
		return refused
	}
	b.Owner = op.To
	x.setBlob(op.Object, b)
	e := x.blobEvent(ledger.EventBlobMoved, op.Object, &b)
	e.To = op.To
	x.event(e)
	if refused := checkKeeps(x, op.To, x.account(op.To).Balance); refused != nil {
		return refused
	}
	if refused := x.count(x.sender, 0, -1); refused != nil {
		return refused
	}
	return x.count(op.To, 0, 1)
}

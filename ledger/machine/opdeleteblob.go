package machine

import "walrus/ledger"

func declareDeleteBlob(x *run, op ledger.DeleteBlob) {
	declare(x, &x.block.storages, x.object())
	x.declareBlob(op.Object)
	declare(x, &x.block.offers, op.Object)
}

// applyDeleteBlob removes a deletable record and gives the rest of its storage back. A part of its
// deposit becomes that of the storage resource.
func applyDeleteBlob(x *run, op ledger.DeleteBlob) *ledger.OpError {
	b, refused := x.ownBlob(op.Object)
	if refused != nil {
		return refused
	}
	if !b.Deletable {
		return refuse(ledger.CodeState, "blob record %s is permanent: it cannot be deleted before it ends at the start of epoch %d", op.Object, b.End)
	}
	id := x.object()
	x.dropBlob(op.Object)
	kept := min(b.Deposit, x.block.params.StorageDeposit())
	x.setStorage(id, ledger.Storage{Owner: x.sender, Start: max(x.now(), b.Start), End: b.End, Bytes: b.Bytes, Deposit: kept})
	refund(x, x.sender, b.Deposit-kept)
	x.changeInfo(&b, func(i *ledger.BlobInfo) { removeRecord(i, &b) })
	e := x.blobEvent(ledger.EventDeleted, op.Object, &b)
	e.Other, e.Deposit = id, int64(kept)-int64(b.Deposit)
	x.event(e)
	return x.count(x.sender, 1, -1)
}

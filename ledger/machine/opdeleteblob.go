package machine

import "walrus/ledger"

func declareDeleteBlob(x *run, op ledger.DeleteBlob) {
	declare(x, &x.block.storages, x.object())
	x.declareBlob(op.Object)
	declare(x, &x.block.offers, op.Object)
}

// applyDeleteBlob removes a deletable record and gives the rest of its storage back.
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
	x.setStorage(id, ledger.Storage{Owner: x.sender, Start: max(x.now(), b.Start), End: b.End, Bytes: b.Bytes})
	x.changeInfo(&b, func(i *ledger.BlobInfo) { removeRecord(i, &b) })
	e := x.blobEvent(ledger.EventDeleted, op.Object, &b)
	e.Other = id
	x.event(e)
	return x.count(x.sender, 1, -1)
}

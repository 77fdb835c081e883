package machine

import "walrus/ledger"

// deleteBlob ends a deletable record and gives what is left of its storage back.
func (x *run) deleteBlob(op ledger.DeleteBlob) *ledger.OpError {
	b, refused := x.ownBlob(op.Object)
	if refused != nil {
		return refused
	}
	if !b.Deletable {
		return refuse(ledger.CodeState, "blob record %s is permanent: it lasts until epoch %d and cannot be deleted before", op.Object, b.End)
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

// shareBlob makes a permanent record everybody's, with funds for its extension.
func (x *run) shareBlob(op ledger.ShareBlob) *ledger.OpError {
	b, refused := x.ownBlob(op.Object)
	if refused != nil {
		return refused
	}
	if b.Deletable {
		return refuse(ledger.CodeState, "blob record %s is deletable: only permanent ones are shared", op.Object)
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

// fundBlob adds to the funds of a shared record.
func (x *run) fundBlob(op ledger.FundBlob) *ledger.OpError {
	b, refused := x.liveBlob(op.Object)
	if refused != nil {
		return refused
	}
	if !b.Shared {
		return refuse(ledger.CodeState, "blob record %s is not shared: only its owner extends it", op.Object)
	}
	if refused := x.pay(op.Amount); refused != nil {
		return refused
	}
	sum, err := b.Funds.Add(op.Amount)
	if err != nil {
		return refuse(ledger.CodeOverflow, "funds of blob record %s: %v", op.Object, err)
	}
	b.Funds = sum
	x.setBlob(op.Object, b)
	e := x.blobEvent(ledger.EventFunded, op.Object, &b)
	e.Amount = op.Amount
	x.event(e)
	return nil
}

// transferBlob gives a record to another account.
func (x *run) transferBlob(op ledger.TransferBlob) *ledger.OpError {
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
	if refused := x.count(x.sender, 0, -1); refused != nil {
		return refused
	}
	return x.count(op.To, 0, 1)
}

// burnBlob gives a record up. What is stored stays until its end, so the record does too, without an owner; one that
// has expired is removed.
func (x *run) burnBlob(op ledger.BurnBlob) *ledger.OpError {
	b, ok := x.blob(op.Object)
	if !ok {
		return refuse(ledger.CodeNotFound, "there is no blob record %s", op.Object)
	}
	if refused := x.checkOwner(op.Object, &b); refused != nil {
		return refused
	}
	if b.End > x.now() {
		b.Owner = ledger.Address{}
		x.setBlob(op.Object, b)
	} else {
		x.removeExpired(op.Object, &b)
	}
	x.event(x.blobEvent(ledger.EventBurned, op.Object, &b))
	return x.count(x.sender, 0, -1)
}

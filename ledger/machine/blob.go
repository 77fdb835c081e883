package machine

import "walrus/ledger"

// liveBlob returns a blob's record, and refuses an expired one.
func (x *run) liveBlob(id ledger.ObjectID) (ledger.Blob, *ledger.OpError) {
	b, ok := x.blob(id)
	switch {
	case !ok:
		return b, refuse(ledger.CodeNotFound, "there is no blob record %s: register the blob first", id)
	case b.End <= x.now():
		return b, refuse(ledger.CodeState, "blob record %s expired at the start of epoch %d, this is epoch %d: store the blob again", id, b.End, x.now())
	}
	return b, nil
}

// ownBlob returns a live record of the sender. An offer of it ends.
func (x *run) ownBlob(id ledger.ObjectID) (ledger.Blob, *ledger.OpError) {
	b, refused := x.liveBlob(id)
	if refused == nil {
		refused = x.checkOwner(id, &b)
	}
	if refused == nil {
		endOffer(x, id)
	}
	return b, refused
}

func (x *run) checkOwner(id ledger.ObjectID, b *ledger.Blob) *ledger.OpError {
	switch {
	case b.Shared:
		return refuse(ledger.CodeNotOwner, "blob record %s is shared and has no owner", id)
	case b.Owner == ledger.Address{}:
		return refuse(ledger.CodeNotOwner, "blob record %s was given up and has no owner", id)
	case b.Owner != x.sender:
		return refuse(ledger.CodeNotOwner, "blob record %s belongs to %s", id, b.Owner)
	}
	return nil
}

// blobEvent describes a record as it is after the operation.
func (x *run) blobEvent(kind ledger.EventKind, id ledger.ObjectID, b *ledger.Blob) ledger.Event {
	return ledger.Event{
		Kind: kind, From: x.sender, Object: id, Blob: b.BlobID, Size: b.Size, Bytes: b.Bytes,
		Deletable: b.Deletable, End: b.End,
	}
}

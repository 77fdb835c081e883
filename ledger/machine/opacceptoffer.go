package machine

import "walrus/ledger"

// declareAcceptOffer claims the giver's account, which the operation names: who owns the object is known only when it
// runs.
func declareAcceptOffer(x *run, op ledger.AcceptOffer) {
	declareStorage(x, op.Object)
	declare(x, &x.block.blobs, op.Object)
	declare(x, &x.block.accounts, op.From)
}

// applyAcceptOffer gives an object to the account that it was offered to.
func applyAcceptOffer(x *run, op ledger.AcceptOffer) *ledger.OpError {
	o, ok := offerOf(x, op.Object)
	s, isStorage := x.storage(op.Object)
	b, isBlob := x.blob(op.Object)
	switch {
	case !ok || !isStorage && !isBlob:
		return refuse(ledger.CodeNotFound, "there is no offer of %s: it was withdrawn, or its owner has used the object", op.Object)
	case o.To != x.sender:
		return refuse(ledger.CodeNotOwner, "%s is offered to %s", op.Object, o.To)
	case o.From != op.From:
		return refuse(ledger.CodeNotOwner, "%s is offered by %s, not by %s", op.Object, o.From, op.From)
	case o.Until <= x.now():
		return refuse(ledger.CodeState, "the offer of %s ended with epoch %d, this is epoch %d: ask for another", op.Object,
			o.Until-1, x.now())
	}
	endOffer(x, op.Object)
	if isStorage {
		s.Owner = x.sender
		x.setStorage(op.Object, s)
		x.event(ledger.Event{Kind: ledger.EventStorageMoved, From: o.From, To: x.sender, Object: op.Object,
			Bytes: s.Bytes, End: s.End})
		return move(x, o.From, x.sender, 1, 0)
	}
	b.Owner = x.sender
	x.setBlob(op.Object, b)
	e := x.blobEvent(ledger.EventBlobMoved, op.Object, &b)
	e.From, e.To = o.From, x.sender
	x.event(e)
	return move(x, o.From, x.sender, 0, 1)
}

// move counts objects that change hands.
func move(x *run, from, to ledger.Address, storages, blobs int) *ledger.OpError {
	if refused := x.count(from, -storages, -blobs); refused != nil {
		return refused
	}
	return x.count(to, storages, blobs)
}

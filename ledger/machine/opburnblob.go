package machine

import "walrus/ledger"

func declareBurnBlob(x *run, op ledger.BurnBlob) {
	x.declareBlob(op.Object)
	declare(x, &x.block.offers, op.Object)
}

// applyBurnBlob removes the owner of a live record; the record and the stored blob stay until their end. It removes an
// expired record altogether.
func applyBurnBlob(x *run, op ledger.BurnBlob) *ledger.OpError {
	b, ok := x.blob(op.Object)
	if !ok {
		return refuse(ledger.CodeNotFound, "there is no blob record %s", op.Object)
	}
	if refused := x.checkOwner(op.Object, &b); refused != nil {
		return refused
	}
	endOffer(x, op.Object)
	if b.End > x.now() {
		b.Owner = ledger.Address{}
		x.setBlob(op.Object, b)
	} else {
		x.removeExpired(op.Object, &b)
	}
	x.event(x.blobEvent(ledger.EventBurned, op.Object, &b))
	return x.count(x.sender, 0, -1)
}

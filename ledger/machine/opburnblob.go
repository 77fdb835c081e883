package machine

import "walrus/ledger"

func declareBurnBlob(x *run, op ledger.BurnBlob) { declareRecord(x, op.Object) }

// applyBurnBlob removes the owner of a record; the record and the stored blob stay until their end.
func applyBurnBlob(x *run, op ledger.BurnBlob) *ledger.OpError {
	b, refused := x.ownBlob(op.Object)
	if refused != nil {
		return refused
	}
	endOffer(x, op.Object)
	b.Owner = ledger.Address{}
	x.setBlob(op.Object, b)
	x.event(x.blobEvent(ledger.EventBurned, op.Object, &b))
	return x.count(x.sender, 0, -1)
}

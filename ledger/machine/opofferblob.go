package machine

import "walrus/ledger"

func declareOfferBlob(x *run, op ledger.OfferBlob) { declareRecord(x, op.Object) }

func applyOfferBlob(x *run, op ledger.OfferBlob) *ledger.OpError {
	if refused := checkRecipient(op.To); refused != nil {
		return refused
	}
	b, refused := x.ownBlob(op.Object)
	if refused != nil {
		return refused
	}
	e := x.blobEvent(ledger.EventBlobOffer, op.Object, &b)
	e.To, e.End = op.To, op.Until
	x.event(e)
	return makeOffer(x, op.Object, op.To, op.Until, b.End)
}

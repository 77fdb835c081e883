package machine

import "walrus/ledger"

func declareOfferStorage(x *run, op ledger.OfferStorage) { declareStorage(x, op.Storage) }

func applyOfferStorage(x *run, op ledger.OfferStorage) *ledger.OpError {
	if refused := checkRecipient(op.To); refused != nil {
		return refused
	}
	s, refused := x.ownStorage(op.Storage)
	if refused != nil {
		return refused
	}
	x.event(ledger.Event{Kind: ledger.EventStorageOffer, From: x.sender, To: op.To, Object: op.Storage,
		Bytes: s.Bytes, End: op.Until})
	return makeOffer(x, op.Storage, op.To, op.Until, s.End)
}

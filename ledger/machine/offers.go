package machine

import "walrus/ledger"

// An offer is made by an object's owner and stands until it is accepted or withdrawn. Any other operation of the owner
// on the object ends it, so a receiver gets what it was offered; a certificate, which anybody may bring, does not. Once
// it has expired it can only be withdrawn or replaced; it goes with its object at the latest.

func offerOf(x *run, id ledger.ObjectID) (ledger.Offer, bool) { return get(x, &x.block.offers, id) }

// endOffer removes the offer of an object, if there is one.
func endOffer(x *run, id ledger.ObjectID) {
	if _, ok := offerOf(x, id); ok {
		set(x, &x.block.offers, id, ledger.Offer{}, false)
	}
}

// makeOffer replaces the offer of an object that lasts until the start of epoch end.
func makeOffer(x *run, id ledger.ObjectID, to ledger.Address, until, end uint32) *ledger.OpError {
	switch {
	case until <= x.now():
		return refuse(ledger.CodeEpoch, "the offer would end with epoch %d, this is epoch %d: offer it for longer",
			int64(until)-1, x.now())
	case until > end:
		return refuse(ledger.CodeEpoch, "the offer would stand until epoch %d, and the object ends at the start of epoch %d: offer it until then",
			until, end)
	}
	set(x, &x.block.offers, id, ledger.Offer{From: x.sender, To: to, Until: until}, true)
	return nil
}

// declareStorage claims storage resources and their offers.
func declareStorage(x *run, ids ...ledger.ObjectID) {
	declare(x, &x.block.storages, ids...)
	declare(x, &x.block.offers, ids...)
}

// declareRecord claims a blob's record and its offer.
func declareRecord(x *run, id ledger.ObjectID) {
	declare(x, &x.block.blobs, id)
	declare(x, &x.block.offers, id)
}

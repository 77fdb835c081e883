package machine

import "walrus/ledger"

// declareSweep claims everything: who owns the objects is known only when the sweep runs.
func declareSweep(x *run, _ ledger.Sweep) { x.alone = true }

// applySweep removes expired records, whoever owns them. It passes over records that are gone, since several accounts
// may sweep at the same time.
func applySweep(x *run, op ledger.Sweep) *ledger.OpError {
	swept := 0
	for _, id := range op.Objects {
		done, refused := sweepOne(x, id)
		if refused != nil {
			return refused
		}
		if done {
			swept++
		}
	}
	if swept == 0 {
		return refuse(ledger.CodeNotFound, "none of the %d objects exists: they were already swept", len(op.Objects))
	}
	return nil
}

func sweepOne(x *run, id ledger.ObjectID) (bool, *ledger.OpError) {
	early := func(end uint32) *ledger.OpError {
		return refuse(ledger.CodeState, "object %s lasts until the start of epoch %d, this is epoch %d: sweep it then", id,
			end, x.now())
	}
	if s, ok := x.storage(id); ok {
		if s.End > x.now() {
			return false, early(s.End)
		}
		endOffer(x, id)
		x.dropStorage(id)
		x.event(ledger.Event{Kind: ledger.EventSwept, From: x.sender, To: s.Owner, Object: id, Bytes: s.Bytes, End: s.End})
		return true, x.count(s.Owner, -1, 0)
	}
	b, ok := x.blob(id)
	if !ok {
		return false, nil
	}
	if b.End > x.now() {
		return false, early(b.End)
	}
	endOffer(x, id)
	x.removeExpired(id, &b)
	e := x.blobEvent(ledger.EventSwept, id, &b)
	e.To, e.Amount = b.Owner, b.Funds
	x.event(e)
	if refused := x.earn(b.Funds); refused != nil {
		return false, refused
	}
	if b.Owner == (ledger.Address{}) {
		return true, nil
	}
	return true, x.count(b.Owner, 0, -1)
}

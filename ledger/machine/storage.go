package machine

import (
	"walrus/ledger"
)

// sellStorage takes the room for bytes in each epoch of [start, end), which are on sale, and returns its price, which
// goes into these epochs' pots. Who pays is up to the caller.
func (x *run) sellStorage(bytes uint64, start, end uint32) (ledger.Amount, *ledger.OpError) {
	p := &x.block.params
	cost, err := p.StorageCost(bytes, end-start)
	if err != nil {
		return 0, refuse(ledger.CodeOverflow, "price of %d bytes for %d epochs: %v", bytes, end-start, err)
	}
	each := cost / ledger.Amount(end-start)
	pots := x.sale(start, end)
	old := make([]cell[ledger.Pot], len(pots))
	for i, c := range pots {
		if free := p.Capacity - min(p.Capacity, c.value.Sold); bytes > free {
			return 0, refuse(ledger.CodeCapacity, "epoch %d has %d of %d bytes left, not %d: store less or later",
				start+uint32(i), free, p.Capacity, bytes)
		}
		if _, err := c.value.Rewards.Add(each); err != nil {
			return 0, refuse(ledger.CodeOverflow, "rewards of epoch %d: %v", start+uint32(i), err)
		}
		old[i] = *c
	}
	x.undo = append(x.undo, func() {
		for i, c := range pots {
			*c = old[i]
		}
	})
	for _, c := range pots {
		c.put(ledger.Pot{Rewards: c.value.Rewards + each, Sold: c.value.Sold + bytes})
	}
	return cost, nil
}

// checkPeriod wants now ≤ start < end ≤ now + MaxEpochsAhead.
func (x *run) checkPeriod(start, end uint32) *ledger.OpError {
	now, ahead := x.now(), x.block.params.MaxEpochsAhead
	switch {
	case start < now:
		return refuse(ledger.CodeEpoch, "begins in epoch %d, this is %d", start, now)
	case end <= start:
		return refuse(ledger.CodeEpoch, "ends with epoch %d, which is not after its beginning with epoch %d", end, start)
	case uint64(end) > uint64(now)+uint64(ahead):
		return refuse(ledger.CodeEpoch, "ends with epoch %d, %d ahead: at most %d", end, end-now, ahead)
	}
	return nil
}

// ownStorage is a storage resource of the sender that has not expired.
func (x *run) ownStorage(id ledger.ObjectID) (ledger.Storage, *ledger.OpError) {
	s, ok := x.storage(id)
	switch {
	case !ok:
		return s, refuse(ledger.CodeNotFound, "there is no storage resource %s", id)
	case s.Owner != x.sender:
		return s, refuse(ledger.CodeNotOwner, "storage resource %s belongs to %s", id, s.Owner)
	case s.End <= x.now():
		return s, refuse(ledger.CodeState, "storage resource %s expired with epoch %d, this is %d: buy another", id, s.End, x.now())
	}
	return s, nil
}

func (x *run) buyStorage(op ledger.BuyStorage) *ledger.OpError {
	if op.Bytes == 0 {
		return refuse(ledger.CodeSize, "no bytes: buy 1 at least")
	}
	if refused := x.checkPeriod(op.Start, op.End); refused != nil {
		return refused
	}
	cost, refused := x.sellStorage(op.Bytes, op.Start, op.End)
	if refused != nil {
		return refused
	}
	if refused := x.pay(cost); refused != nil {
		return refused
	}
	id := x.object()
	x.setStorage(id, ledger.Storage{Owner: x.sender, Start: op.Start, End: op.End, Bytes: op.Bytes})
	x.event(ledger.Event{Kind: ledger.EventStorageBought, From: x.sender, Amount: cost, Object: id, Bytes: op.Bytes, End: op.End})
	return x.count(x.sender, 1, 0)
}

func (x *run) splitStorage(op ledger.SplitStorage) *ledger.OpError {
	s, refused := x.ownStorage(op.Storage)
	if refused != nil {
		return refused
	}
	part := s
	switch {
	case op.Epoch != 0 && op.Bytes != 0:
		return refuse(ledger.CodeFormat, "names both an epoch and bytes: split by one at a time")
	case op.Epoch != 0 && (op.Epoch <= s.Start || op.Epoch >= s.End):
		return refuse(ledger.CodeEpoch, "epoch %d is not within the period from %d to %d", op.Epoch, s.Start, s.End)
	case op.Epoch != 0:
		s.End, part.Start = op.Epoch, op.Epoch
	case op.Bytes == 0 || op.Bytes >= s.Bytes:
		return refuse(ledger.CodeSize, "%d bytes of %d: 1 at least, and 1 has to stay", op.Bytes, s.Bytes)
	default:
		s.Bytes, part.Bytes = s.Bytes-op.Bytes, op.Bytes
	}
	id := x.object()
	x.setStorage(op.Storage, s)
	x.setStorage(id, part)
	x.event(ledger.Event{Kind: ledger.EventStorageSplit, From: x.sender, Object: op.Storage, Other: id, Bytes: part.Bytes, End: part.End})
	return x.count(x.sender, 1, 0)
}

func (x *run) mergeStorage(op ledger.MergeStorage) *ledger.OpError {
	if op.A == op.B {
		return refuse(ledger.CodeState, "merges storage resource %s with itself: name two", op.A)
	}
	a, refused := x.ownStorage(op.A)
	if refused != nil {
		return refused
	}
	b, refused := x.ownStorage(op.B)
	if refused != nil {
		return refused
	}
	switch {
	case a.Start == b.Start && a.End == b.End:
		if a.Bytes+b.Bytes < a.Bytes {
			return refuse(ledger.CodeOverflow, "%d + %d bytes are beyond 64 bits", a.Bytes, b.Bytes)
		}
		a.Bytes += b.Bytes
	case a.Bytes == b.Bytes && (a.End == b.Start || b.End == a.Start):
		a.Start, a.End = min(a.Start, b.Start), max(a.End, b.End)
	default:
		return refuse(ledger.CodeState, "%d bytes from epoch %d to %d and %d bytes from %d to %d: want the same period, or the same bytes in adjacent ones",
			a.Bytes, a.Start, a.End, b.Bytes, b.Start, b.End)
	}
	x.setStorage(op.A, a)
	x.dropStorage(op.B)
	x.event(ledger.Event{Kind: ledger.EventStorageMerged, From: x.sender, Object: op.A, Other: op.B, Bytes: a.Bytes, End: a.End})
	return x.count(x.sender, -1, 0)
}

func (x *run) transferStorage(op ledger.TransferStorage) *ledger.OpError {
	if refused := checkRecipient(op.To); refused != nil {
		return refused
	}
	s, refused := x.ownStorage(op.Storage)
	if refused != nil {
		return refused
	}
	s.Owner = op.To
	x.setStorage(op.Storage, s)
	x.event(ledger.Event{Kind: ledger.EventStorageMoved, From: x.sender, To: op.To, Object: op.Storage, Bytes: s.Bytes, End: s.End})
	if refused := x.count(x.sender, -1, 0); refused != nil {
		return refused
	}
	return x.count(op.To, 1, 0)
}

package machine

import "walrus/ledger"

// sellStorage takes room for bytes in each epoch of [start, end), puts the price into these epochs' pots, and returns
// it. The epochs must be on sale. The caller collects the price.
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
			return 0, refuse(ledger.CodeCapacity, "epoch %d has %d of %d bytes left, and %d are needed: store less, or later",
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

// checkPeriod refuses a period unless now ≤ start < end ≤ now + MaxEpochsAhead.
func (x *run) checkPeriod(start, end uint32) *ledger.OpError {
	now, ahead := x.now(), x.block.params.MaxEpochsAhead
	switch {
	case start < now:
		return refuse(ledger.CodeEpoch, "it begins in epoch %d, this is epoch %d: begin now or later", start, now)
	case end <= start:
		return refuse(ledger.CodeEpoch, "it ends at the start of epoch %d, and begins in epoch %d: end later", end, start)
	case uint64(end) > uint64(now)+uint64(ahead):
		return refuse(ledger.CodeEpoch, "it ends at the start of epoch %d, %d epochs ahead: at most %d", end, end-now, ahead)
	}
	return nil
}

// ownStorage returns a storage resource of the sender that has not expired. An offer of it ends.
func (x *run) ownStorage(id ledger.ObjectID) (ledger.Storage, *ledger.OpError) {
	s, ok := x.storage(id)
	switch {
	case !ok:
		return s, refuse(ledger.CodeNotFound, "there is no storage resource %s", id)
	case s.Owner != x.sender:
		return s, refuse(ledger.CodeNotOwner, "storage resource %s belongs to %s", id, s.Owner)
	case s.End <= x.now():
		return s, refuse(ledger.CodeState, "storage resource %s expired at the start of epoch %d, this is epoch %d: buy another", id, s.End, x.now())
	}
	endOffer(x, id)
	return s, nil
}

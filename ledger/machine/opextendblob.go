package machine

import "walrus/ledger"

func (x *run) declareExtendBlob(op ledger.ExtendBlob) {
	if op.Storage != (ledger.ObjectID{}) {
		declare(x, &x.block.storages, op.Storage)
	} else {
		x.sell()
	}
	x.declareBlob(op.Object)
}

// extendBlob prolongs the sender's record or a shared one. The storage for it comes from a resource, or is bought by
// the sender or the record's funds.
func (x *run) extendBlob(op ledger.ExtendBlob) *ledger.OpError {
	b, refused := x.liveBlob(op.Object)
	if refused != nil {
		return refused
	}
	if refused := x.checkOwner(op.Object, &b); refused != nil && !b.Shared {
		return refused
	}
	old := b
	var cost ledger.Amount
	if op.Storage != (ledger.ObjectID{}) {
		refused = x.extendByStorage(op, &b)
	} else {
		cost, refused = x.extendByPurchase(op, &b)
	}
	if refused != nil {
		return refused
	}
	x.changeInfo(&b, func(i *ledger.BlobInfo) {
		removeRecord(i, &old)
		addRecord(i, &b)
	})
	x.setBlob(op.Object, b)
	e := x.blobEvent(ledger.EventExtended, op.Object, &b)
	e.Amount, e.Other = cost, op.Storage
	x.event(e)
	return nil
}

func (x *run) extendByPurchase(op ledger.ExtendBlob, b *ledger.Blob) (ledger.Amount, *ledger.OpError) {
	if op.Epochs == 0 {
		return 0, refuse(ledger.CodeEpoch, "extends by no epochs: 1 at least")
	}
	end := uint64(b.End) + uint64(op.Epochs)
	if last := uint64(x.now()) + uint64(x.block.params.MaxEpochsAhead); end > last {
		return 0, refuse(ledger.CodeEpoch, "would end with epoch %d: the last one for sale now is %d, %d more than the record has",
			end, last, max(last, uint64(b.End))-uint64(b.End))
	}
	if op.FromFunds && !b.Shared {
		return 0, refuse(ledger.CodeState, "blob record %s is not shared and has no funds: pay from the account, or share it first", op.Object)
	}
	cost, refused := x.sellStorage(b.Bytes, b.End, uint32(end))
	if refused != nil {
		return 0, refused
	}
	b.End = uint32(end)
	if !op.FromFunds {
		return cost, x.pay(cost)
	}
	if b.Funds < cost {
		return 0, refuse(ledger.CodeBalance, "takes %v, the funds of blob record %s are %v: add %v", cost, op.Object, b.Funds, cost-b.Funds)
	}
	b.Funds -= cost
	return cost, nil
}

func (x *run) extendByStorage(op ledger.ExtendBlob, b *ledger.Blob) *ledger.OpError {
	if op.Epochs != 0 || op.FromFunds {
		return refuse(ledger.CodeFormat, "names a storage resource and also epochs or funds: extend by one at a time")
	}
	s, refused := x.ownStorage(op.Storage)
	switch {
	case refused != nil:
		return refused
	case s.Start > b.End:
		return refuse(ledger.CodeEpoch, "storage resource %s begins with epoch %d, after the record's end with %d", op.Storage, s.Start, b.End)
	case s.End <= b.End:
		return refuse(ledger.CodeEpoch, "storage resource %s ends with epoch %d, the record itself with %d", op.Storage, s.End, b.End)
	case s.Bytes < b.Bytes:
		return refuse(ledger.CodeSize, "storage resource %s has %d bytes, the record's storage %d", op.Storage, s.Bytes, b.Bytes)
	}
	b.End = s.End
	x.dropStorage(op.Storage)
	return x.count(x.sender, -1, 0)
}

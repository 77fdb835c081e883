package machine

import "walrus/ledger"

func declareExtendBlob(x *run, op ledger.ExtendBlob) {
	if op.Storage != (ledger.ObjectID{}) {
		declareStorage(x, op.Storage)
	} else {
		x.sell()
	}
	x.declareBlob(op.Object)
	declare(x, &x.block.offers, op.Object)
}

// applyExtendBlob prolongs the sender's record or a shared one. The storage for it comes from a resource, or is bought
// by the sender or the record's funds.
func applyExtendBlob(x *run, op ledger.ExtendBlob) *ledger.OpError {
	b, refused := x.liveBlob(op.Object)
	if refused != nil {
		return refused
	}
	if refused := x.checkOwner(op.Object, &b); refused != nil && !b.Shared {
		return refused
	}
	endOffer(x, op.Object) // a shared record has none
	if refused := x.checkValid(b.BlobID); refused != nil {
		return refused
	}
	old := b
	var cost, back ledger.Amount
	if op.Storage != (ledger.ObjectID{}) {
		back, refused = extendByStorage(x, op, &b)
	} else {
		cost, refused = extendByPurchase(x, op, &b)
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
	e.Amount, e.Other, e.Deposit = cost, op.Storage, -int64(back)
	x.event(e)
	return nil
}

func extendByPurchase(x *run, op ledger.ExtendBlob, b *ledger.Blob) (ledger.Amount, *ledger.OpError) {
	if op.Epochs == 0 {
		return 0, refuse(ledger.CodeEpoch, "extends by 0 epochs: extend by at least 1")
	}
	end := uint64(b.End) + uint64(op.Epochs)
	if last := uint64(x.now()) + uint64(x.block.params.MaxEpochsAhead); end > last {
		return 0, refuse(ledger.CodeEpoch, "it would end at the start of epoch %d, and storage is sold until the start of epoch %d: extend by at most %d",
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
		return 0, refuse(ledger.CodeBalance, "it costs %v, and blob record %s has funds of %v: add %v to them", cost,
			op.Object, b.Funds, cost-b.Funds)
	}
	b.Funds -= cost
	return cost, nil
}

// extendByStorage returns the deposit of the storage resource, which goes back to the sender.
func extendByStorage(x *run, op ledger.ExtendBlob, b *ledger.Blob) (ledger.Amount, *ledger.OpError) {
	if op.Epochs != 0 || op.FromFunds {
		return 0, refuse(ledger.CodeFormat, "it names a storage resource as well as epochs or funds: choose one way to extend")
	}
	s, refused := x.ownStorage(op.Storage)
	switch {
	case refused != nil:
		return 0, refused
	case s.Start > b.End:
		return 0, refuse(ledger.CodeEpoch, "storage resource %s begins in epoch %d, after the record's end at the start of epoch %d", op.Storage, s.Start, b.End)
	case s.End <= b.End:
		return 0, refuse(ledger.CodeEpoch, "storage resource %s ends at the start of epoch %d, no later than the record's end at the start of epoch %d", op.Storage, s.End, b.End)
	case s.Bytes < b.Bytes:
		return 0, refuse(ledger.CodeSize, "storage resource %s has %d bytes, and the record needs %d",
			op.Storage, s.Bytes, b.Bytes)
	}
	b.End = s.End
	x.dropStorage(op.Storage)
	refund(x, x.sender, s.Deposit)
	return s.Deposit, x.count(x.sender, -1, 0)
}

package machine

import "walrus/ledger"

func declareSplitStorage(x *run, op ledger.SplitStorage) {
	declareStorage(x, op.Storage)
	declare(x, &x.block.storages, x.object())
}

func applySplitStorage(x *run, op ledger.SplitStorage) *ledger.OpError {
	s, refused := x.ownStorage(op.Storage)
	if refused != nil {
		return refused
	}
	part := s
	switch {
	case op.Epoch != 0 && op.Bytes != 0:
		return refuse(ledger.CodeFormat, "it names both an epoch and bytes: split by one of them")
	case op.Epoch != 0 && (op.Epoch <= max(s.Start, x.now()) || op.Epoch >= s.End):
		return refuse(ledger.CodeEpoch, "cannot split at epoch %d: what is left of the period is epochs [%d, %d)", op.Epoch,
			max(s.Start, x.now()), s.End)
	case op.Epoch != 0:
		s.End, part.Start = op.Epoch, op.Epoch
	case op.Bytes == 0 || op.Bytes >= s.Bytes:
		return refuse(ledger.CodeSize, "cannot split off %d of %d bytes: both parts need at least 1", op.Bytes, s.Bytes)
	default:
		s.Bytes, part.Bytes = s.Bytes-op.Bytes, op.Bytes
	}
	part.Deposit = x.block.params.StorageDeposit()
	change, refused := lodge(x, 0, 0, part.Deposit)
	if refused != nil {
		return refused
	}
	id := x.object()
	x.setStorage(op.Storage, s)
	x.setStorage(id, part)
	x.event(ledger.Event{Kind: ledger.EventStorageSplit, From: x.sender, Object: op.Storage, Other: id,
		Bytes: part.Bytes, End: part.End, Deposit: change})
	return x.count(x.sender, 1, 0)
}

package machine

import "walrus/ledger"

func declareTransferStorage(x *run, op ledger.TransferStorage) {
	declare(x, &x.block.storages, op.Storage)
	declare(x, &x.block.accounts, op.To)
}

func applyTransferStorage(x *run, op ledger.TransferStorage) *ledger.OpError {
	if refused := checkRecipient(op.To); refused != nil {
		return refused
	}
	s, refused := x.ownStorage(op.Storage)
	if refused != nil {
		return refused
	}
	s.Owner = op.To
	x.setStorage(op.Storage, s)
	x.event(ledger.Event{Kind: ledger.EventStorageMoved, From: x.sender, To: op.To, Object: op.Storage,
		Bytes: s.Bytes, End: s.End})
	if refused := checkKeeps(x, op.To, x.account(op.To).Balance); refused != nil {
		return refused
	}
	if refused := x.count(x.sender, -1, 0); refused != nil {
		return refused
	}
	return x.count(op.To, 1, 0)
}

package machine

import "walrus/ledger"

func declareBuyStorage(x *run, _ ledger.BuyStorage) {
	x.sell()
	declare(x, &x.block.storages, x.object())
}

func applyBuyStorage(x *run, op ledger.BuyStorage) *ledger.OpError {
	if op.Bytes == 0 {
		return refuse(ledger.CodeSize, "0 bytes: buy at least 1")
	}
	if refused := x.checkPeriod(op.Start, op.End); refused != nil {
		return refused
	}
	cost, refused := x.sellStorage(op.Bytes, op.Start, op.End)
	if refused != nil {
		return refused
	}
	deposit := x.block.params.StorageDeposit()
	change, refused := lodge(x, cost, 0, deposit)
	if refused != nil {
		return refused
	}
	id := x.object()
	x.setStorage(id, ledger.Storage{Owner: x.sender, Start: op.Start, End: op.End, Bytes: op.Bytes, Deposit: deposit})
	x.event(ledger.Event{Kind: ledger.EventStorageBought, From: x.sender, Amount: cost, Object: id,
		Bytes: op.Bytes, End: op.End, Deposit: change})
	return x.count(x.sender, 1, 0)
}

package machine

import "walrus/ledger"

func declareFundBlob(x *run, op ledger.FundBlob) { x.declareBlob(op.Object) }

// applyFundBlob adds to the funds of a shared record.
func applyFundBlob(x *run, op ledger.FundBlob) *ledger.OpError {
	b, refused := x.liveBlob(op.Object)
	if refused != nil {
		return refused
	}
	if !b.Shared {
		return refuse(ledger.CodeState, "blob record %s is not shared and has no funds: only its owner can extend it",
			op.Object)
	}
	if refused := x.checkValid(b.BlobID); refused != nil {
		return refused
	}
	if refused := x.pay(op.Amount); refused != nil {
		return refused
	}
	sum, err := b.Funds.Add(op.Amount)
	if err != nil {
		return refuse(ledger.CodeOverflow, "funds of blob record %s: %v", op.Object, err)
	}
	b.Funds = sum
	x.setBlob(op.Object, b)
	e := x.blobEvent(ledger.EventFunded, op.Object, &b)
	e.Amount = op.Amount
	x.event(e)
	return nil
}

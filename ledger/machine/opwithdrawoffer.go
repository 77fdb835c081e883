package machine

import "walrus/ledger"

func declareWithdrawOffer(x *run, op ledger.WithdrawOffer) { declare(x, &x.block.offers, op.Object) }

// applyWithdrawOffer ends an offer of the sender, an expired one too.
func applyWithdrawOffer(x *run, op ledger.WithdrawOffer) *ledger.OpError {
	o, ok := offerOf(x, op.Object)
	switch {
	case !ok:
		return refuse(ledger.CodeNotFound, "there is no offer of %s: it was accepted or withdrawn, or its owner has used the object", op.Object)
	case o.From != x.sender:
		return refuse(ledger.CodeNotOwner, "the offer of %s was made by %s", op.Object, o.From)
	}
	endOffer(x, op.Object)
	x.event(ledger.Event{Kind: ledger.EventWithdrawn, From: x.sender, To: o.To, Object: op.Object})
	return nil
}

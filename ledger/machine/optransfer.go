package machine

import "walrus/ledger"

func declareTransfer(x *run, op ledger.Transfer) { declare(x, &x.block.accounts, op.To) }

// applyTransfer pays from the sender to an account.
func applyTransfer(x *run, op ledger.Transfer) *ledger.OpError {
	if refused := checkRecipient(op.To); refused != nil {
		return refused
	}
	if refused := x.pay(op.Amount); refused != nil {
		return refused
	}
	to := x.account(op.To)
	sum, err := to.Balance.Add(op.Amount)
	if err != nil {
		return refuse(ledger.CodeOverflow, "balance of %s: %v", op.To, err)
	}
	if refused := checkKeeps(x, op.To, sum); refused != nil && op.Amount > 0 {
		return refused
	}
	to.Balance = sum
	x.setAccount(op.To, to)
	x.event(ledger.Event{Kind: ledger.EventTransferred, From: x.sender, To: op.To, Amount: op.Amount})
	return nil
}

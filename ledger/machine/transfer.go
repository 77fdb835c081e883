package machine

import "walrus/ledger"

// pay takes amount from the sender.
func (x *run) pay(amount ledger.Amount) *ledger.OpError {
	a := x.account(x.sender)
	if a.Balance < amount {
		return refuse(ledger.CodeBalance, "takes %v, the sender has %v left: pay in %v more", amount, a.Balance, amount-a.Balance)
	}
	a.Balance -= amount
	x.setAccount(x.sender, a)
	return nil
}

// transfer pays from the sender to an account.
func (x *run) transfer(op ledger.Transfer) *ledger.OpError {
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
	to.Balance = sum
	x.setAccount(op.To, to)
	x.event(ledger.Event{Kind: ledger.EventTransferred, From: x.sender, To: op.To, Amount: op.Amount})
	return nil
}

// checkRecipient refuses the zero address: nobody has its key, and records without an owner bear it.
func checkRecipient(to ledger.Address) *ledger.OpError {
	if to == (ledger.Address{}) {
		return refuse(ledger.CodeNotFound, "the zero address belongs to nobody: name the recipient")
	}
	return nil
}

// count changes how many objects an account owns.
func (x *run) count(owner ledger.Address, storages, blobs int) *ledger.OpError {
	a := x.account(owner)
	s, b := int64(a.Storages)+int64(storages), int64(a.Blobs)+int64(blobs)
	if s >= 1<<32 || b >= 1<<32 {
		return refuse(ledger.CodeOverflow, "%s owns %d storage resources and %d blobs: no account owns more than %d",
			owner, a.Storages, a.Blobs, uint32(1<<32-1))
	}
	if s < 0 || b < 0 {
		return refuse(ledger.CodeInternal, "%s would own fewer than no objects", owner)
	}
	a.Storages, a.Blobs = uint32(s), uint32(b)
	x.setAccount(owner, a)
	return nil
}

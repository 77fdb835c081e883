package machine

import "walrus/ledger"

// pay takes amount from the sender's balance.
func (x *run) pay(amount ledger.Amount) *ledger.OpError {
	_, refused := lodge(x, amount, 0, 0)
	return refused
}

// checkRecipient refuses the zero address: nobody has its key, and it marks records without an owner.
func checkRecipient(to ledger.Address) *ledger.OpError {
	if to == (ledger.Address{}) {
		return refuse(ledger.CodeNotFound, "the recipient is the zero address, which belongs to nobody: name another")
	}
	return nil
}

// count changes how many objects an account owns.
func (x *run) count(owner ledger.Address, storages, blobs int) *ledger.OpError {
	a := x.account(owner)
	s, b := int64(a.Storages)+int64(storages), int64(a.Blobs)+int64(blobs)
	if s >= 1<<32 || b >= 1<<32 {
		return refuse(ledger.CodeOverflow, "%s owns %d storage resources and %d blobs: an account can own at most %d of each",
			owner, a.Storages, a.Blobs, uint32(1<<32-1))
	}
	if s < 0 || b < 0 {
		return refuse(ledger.CodeInternal, "%s would own a negative number of objects", owner)
	}
	a.Storages, a.Blobs = uint32(s), uint32(b)
	x.setAccount(owner, a)
	return nil
}

// earn adds amount to the sum that the transaction pays into the current epoch's pot; see block.earn.
func (x *run) earn(amount ledger.Amount) *ledger.OpError {
	sum, err := x.earned.Add(amount)
	if err != nil {
		return refuse(ledger.CodeOverflow, "add up the payments of the transaction: %v", err)
	}
	x.earned = sum
	return nil
}

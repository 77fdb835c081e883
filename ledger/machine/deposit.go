package machine

import "walrus/ledger"

// lodge takes price and deposit want from the sender's balance, less the deposit had that the operation sets free. If
// had is more, the rest comes back, and nothing is refused. It returns the change of the deposit, for the event.
func lodge(x *run, price, had, want ledger.Amount) (change int64, refused *ledger.OpError) {
	a := x.account(x.sender)
	need, err := price.Add(want)
	if err != nil {
		return 0, refuse(ledger.CodeOverflow, "price and deposit: %v", err)
	}
	if need > had {
		if refused := checkPayment(x, a.Balance, need-had, want-min(want, had)); refused != nil {
			return 0, refused
		}
	}
	a.Balance = a.Balance + had - need
	x.setAccount(x.sender, a)
	return int64(want) - int64(had), nil
}

// checkPayment refuses a payment, of which a part is a deposit, that leaves less than the least balance.
func checkPayment(x *run, balance, amount, deposit ledger.Amount) *ledger.OpError {
	least := x.block.params.LeastBalance()
	need, err := amount.Add(least)
	if err == nil && balance >= need {
		return nil
	}
	text := "it costs " + amount.String()
	if deposit > 0 {
		text += " (" + deposit.String() + " of it a deposit)"
	}
	switch {
	case least == 0:
		return refuse(ledger.CodeBalance, "%s, and the sender has %v left: add %v to the account", text, balance,
			amount-balance)
	case err != nil:
		return refuse(ledger.CodeBalance, "%s, and the sender has %v left", text, balance)
	}
	return refuse(ledger.CodeBalance, "%s, the sender has %v left, and an account keeps at least %v: add %v to the account",
		text, balance, least, need-balance)
}

// checkKeeps refuses to pay or give something to an account that then has less than the least balance.
func checkKeeps(x *run, to ledger.Address, balance ledger.Amount) *ledger.OpError {
	if least := x.block.params.LeastBalance(); balance < least {
		return refuse(ledger.CodeLimit, "%s would have %v, and an account keeps at least %v: send it %v more first",
			to, balance, least, least-balance)
	}
	return nil
}

// refund gives a deposit back to an account. It is never refused.
func refund(x *run, to ledger.Address, deposit ledger.Amount) {
	a := x.account(to)
	a.Balance += deposit
	x.setAccount(to, a)
}

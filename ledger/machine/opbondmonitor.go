package machine

import (
	"slices"

	"walrus/ledger"
)

// declareBondMonitor claims everything: whose bond gives way to this one is known only when it runs.
func declareBondMonitor(x *run, _ ledger.BondMonitor) { x.alone = true }

// applyBondMonitor binds WAL of the sender to a monitor.
func applyBondMonitor(x *run, op ledger.BondMonitor) *ledger.OpError {
	if slices.Contains(x.disagreed, x.op) {
		return refuse(ledger.CodeSignature, "monitor %s has not signed that %s owns its bond: sign with the monitor's key",
			op.Monitor, x.sender)
	}
	all := x.bonds()
	i, found := all.Find(op.Monitor)
	b := ledger.Bond{Monitor: op.Monitor, Account: x.sender}
	if found {
		b = all[i]
	}
	switch {
	case b.Account != x.sender:
		return refuse(ledger.CodeNotOwner, "the bond of monitor %s belongs to %s, who alone adds to it", op.Monitor, b.Account)
	case b.Until != 0:
		return refuse(ledger.CodeState, "the bond of monitor %s goes back at the start of epoch %d, this is epoch %d: bond then",
			op.Monitor, b.Return(), x.now())
	}
	sum, err := b.Amount.Add(op.Amount)
	switch {
	case err != nil:
		return refuse(ledger.CodeOverflow, "bond of monitor %s: %v", op.Monitor, err)
	case op.Amount == 0 || sum < ledger.MinBond:
		return refuse(ledger.CodeLimit, "a bond of %v and %v more: a bond holds at least %v: bond more", b.Amount, op.Amount,
			ledger.MinBond)
	}
	if b.Since != x.now() {
		b.Added, b.Since = 0, x.now()
	}
	b.Amount, b.Added = sum, b.Added+op.Amount
	if refused := x.pay(op.Amount); refused != nil {
		return refused
	}
	all = slices.Clone(all)
	if found {
		all[i] = b
	} else {
		all = slices.Insert(all, i, b)
	}
	x.event(ledger.Event{Kind: ledger.EventBonded, From: x.sender, Monitor: op.Monitor, Amount: op.Amount})
	if len(all) > ledger.MaxBonds {
		var refused *ledger.OpError
		if all, refused = pushOut(x, all, b); refused != nil {
			return refused
		}
	}
	x.setBonds(all)
	return nil
}

// pushOut returns the least of too many bonds at once, unless the new one is not above it. Of equal ones it is the last
// in order of keys. No place is kept for a bond that was pushed out, so its WAL does not wait.
func pushOut(x *run, all ledger.Bonds, added ledger.Bond) (ledger.Bonds, *ledger.OpError) {
	least := -1
	for i := range all {
		if all[i].Monitor != added.Monitor && (least < 0 || all[i].Amount <= all[least].Amount) {
			least = i
		}
	}
	out := all[least]
	if out.Amount >= added.Amount {
		return nil, refuse(ledger.CodeCapacity, "all %d bonds hold %v or more: bond more than that, to take the place of one",
			ledger.MaxBonds, out.Amount)
	}
	owner := x.account(out.Account)
	sum, err := owner.Balance.Add(out.Amount)
	if err != nil {
		return nil, refuse(ledger.CodeOverflow, "balance of %s: %v", out.Account, err)
	}
	owner.Balance = sum
	x.setAccount(out.Account, owner)
	x.event(ledger.Event{Kind: ledger.EventBondReturned, From: x.sender, To: out.Account, Amount: out.Amount,
		Monitor: out.Monitor})
	return slices.Delete(all, least, least+1), nil
}

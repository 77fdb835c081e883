package machine

import (
	"slices"

	"walrus/ledger"
)

func declareUnbondMonitor(x *run, _ ledger.UnbondMonitor) { declare(x, &x.block.bonds, theBonds{}) }

// applyUnbondMonitor gives the sender's bond of a monitor up: the end of an epoch returns it, see block.returnBonds.
func applyUnbondMonitor(x *run, op ledger.UnbondMonitor) *ledger.OpError {
	all := x.bonds()
	i, found := all.Find(op.Monitor)
	if !found {
		return refuse(ledger.CodeNotFound, "monitor %s has no bond", op.Monitor)
	}
	b := all[i]
	switch {
	case b.Account != x.sender:
		return refuse(ledger.CodeNotOwner, "the bond of monitor %s belongs to %s", op.Monitor, b.Account)
	case b.Until != 0:
		return refuse(ledger.CodeState, "the bond of monitor %s already goes back, at the start of epoch %d", op.Monitor,
			b.Return())
	}
	b.Until = x.now() + 1
	all = slices.Clone(all)
	all[i] = b
	x.setBonds(all)
	x.event(ledger.Event{Kind: ledger.EventUnbonded, From: x.sender, Monitor: op.Monitor, Amount: b.Amount, End: b.Return()})
	return nil
}

package machine

import (
	"slices"

	"walrus/ledger"
)

// theBonds is the only key of the table of bonds.
type theBonds struct{}

func keyBonds(theBonds) []byte { return ledger.KeyBonds() }

func (x *run) bonds() ledger.Bonds {
	v, _ := get(x, &x.block.bonds, theBonds{})
	return v
}

func (x *run) setBonds(v ledger.Bonds) { set(x, &x.block.bonds, theBonds{}, v, len(v) > 0) }

// checkAgreements verifies the monitors' signatures of a transaction's operations. They do not depend on the state, so
// this comes before the operations on bonds, which run one after the other.
func (x *run) checkAgreements() {
	for i, op := range x.tx.Ops {
		if bond, ok := op.(ledger.BondMonitor); ok && !bond.Agreed(x.block.network, x.sender) {
			x.disagreed = append(x.disagreed, i)
		}
	}
}

// returnBonds gives bonds back that were given up BondDelay epochs before the one that has just begun.
func (k *block) returnBonds() error {
	s := k.bonds.slot(theBonds{})
	if err := k.bonds.load(theBonds{}, s); err != nil {
		return err
	}
	now := k.epoch.Epoch
	due := func(b ledger.Bond) bool { return b.Until != 0 && b.Return() <= now }
	if !slices.ContainsFunc(s.value, due) {
		return nil
	}
	var left ledger.Bonds
	for _, b := range s.value {
		if !due(b) {
			left = append(left, b)
			continue
		}
		if err := k.credit(b.Account, b.Amount); err != nil {
			return err
		}
		k.events = append(k.events, ledger.Event{Kind: ledger.EventBondReturned, To: b.Account, Amount: b.Amount, Epoch: now,
			Monitor: b.Monitor})
	}
	if len(left) > 0 {
		s.put(left)
	} else {
		s.drop()
	}
	return nil
}

package machine

import (
	"bytes"
	"slices"

	"walrus/ledger"
	"walrus/ledger/merkle"
)

// Genesis returns the state before the first block: parameters, first epoch, members and the accounts that have WAL.
// The changes apply to an empty state and ascend by key; the tree includes them. Errors wrap ledger.ErrGenesis.
func Genesis(g *ledger.Genesis) ([]Change, *merkle.Tree, error) {
	if err := g.Validate(); err != nil {
		return nil, nil, err
	}
	balances, err := g.Balances()
	if err != nil {
		return nil, nil, err
	}
	params := g.Params()
	epoch := ledger.EpochInfo{Epoch: ledger.FirstEpoch, Start: params.GenesisTime}
	changes := []Change{
		{Key: ledger.KeyParams(), Value: params.Marshal()},
		{Key: ledger.KeyEpoch(), Value: epoch.Marshal()},
	}
	for i := range g.Members {
		changes = append(changes, Change{Key: ledger.KeyMember(uint16(i)), Value: g.Members[i].Marshal()})
	}
	for _, b := range balances {
		changes = append(changes, Change{Key: ledger.KeyAccount(b.Address),
			Value: ledger.Account{Balance: b.Amount}.Marshal()})
	}
	slices.SortFunc(changes, func(a, b Change) int { return bytes.Compare(a.Key, b.Key) })
	return changes, merkle.Build(changes), nil
}

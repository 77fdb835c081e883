package ledger

import (
	"fmt"

	"walrus/certs"
)

// Committees knows the committee of each epoch. Members do not change yet: every epoch has the members of the genesis.
// Only this file relies on that. Safe for concurrent use.
type Committees struct {
	known *certs.Committee
}

var _ certs.Committees = (*Committees)(nil)

// Committees returns the committees of the network. Errors: as from Genesis.Committee.
func (g *Genesis) Committees() (*Committees, error) {
	c, err := g.Committee()
	if err != nil {
		return nil, err
	}
	return &Committees{c}, nil
}

// CommitteesOf makes the committees of the network from the members that its ledger lists for an epoch. It verifies
// their keys, which takes about 0.9 ms per member. Errors: as from certs.NewCommittee.
func (g *Genesis) CommitteesOf(epoch uint32, members []Member) (*Committees, error) {
	c, err := g.committee(epoch, members)
	if err != nil {
		return nil, fmt.Errorf("make a committee of the ledger's members in epoch %d: %w", epoch, err)
	}
	return &Committees{c}, nil
}

// At returns the committee of an epoch. It does not block.
func (c *Committees) At(epoch uint32) (*certs.Committee, error) {
	if epoch < FirstEpoch {
		return nil, fmt.Errorf("epoch %d: %w", epoch, certs.ErrUnknownEpoch)
	}
	return c.known.ForEpoch(epoch), nil
}

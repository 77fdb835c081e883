package config

import (
	"fmt"

	"walrus/ledger"
)

// Member is the node's entry in the genesis of the named network, without shards: peer ID, BLS key, and the proof that
// the node has that key.
func (k *Keys) Member(network, name string) (ledger.GenesisMember, error) {
	if err := ledger.CheckNetwork(network); err != nil {
		return ledger.GenesisMember{}, err
	}
	id, err := k.PeerID()
	if err != nil {
		return ledger.GenesisMember{}, fmt.Errorf("make genesis member: %w", err)
	}
	return ledger.GenesisMember{Node: id, Name: name, Key: k.BLS.Public(), Proof: k.BLS.ProvePossession(network, id)}, nil
}

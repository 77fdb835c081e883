package config

import (
	"crypto/ed25519"
	"fmt"

	"walrus/ledger"
)

// Member returns the node's entry in the genesis of the named network, without shards: peer ID, BLS key, proof of
// possession of the BLS key, and consensus key. Rewards go to the account of the node's identity key.
func (k *Keys) Member(network, name string) (ledger.GenesisMember, error) {
	if err := ledger.CheckNetwork(network); err != nil {
		return ledger.GenesisMember{}, err
	}
	id, err := k.PeerID()
	if err != nil {
		return ledger.GenesisMember{}, fmt.Errorf("make genesis member: %w", err)
	}
	return ledger.GenesisMember{
		Node: id, Name: name, Key: k.BLS.Public(), Proof: k.BLS.ProvePossession(network, id), Consensus: k.ConsensusKey(),
	}, nil
}

// ConsensusKey returns the public half of the consensus key.
func (k *Keys) ConsensusKey() (public ledger.PublicKey) {
	copy(public[:], k.Consensus[ed25519.SeedSize:]) // 64 bytes: the seed, then the public key
	return public
}

package certs_test

import (
	"errors"
	"fmt"
	"math/rand/v2"

	"github.com/libp2p/go-libp2p/core/peer"

	"walrus/certs"
	"walrus/shards"
)

// newCommittee makes a committee of four nodes with one shard each, and their secret keys.
func newCommittee() (*certs.Committee, []*certs.SecretKey) {
	random := rand.NewChaCha8([32]byte{1}) // in a program, crypto/rand
	var members []certs.Member
	var keys []*certs.SecretKey
	for i := range 4 {
		key, err := certs.NewSecretKey(random)
		if err != nil {
			panic(err)
		}
		node := peer.ID(fmt.Sprintf("node-%d", i))
		members = append(members, certs.Member{
			Node: node, Key: key.Public(), Proof: key.ProvePossession("example", node), Shards: []int{i},
		})
		keys = append(keys, key)
	}
	committee, err := certs.NewCommittee("example", certs.NetworkID{1}, 7, 4, members)
	if err != nil {
		panic(err)
	}
	return committee, keys
}

// Each node confirms that it stores its slivers. A quorum of confirmations makes a certificate, which anybody verifies.
func ExampleCommittee_Aggregate() {
	committee, keys := newCommittee()
	blob := shards.BlobID{42}
	permanent := certs.Persistence{}

	var confirmations []certs.Confirmation
	for i, member := range committee.Members()[:committee.Quorum()] {
		confirmations = append(confirmations, committee.Sign(keys[i], member.Node, blob, permanent))
	}
	certificate, bad, err := committee.Aggregate(blob, permanent, confirmations)
	if err != nil {
		panic(err)
	}
	fmt.Println("signed:", certificate.Weight(committee), "of 4 shards; wrong signatures:", len(bad))
	fmt.Println("verified:", committee.Verify(certificate))
	// Output:
	// signed: 3 of 4 shards; wrong signatures: 0
	// verified: <nil>
}

// A certificate counts only for the blob that its signers confirmed.
func ExampleCommittee_Verify() {
	committee, keys := newCommittee()
	var confirmations []certs.Confirmation
	for i, member := range committee.Members() {
		confirmations = append(confirmations, committee.Sign(keys[i], member.Node, shards.BlobID{42}, certs.Persistence{}))
	}
	certificate, _, err := committee.Aggregate(shards.BlobID{42}, certs.Persistence{}, confirmations)
	if err != nil {
		panic(err)
	}

	certificate.Blob = shards.BlobID{43}
	fmt.Println(errors.Is(committee.Verify(certificate), certs.ErrSignature))
	// Output: true
}

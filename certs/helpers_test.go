package certs

import (
	"crypto/ed25519"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"

	"walrus/shards"
)

const testNetwork = "test"

// network is a committee with all secret keys, derived from a seed.
type network struct {
	*Committee
	keys []*SecretKey
}

// chacha is a reproducible source of keys.
func chacha(seed byte) *rand.ChaCha8 { return rand.NewChaCha8([32]byte{seed}) }

func newMember(t testing.TB, r *rand.ChaCha8, shardList ...int) (*SecretKey, Member) {
	t.Helper()
	_, priv, err := ed25519.GenerateKey(r)
	if err != nil {
		t.Fatal(err)
	}
	identity, err := crypto.UnmarshalEd25519PrivateKey(priv)
	if err != nil {
		t.Fatal(err)
	}
	node, err := peer.IDFromPrivateKey(identity)
	if err != nil {
		t.Fatal(err)
	}
	sk, err := NewSecretKey(r)
	if err != nil {
		t.Fatal(err)
	}
	return sk, Member{Node: node, Key: sk.Public(), Proof: sk.ProvePossession(testNetwork, node), Shards: shardList}
}

// newNetwork makes a network of count members with n/count shards each.
func newNetwork(t testing.TB, seed byte, n, count int) network {
	t.Helper()
	r := chacha(seed)
	var keys []*SecretKey
	var members []Member
	for i := range count {
		var list []int
		for s := i * n / count; s < (i+1)*n/count; s++ {
			list = append(list, s)
		}
		sk, m := newMember(t, r, list...)
		keys, members = append(keys, sk), append(members, m)
	}
	c, err := NewCommittee(testNetwork, NetworkID{seed}, 7, n, members)
	if err != nil {
		t.Fatal(err)
	}
	return network{c, keys}
}

// ten is a committee of 10 members with one shard each (f = 3, quorum 7), shared by all tests.
func ten(t testing.TB) network {
	tenOnce.Do(func() { tenNetwork = newNetwork(t, 1, 10, 10) })
	return tenNetwork
}

var (
	tenOnce    sync.Once
	tenNetwork network
)

func (n network) sign(i int, blob shards.BlobID, p Persistence) Confirmation {
	return n.Sign(n.keys[i], n.members[i].Node, blob, p)
}

// signAll returns the confirmations of members [from, to).
func (n network) signAll(from, to int, blob shards.BlobID, p Persistence) []Confirmation {
	var confs []Confirmation
	for i := from; i < to; i++ {
		confs = append(confs, n.sign(i, blob, p))
	}
	return confs
}

// certify returns a certificate of the first count members.
func (n network) certify(t testing.TB, count int, blob shards.BlobID, p Persistence) *Certificate {
	t.Helper()
	cert, bad, err := n.Aggregate(blob, p, n.signAll(0, count, blob, p))
	if err != nil || len(bad) > 0 {
		t.Fatalf("aggregate: bad %v, %v", bad, err)
	}
	return cert
}

// newThresholds makes a committee that only has its number of shards.
func newThresholds(t *testing.T, n int) *Committee {
	t.Helper()
	p, err := shards.NewParams(n)
	if err != nil {
		t.Fatal(err)
	}
	return &Committee{params: p}
}

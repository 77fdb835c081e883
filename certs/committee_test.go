package certs

import (
	"errors"
	"slices"
	"strings"
	"testing"

	bls "github.com/consensys/gnark-crypto/ecc/bls12-381"
	"github.com/libp2p/go-libp2p/core/peer"

	"walrus/shards"
)

func TestNewCommitteeRefuses(t *testing.T) {
	r := chacha(2)
	_, a := newMember(t, r, 0, 1)
	_, b := newMember(t, r, 2)
	_, c := newMember(t, r, 3)
	with := func(m Member, change func(*Member)) Member { change(&m); return m }
	tests := []struct {
		name    string
		n       int
		members []Member
		want    error
		text    string
	}{
		{"too few shards", 3, []Member{a}, ErrCommittee, "3 shards"},
		{"too many shards", 65536, []Member{a}, ErrCommittee, "65536"},
		{"no members", 4, nil, ErrCommittee, "0 members"},
		{"more members than shards", 4, []Member{a, b, c, a, b}, ErrCommittee, "5 members"},
		{"shard missing", 5, []Member{a, b, c}, ErrCommittee, "nobody holds shard 4"},
		{"shard held twice", 4, []Member{a, b, with(c, func(m *Member) { m.Shards = []int{2} })}, ErrCommittee,
			"shard 2 is held twice"},
		{"shard twice by one", 4, []Member{with(a, func(m *Member) { m.Shards = []int{0, 0} }), b, c}, ErrCommittee,
			"shard 0 is held twice"},
		{"shard too large", 4, []Member{a, b, with(c, func(m *Member) { m.Shards = []int{4} })}, ErrCommittee, "shard 4"},
		{"negative shard", 4, []Member{a, b, with(c, func(m *Member) { m.Shards = []int{-1} })}, ErrCommittee, "shard -1"},
		{"no shard", 4, []Member{a, b, with(c, func(m *Member) { m.Shards = nil })}, ErrCommittee, "no shard"},
		{"no peer ID", 4, []Member{a, b, with(c, func(m *Member) { m.Node = "" })}, ErrCommittee, "member 2"},
		{"long peer ID", 4, []Member{a, b, with(c, func(m *Member) { m.Node = peer.ID(strings.Repeat("x", 65)) })},
			ErrCommittee, "member 2"},
		{"same peer ID", 4, []Member{a, b, with(c, func(m *Member) { m.Node = a.Node })}, ErrCommittee, "same peer ID"},
		{"same key", 4, []Member{a, b, with(c, func(m *Member) { m.Key = a.Key })}, ErrCommittee, "same key"},
		{"proof of another", 4, []Member{a, b, with(c, func(m *Member) { m.Proof = a.Proof })}, ErrKey, "member 2"},
		{"no proof", 4, []Member{a, b, with(c, func(m *Member) { m.Proof = Signature{} })}, ErrKey, "member 2"},
		{"key at infinity", 4, []Member{a, b, with(c, func(m *Member) { m.Key, m.Proof = infinityKey, infinitySignature })},
			ErrKey, "member 2"},
		{"key outside subgroup", 4, []Member{a, b, with(c, func(m *Member) { m.Key = keyOutsideSubgroup(t) })},
			ErrKey, "subgroup"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := NewCommittee(testNetwork, NetworkID{}, 1, tt.n, tt.members)
			if !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.text) {
				t.Errorf("%v: want %v with %q", err, tt.want, tt.text)
			}
		})
	}
	if _, err := NewCommittee("other", NetworkID{}, 1, 4, []Member{a, b, c}); !errors.Is(err, ErrKey) {
		t.Errorf("proofs for another network: %v, want ErrKey", err)
	}
	if _, err := NewCommittee(strings.Repeat("n", MaxNetworkName+1), NetworkID{}, 1, 4,
		[]Member{a, b, c}); !errors.Is(err, ErrCommittee) {
		t.Errorf("long network name: %v, want ErrCommittee", err)
	}
}

// TestRogueKey mounts the attack that proofs of possession prevent: a key computed from another's so that the
// attacker alone can sign for both.
func TestRogueKey(t *testing.T) {
	r := chacha(5)
	_, victim := newMember(t, r, 0, 1)
	secret, attacker := newMember(t, r, 2, 3)
	own, err := secret.Public().point()
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := victim.Key.point()
	if err != nil {
		t.Fatal(err)
	}
	rogue := new(bls.G1Affine).Sub(&own, &theirs)
	attacker.Key = rogue.Bytes()

	// The attack works mathematically: the attacker's own signature verifies under the sum of both keys.
	hash, err := hashToG2([]byte("message"), dstSignature)
	if err != nil {
		t.Fatal(err)
	}
	sig, err := secret.sign([]byte("message"), dstSignature).point()
	if err != nil {
		t.Fatal(err)
	}
	if err := verify(*new(bls.G1Affine).Add(rogue, &theirs), hash, sig); err != nil {
		t.Fatalf("the attack should verify: %v", err)
	}
	// So no committee may accept the key, with any proof the attacker can make.
	for _, proof := range []Signature{attacker.Proof, secret.ProvePossession(testNetwork, attacker.Node),
		secret.sign(possessionMessage(testNetwork, attacker.Node, attacker.Key), dstPossession)} {
		attacker.Proof = proof
		if _, err := NewCommittee(testNetwork, NetworkID{}, 1, 4, []Member{victim, attacker}); !errors.Is(err, ErrKey) {
			t.Errorf("rogue key: %v, want ErrKey", err)
		}
	}
}

func TestCommitteeLookups(t *testing.T) {
	r := chacha(6)
	_, a := newMember(t, r, 3, 0)
	_, b := newMember(t, r, 1, 2, 4)
	given := []Member{a, b}
	c, err := NewCommittee(testNetwork, NetworkID{9}, 3, 5, given)
	if err != nil {
		t.Fatal(err)
	}
	given[0].Shards[0] = 99 // the committee has its own copy
	if c.Epoch() != 3 || c.Network() != (NetworkID{9}) || c.Params().Shards() != 5 {
		t.Errorf("epoch %d, network %s, %d shards", c.Epoch(), c.Network(), c.Params().Shards())
	}
	if got := c.Members()[0].Shards; !slices.Equal(got, []int{0, 3}) {
		t.Errorf("member 0 holds %v, want 0 and 3", got)
	}
	for shard, want := range []peer.ID{a.Node, b.Node, b.Node, a.Node, b.Node} {
		if got := c.Owner(shard); got == nil || got.Node != want {
			t.Errorf("owner of shard %d: %v, want %s", shard, got, want)
		}
	}
	if c.Owner(-1) != nil || c.Owner(5) != nil {
		t.Error("shards that do not exist have owners")
	}
	if i, ok := c.Member(b.Node); i != 1 || !ok {
		t.Errorf("b is member %d, %v", i, ok)
	}
	if _, ok := c.Member("nobody"); ok {
		t.Error("nobody is a member")
	}
	if c.Weight(0) != 2 || c.Weight(1) != 3 || c.Weight(2) != 0 || c.Weight(-1) != 0 {
		t.Error("weights are wrong")
	}
}

func TestThresholds(t *testing.T) {
	for n := 4; n < 2000; n++ {
		c := newThresholds(t, n)
		w, h := c.Quorum(), c.OneHonest()
		if 3*w < 2*n+1 || 3*(w-1) >= 2*n+1 {
			t.Fatalf("n = %d: quorum %d is not the least with 3w ≥ 2n+1", n, w)
		}
		if 3*h < n+1 || 3*(h-1) >= n+1 {
			t.Fatalf("n = %d: one honest %d is not the least with 3w ≥ n+1", n, h)
		}
		if f := c.Params().Faulty(); h != f+1 && h != f+2 || w > n-f {
			t.Fatalf("n = %d: f = %d, quorum %d, one honest %d", n, f, w, h)
		}
	}
}

func TestForEpoch(t *testing.T) {
	c := ten(t)
	later := c.ForEpoch(c.Epoch() + 1)
	cert := c.certify(t, 7, shards.BlobID{1}, Persistence{})
	if err := later.Verify(cert); !errors.Is(err, ErrEpoch) {
		t.Errorf("certificate of the epoch before: %v, want ErrEpoch", err)
	}
	if err := later.ForEpoch(c.Epoch()).Verify(cert); err != nil {
		t.Errorf("back in its epoch: %v", err)
	}
	cert.Epoch++ // which its signatures do not cover
	if err := later.Verify(cert); !errors.Is(err, ErrSignature) {
		t.Errorf("certificate with another epoch written in: %v, want ErrSignature", err)
	}
	if c.Epoch() != 7 || later.Epoch() != 8 || len(later.Members()) != 10 || later.Network() != c.Network() {
		t.Errorf("epochs %d and %d", c.Epoch(), later.Epoch())
	}
}

package certs

import (
	"errors"
	"fmt"
	"math/big"
	"math/rand/v2"
	"slices"
	"testing"

	bls "github.com/consensys/gnark-crypto/ecc/bls12-381"
	"github.com/consensys/gnark-crypto/ecc/bls12-381/fr"
	"github.com/libp2p/go-libp2p/core/peer"

	"walrus/shards"
)

// nodes lists the peer IDs of members, sorted as in Aggregate's bad.
func (n network) nodes(members ...int) []peer.ID {
	var ids []peer.ID
	for _, i := range members {
		ids = append(ids, n.members[i].Node)
	}
	slices.Sort(ids)
	return ids
}

func TestAggregate(t *testing.T) {
	n := ten(t)
	good := func(members ...int) (confs []Confirmation) {
		for _, i := range members {
			confs = append(confs, n.sign(i, blobA, permanent))
		}
		return confs
	}
	forged := func(i int) Confirmation { // a valid signature, of another blob
		conf := n.sign(i, blobB, permanent)
		conf.Blob = blobA
		return conf
	}
	broken := func(i int) Confirmation { // no point at all
		conf := n.sign(i, blobA, permanent)
		conf.Signature = Signature{}
		return conf
	}
	with := func(conf Confirmation, change func(*Confirmation)) Confirmation { change(&conf); return conf }
	all := []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}
	tests := []struct {
		name  string
		confs []Confirmation
		want  []uint16
		bad   []peer.ID
		err   error
	}{
		{"all", good(all...), []uint16{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}, nil, nil},
		{"quorum in any order", good(9, 3, 5, 1, 7, 0, 8), []uint16{0, 1, 3, 5, 7, 8, 9}, nil, nil},
		{"none", nil, nil, nil, ErrWeight},
		{"one below quorum", good(0, 1, 2, 3, 4, 5), nil, nil, ErrWeight},
		{"repeated do not count twice", append(good(0, 1, 2, 3, 4, 5), good(5, 5, 0)...), nil, nil, ErrWeight},
		{"repeated", append(good(0, 1, 2, 3, 4, 5, 6), good(6, 0)...), []uint16{0, 1, 2, 3, 4, 5, 6}, nil, nil},
		{"f forged", append(good(1, 2, 4, 5, 6, 7, 8), forged(0), forged(3), forged(9)), []uint16{1, 2, 4, 5, 6, 7, 8},
			n.nodes(0, 3, 9), nil},
		{"f+1 forged", append(good(1, 2, 4, 5, 6, 7), forged(0), forged(3), forged(8), forged(9)), nil,
			n.nodes(0, 3, 8, 9), ErrWeight},
		{"no points", append(good(0, 1, 2, 3, 4, 5, 6), broken(7), broken(8)), []uint16{0, 1, 2, 3, 4, 5, 6},
			n.nodes(7, 8), nil},
		{"infinity", append(good(0, 1, 2, 3, 4, 5, 6),
			with(good(7)[0], func(c *Confirmation) { c.Signature = infinitySignature })),
			[]uint16{0, 1, 2, 3, 4, 5, 6}, n.nodes(7), nil},
		{"other blob", append(good(0, 1, 2, 3, 4, 5, 6), n.sign(8, blobB, permanent)), []uint16{0, 1, 2, 3, 4, 5, 6},
			n.nodes(8), nil},
		{"other persistence", append(good(0, 1, 2, 3, 4, 5, 6), n.sign(8, blobA, deletable)), []uint16{0, 1, 2, 3, 4, 5, 6},
			n.nodes(8), nil},
		{"other epoch", append(good(0, 1, 2, 3, 4, 5, 6), with(good(8)[0], func(c *Confirmation) { c.Epoch = 1 })),
			[]uint16{0, 1, 2, 3, 4, 5, 6}, n.nodes(8), nil},
		{"stranger", append(good(0, 1, 2, 3, 4, 5, 6), with(good(8)[0], func(c *Confirmation) { c.Node = "stranger" })),
			[]uint16{0, 1, 2, 3, 4, 5, 6}, []peer.ID{"stranger"}, nil},
		{"forged first, good later", append([]Confirmation{forged(6)}, good(0, 1, 2, 3, 4, 5, 6)...),
			[]uint16{0, 1, 2, 3, 4, 5, 6}, nil, nil},
		{"good first, forged later", append(good(0, 1, 2, 3, 4, 5, 6), forged(6)), []uint16{0, 1, 2, 3, 4, 5, 6}, nil, nil},
		{"stolen", append(good(0, 1, 2, 3, 4, 5), with(good(0)[0], func(c *Confirmation) { c.Node = n.members[6].Node })),
			nil, n.nodes(6), ErrWeight},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cert, bad, err := n.Aggregate(blobA, permanent, tt.confs)
			if !errors.Is(err, tt.err) || !slices.Equal(bad, tt.bad) {
				t.Fatalf("bad %v, %v: want %v, %v", bad, err, tt.bad, tt.err)
			}
			if tt.err != nil {
				if cert != nil {
					t.Error("a certificate beside an error")
				}
				return
			}
			if !slices.Equal(cert.Signers, tt.want) {
				t.Errorf("signers %v, want %v", cert.Signers, tt.want)
			}
			if err := n.Verify(cert); err != nil {
				t.Error(err)
			}
		})
	}
	if _, _, err := n.Aggregate(blobA, Persistence{Object: ObjectID{1}}, good(all...)); !errors.Is(err, ErrFormat) {
		t.Errorf("permanent with object: %v, want ErrFormat", err)
	}
}

// TestAggregateFindsAnyBad tries random sets of liars among 40 members.
func TestAggregateFindsAnyBad(t *testing.T) {
	n := newNetwork(t, 9, 100, 40)
	r := rand.New(rand.NewPCG(9, 9))
	confs := n.signAll(0, 40, blobA, permanent)
	forged := n.signAll(0, 40, blobB, permanent)
	for range 12 {
		liars := r.Perm(40)[:r.IntN(13)]
		set := slices.Clone(confs)
		for _, i := range liars {
			set[i].Signature = forged[i].Signature
		}
		cert, bad, err := n.Aggregate(blobA, permanent, set)
		if err != nil || !slices.Equal(bad, n.nodes(liars...)) {
			t.Fatalf("liars %v: bad %v, %v", liars, bad, err)
		}
		if err := n.Verify(cert); err != nil || len(cert.Signers) != 40-len(liars) {
			t.Fatalf("liars %v: signers %v, %v", liars, cert.Signers, err)
		}
	}
}

// TestCancellingKeys has two members whose keys add up to infinity, with valid proofs of possession. They must not
// disturb the others, and their sum must not pass for a signature.
func TestCancellingKeys(t *testing.T) {
	r := chacha(10)
	sk, a := newMember(t, r, 0)
	negated := new(big.Int).Sub(fr.Modulus(), new(big.Int).SetBytes(sk.Bytes()))
	anti, err := ParseSecretKey(negated.FillBytes(make([]byte, SecretKeySize)))
	if err != nil {
		t.Fatal(err)
	}
	_, b := newMember(t, r, 1)
	b.Key, b.Proof = anti.Public(), anti.ProvePossession(testNetwork, b.Node)
	honest, c := newMember(t, r, 2)
	liar, d := newMember(t, r, 3)
	com, err := NewCommittee(testNetwork, NetworkID{}, 1, 4, []Member{a, b, c, d})
	if err != nil {
		t.Fatal(err)
	}
	confs := []Confirmation{com.Sign(sk, a.Node, blobA, permanent), com.Sign(anti, b.Node, blobA, permanent),
		com.Sign(honest, c.Node, blobA, permanent), com.Sign(liar, d.Node, blobB, permanent)}
	confs[3].Blob = blobA
	cert, bad, err := com.Aggregate(blobA, permanent, confs)
	if err != nil || !slices.Equal(bad, []peer.ID{d.Node}) {
		t.Fatalf("bad %v, %v: want only the liar", bad, err)
	}
	if err := com.Verify(cert); err != nil {
		t.Error(err)
	}
	hash, err := hashToG2([]byte("anything"), dstSignature)
	if err != nil {
		t.Fatal(err)
	}
	if err := verify(bls.G1Affine{}, hash, bls.G2Affine{}); !errors.Is(err, ErrSignature) {
		t.Errorf("infinity signed by infinity: %v, want ErrSignature", err)
	}
}

func BenchmarkSign(b *testing.B) {
	n := ten(b)
	for b.Loop() {
		n.sign(0, blobA, permanent)
	}
}

func BenchmarkVerify(b *testing.B) {
	for _, members := range []int{10, 100} {
		b.Run(fmt.Sprintf("members=%d", members), func(b *testing.B) {
			n := newNetwork(b, 11, 1000, members)
			cert := n.certify(b, members, blobA, permanent)
			for b.Loop() {
				if err := n.Verify(cert); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkAggregate(b *testing.B) {
	n := newNetwork(b, 11, 1000, 100)
	good := n.signAll(0, 100, blobA, permanent)
	for _, liars := range []int{0, 1, 33} {
		b.Run(fmt.Sprintf("members=100/bad=%d", liars), func(b *testing.B) {
			confs := slices.Clone(good)
			for i := range liars {
				confs[i*3].Signature = n.sign(i*3, shards.BlobID{1}, permanent).Signature
			}
			for b.Loop() {
				if _, bad, err := n.Aggregate(blobA, permanent, confs); err != nil || len(bad) != liars {
					b.Fatal(bad, err)
				}
			}
		})
	}
}

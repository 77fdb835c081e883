package certs

import (
	"bytes"
	"encoding/hex"
	"errors"
	"slices"
	"testing"

	"walrus/shards"
)

// refuteAll returns the refutations of members [from, to).
func (n network) refuteAll(from, to int, blob shards.BlobID) (list []Refutation) {
	for i := from; i < to; i++ {
		list = append(list, n.Refute(n.keys[i], n.members[i].Node, blob))
	}
	return list
}

// TestRefutationMessage pins the signed bytes, which no confirmation has.
func TestRefutationMessage(t *testing.T) {
	c := &Committee{network: NetworkID(bytes.Repeat([]byte{0x11}, 32)), epoch: 0x01020304}
	want := "020003" + hex.EncodeToString(c.network[:]) + "04030201" + hex.EncodeToString(blobA[:])
	if got := hex.EncodeToString(c.messageHead(intentRefutation, blobA)); got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestRefutation(t *testing.T) {
	n := ten(t)
	good := n.Refute(n.keys[4], n.members[4].Node, blobA)
	if err := n.VerifyRefutation(good); err != nil {
		t.Fatal(err)
	}
	back, err := UnmarshalRefutation(good.Node, good.Marshal())
	if err != nil || back != good {
		t.Errorf("%+v, %v", back, err)
	}
	confirmation := good
	confirmation.Signature = n.sign(4, blobA, permanent).Signature
	for name, tt := range map[string]struct {
		r    Refutation
		want error
	}{
		"confirmation":  {confirmation, ErrSignature},
		"other blob":    {Refutation{good.Node, good.Epoch, blobB, good.Signature}, ErrSignature},
		"other member":  {Refutation{n.members[5].Node, good.Epoch, blobA, good.Signature}, ErrSignature},
		"stranger":      {Refutation{"stranger", good.Epoch, blobA, good.Signature}, ErrSigners},
		"other epoch":   {Refutation{good.Node, good.Epoch + 1, blobA, good.Signature}, ErrEpoch},
		"no point":      {Refutation{good.Node, good.Epoch, blobA, Signature{}}, ErrSignature},
		"at infinity":   {Refutation{good.Node, good.Epoch, blobA, infinitySignature}, ErrSignature},
		"subgroup lost": {Refutation{good.Node, good.Epoch, blobA, signatureOutsideSubgroup(t)}, ErrSignature},
	} {
		if err := n.VerifyRefutation(tt.r); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", name, err, tt.want)
		}
	}
	asConfirmation := Confirmation{Node: good.Node, Epoch: good.Epoch, Blob: blobA, Signature: good.Signature}
	if err := n.VerifyConfirmation(asConfirmation); !errors.Is(err, ErrSignature) {
		t.Errorf("a refutation as confirmation: %v, want ErrSignature", err)
	}
}

// TestRefutationCertificate needs f+1 of 10 shards: 4.
func TestRefutationCertificate(t *testing.T) {
	n := ten(t)
	forged := n.refuteAll(7, 9, blobB)
	for i := range forged {
		forged[i].Blob = blobA
	}
	cert, bad, err := n.AggregateRefutations(blobA, append(n.refuteAll(0, 4, blobA), forged...))
	if err != nil || !slices.Equal(bad, n.nodes(7, 8)) || !slices.Equal(cert.Signers, []uint16{0, 1, 2, 3}) {
		t.Fatalf("%+v, bad %v, %v", cert, bad, err)
	}
	if err := n.VerifyRefutations(cert); err != nil {
		t.Fatal(err)
	}
	b := cert.Marshal()
	back, err := UnmarshalRefutationCertificate(b)
	if err != nil || !bytes.Equal(back.Marshal(), b) {
		t.Fatal(err)
	}
	if _, bad, err := n.AggregateRefutations(blobA,
		append(n.refuteAll(0, 3, blobA), forged...)); !errors.Is(err, ErrWeight) || len(bad) != 2 {
		t.Errorf("3 shards: bad %v, %v, want ErrWeight", bad, err)
	}
	with := func(change func(*RefutationCertificate)) *RefutationCertificate {
		c := *cert
		c.Signers = slices.Clone(cert.Signers)
		change(&c)
		return &c
	}
	for name, tt := range map[string]struct {
		cert *RefutationCertificate
		want error
	}{
		"other epoch":    {with(func(c *RefutationCertificate) { c.Epoch++ }), ErrEpoch},
		"other blob":     {with(func(c *RefutationCertificate) { c.Blob = blobB }), ErrSignature},
		"one less":       {with(func(c *RefutationCertificate) { c.Signers = c.Signers[1:] }), ErrWeight},
		"another signer": {with(func(c *RefutationCertificate) { c.Signers[3] = 4 }), ErrSignature},
		"repeated":       {with(func(c *RefutationCertificate) { c.Signers[3] = 2 }), ErrSigners},
		"no member":      {with(func(c *RefutationCertificate) { c.Signers[3] = 10 }), ErrSigners},
	} {
		if err := n.VerifyRefutations(tt.cert); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", name, err, tt.want)
		}
	}
	other, err := NewCommittee(testNetwork, NetworkID{99}, n.epoch, 10, n.members)
	if err != nil {
		t.Fatal(err)
	}
	if err := other.VerifyRefutations(cert); !errors.Is(err, ErrSignature) {
		t.Errorf("on another network: %v, want ErrSignature", err)
	}
	confirmed := n.certify(t, 7, blobA, permanent)
	if err := n.VerifyRefutations(&RefutationCertificate{confirmed.Epoch, blobA, confirmed.Signers,
		confirmed.Signature}); !errors.Is(err, ErrSignature) {
		t.Errorf("a certificate of confirmations: %v, want ErrSignature", err)
	}
}

func FuzzUnmarshalRefutationCertificate(f *testing.F) {
	n := ten(f)
	cert, _, err := n.AggregateRefutations(blobA, n.refuteAll(0, 5, blobA))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(cert.Marshal())
	f.Add([]byte{1})
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := UnmarshalRefutationCertificate(b)
		if err == nil && !bytes.Equal(c.Marshal(), b) {
			t.Fatal("a second form")
		}
		if r, err := UnmarshalRefutation("node", b); err == nil && !bytes.Equal(r.Marshal(), b) {
			t.Fatal("a second form of a refutation")
		}
	})
}

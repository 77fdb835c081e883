package certs

import (
	"bytes"
	"encoding/hex"
	"errors"
	"testing"

	"walrus/shards"
)

var (
	blobA     = shards.BlobID{0xa}
	blobB     = shards.BlobID{0xb}
	permanent = Persistence{}
	deletable = Persistence{Deletable: true, Object: ObjectID{0xd}}
)

// TestMessage pins the signed bytes: changing them makes a different network.
func TestMessage(t *testing.T) {
	c := &Committee{network: NetworkID(bytes.Repeat([]byte{0x11}, 32)), epoch: 0x01020304}
	head := "010003" + hex.EncodeToString(c.network[:]) + "04030201" + hex.EncodeToString(blobA[:])
	if got := hex.EncodeToString(c.message(blobA, permanent)); got != head+"00" {
		t.Errorf("permanent: %s", got)
	}
	if got := hex.EncodeToString(c.message(blobA, deletable)); got != head+"01"+hex.EncodeToString(deletable.Object[:]) {
		t.Errorf("deletable: %s", got)
	}
}

func TestVerifyConfirmation(t *testing.T) {
	n := ten(t)
	for _, p := range []Persistence{permanent, deletable, {Deletable: true}} {
		if err := n.VerifyConfirmation(n.sign(4, blobA, p)); err != nil {
			t.Errorf("%+v: %v", p, err)
		}
	}
	with := func(change func(*Confirmation)) Confirmation {
		conf := n.sign(4, blobA, deletable)
		change(&conf)
		return conf
	}
	tests := []struct {
		name string
		conf Confirmation
		want error
	}{
		{"other epoch", with(func(c *Confirmation) { c.Epoch++ }), ErrEpoch},
		{"stranger", with(func(c *Confirmation) { c.Node = "stranger" }), ErrSigners},
		{"nobody", with(func(c *Confirmation) { c.Node = "" }), ErrSigners},
		{"other member", with(func(c *Confirmation) { c.Node = n.members[5].Node }), ErrSignature},
		{"other blob", with(func(c *Confirmation) { c.Blob = blobB }), ErrSignature},
		{"made permanent", with(func(c *Confirmation) { c.Persistence = permanent }), ErrSignature},
		{"other object", with(func(c *Confirmation) { c.Persistence.Object[31] ^= 1 }), ErrSignature},
		{"permanent with object", with(func(c *Confirmation) { c.Persistence.Deletable = false }), ErrFormat},
		{"bit flipped", with(func(c *Confirmation) { c.Signature[95] ^= 1 }), ErrSignature},
		{"infinity", with(func(c *Confirmation) { c.Signature = infinitySignature }), ErrSignature},
		{"outside subgroup", with(func(c *Confirmation) { c.Signature = signatureOutsideSubgroup(t) }), ErrSignature},
		{"as proof of possession", with(func(c *Confirmation) { c.Signature = n.members[4].Proof }), ErrSignature},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if err := n.VerifyConfirmation(tt.conf); !errors.Is(err, tt.want) {
				t.Errorf("%v, want %v", err, tt.want)
			}
		})
	}
}

// TestNoReplay verifies signatures with a committee that differs only in network, or only in epoch.
func TestNoReplay(t *testing.T) {
	n := ten(t)
	conf, cert := n.sign(0, blobA, permanent), n.certify(t, 10, blobA, permanent)
	other, err := NewCommittee(testNetwork, NetworkID{99}, n.epoch, 10, n.members)
	if err != nil {
		t.Fatal(err)
	}
	if err := other.VerifyConfirmation(conf); !errors.Is(err, ErrSignature) {
		t.Errorf("confirmation in another network: %v, want ErrSignature", err)
	}
	if err := other.Verify(cert); !errors.Is(err, ErrSignature) {
		t.Errorf("certificate in another network: %v, want ErrSignature", err)
	}
	later, err := NewCommittee(testNetwork, n.network, n.epoch+1, 10, n.members)
	if err != nil {
		t.Fatal(err)
	}
	if err := later.Verify(cert); !errors.Is(err, ErrEpoch) {
		t.Errorf("certificate in the next epoch: %v, want ErrEpoch", err)
	}
	relabelled := *cert
	relabelled.Epoch++
	if err := later.Verify(&relabelled); !errors.Is(err, ErrSignature) {
		t.Errorf("relabelled certificate in the next epoch: %v, want ErrSignature", err)
	}
}

func TestConfirmationForm(t *testing.T) {
	n := ten(t)
	for _, p := range []Persistence{permanent, deletable} {
		conf := n.sign(2, blobA, p)
		b := conf.Marshal()
		back, err := UnmarshalConfirmation(conf.Node, b)
		if err != nil || back != conf || len(b) != ConfirmationSize {
			t.Errorf("%d bytes read back as %+v, %v", len(b), back, err)
		}
	}
	good := n.sign(2, blobA, permanent).Marshal()
	with := func(i int, v byte) []byte { b := bytes.Clone(good); b[i] = v; return b }
	for name, b := range map[string][]byte{
		"empty": nil, "short": good[:len(good)-1], "long": append(bytes.Clone(good), 0), "version": with(0, 2),
		"deletable 2": with(37, 2), "object of a permanent blob": with(38, 1),
	} {
		if _, err := UnmarshalConfirmation("node", b); !errors.Is(err, ErrFormat) {
			t.Errorf("%s: %v, want ErrFormat", name, err)
		}
	}
}

func FuzzUnmarshalConfirmation(f *testing.F) {
	f.Add(Confirmation{}.Marshal())
	f.Add(Confirmation{Epoch: 1, Blob: blobA, Persistence: deletable, Signature: infinitySignature}.Marshal())
	f.Fuzz(func(t *testing.T, b []byte) {
		conf, err := UnmarshalConfirmation("node", b)
		if err != nil {
			if !errors.Is(err, ErrFormat) {
				t.Fatalf("%v does not wrap ErrFormat", err)
			}
			return
		}
		if !bytes.Equal(conf.Marshal(), b) {
			t.Fatalf("%x is written back as %x", b, conf.Marshal())
		}
	})
}

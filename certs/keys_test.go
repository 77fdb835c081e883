package certs

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"testing"

	circl "github.com/cloudflare/circl/sign/bls"
	bls "github.com/consensys/gnark-crypto/ecc/bls12-381"
	"github.com/consensys/gnark-crypto/ecc/bls12-381/fp"
)

// infinity encodings: compressed flag, infinity flag, zeros.
var (
	infinityKey       = PublicKey{0xc0}
	infinitySignature = Signature{0xc0}
)

// keyOutsideSubgroup returns a point on the curve but not in the group of prime order.
func keyOutsideSubgroup(t *testing.T) PublicKey {
	t.Helper()
	for x := uint64(1); ; x++ {
		jac := bls.GeneratePointNotInG1(fp.NewElement(x))
		var p bls.G1Affine
		p.FromJacobian(&jac)
		if p.IsOnCurve() && !p.IsInfinity() && !p.IsInSubGroup() {
			return p.Bytes()
		}
	}
}

// signatureOutsideSubgroup does the same for G2.
func signatureOutsideSubgroup(t *testing.T) Signature {
	t.Helper()
	for x := uint64(1); ; x++ {
		var e bls.E2
		e.A0.SetUint64(x)
		jac := bls.GeneratePointNotInG2(e)
		var p bls.G2Affine
		p.FromJacobian(&jac)
		if p.IsOnCurve() && !p.IsInfinity() && !p.IsInSubGroup() {
			return p.Bytes()
		}
	}
}

func TestPointsOutsideAreRefused(t *testing.T) {
	generator := func() []byte { _, _, g1, _ := bls.Generators(); b := g1.Bytes(); return b[:] }()
	notOnCurve := PublicKey(generator)
	for x := byte(0); ; x++ { // about every other x has no y
		notOnCurve[PublicKeySize-1] = x
		var p bls.G1Affine
		if _, err := p.SetBytes(notOnCurve[:]); err != nil && strings.Contains(err.Error(), "square root") {
			break
		}
	}
	uncompressed := PublicKey(generator)
	uncompressed[0] &^= 0x80
	aboveModulus := PublicKey{}
	fp.Modulus().FillBytes(aboveModulus[:])
	aboveModulus[0] |= 0x80
	for name, key := range map[string]PublicKey{
		"infinity": infinityKey, "zero": {}, "outside subgroup": keyOutsideSubgroup(t), "not on curve": notOnCurve,
		"uncompressed flag": uncompressed, "x not reduced": aboveModulus,
	} {
		if _, err := key.point(); !errors.Is(err, ErrKey) {
			t.Errorf("key %s: %v, want ErrKey", name, err)
		}
	}
	for name, sig := range map[string]Signature{
		"infinity": infinitySignature, "zero": {}, "outside subgroup": signatureOutsideSubgroup(t),
	} {
		if _, err := sig.point(); !errors.Is(err, ErrSignature) {
			t.Errorf("signature %s: %v, want ErrSignature", name, err)
		}
	}
	if _, err := PublicKey(generator).point(); err != nil {
		t.Errorf("the generator is a good key: %v", err)
	}
}

// TestLibrariesAgree compares the two libraries and the definition of the scheme byte by byte.
func TestLibrariesAgree(t *testing.T) {
	r := chacha(3)
	for i := range 8 {
		sk, err := NewSecretKey(r)
		if err != nil {
			t.Fatal(err)
		}
		msg := bytes.Repeat([]byte{byte(i)}, i*37)
		sig := sk.sign(msg, dstSignature)

		var other circl.PrivateKey[circl.KeyG1SigG2]
		if err := other.UnmarshalBinary(sk.Bytes()); err != nil {
			t.Fatal(err)
		}
		if want := circl.Sign(&other, msg); !bytes.Equal(sig[:], want) {
			t.Errorf("circl signs\n%x, we\n%x", want, sig)
		}
		scalar := new(big.Int).SetBytes(sk.Bytes())
		hash, err := bls.HashToG2(msg, []byte(dstSignature))
		if err != nil {
			t.Fatal(err)
		}
		if got := hash.ScalarMultiplication(&hash, scalar).Bytes(); got != sig {
			t.Errorf("gnark signs\n%x, we\n%x", got, sig)
		}
		var key bls.G1Affine
		if got := PublicKey(key.ScalarMultiplicationBase(scalar).Bytes()); got != sk.Public() {
			t.Errorf("gnark's public key %s, ours %s", got, sk.Public())
		}
	}
}

// TestKnownKey pins the key format to a published vector, a key of the Ethereum BLS tests.
func TestKnownKey(t *testing.T) {
	secret, err := hex.DecodeString("263dbd792f5b1be47ed85f8938c0f29586af0d3ac7b977f21c278fe1462040e3")
	if err != nil {
		t.Fatal(err)
	}
	sk, err := ParseSecretKey(secret)
	if err != nil {
		t.Fatal(err)
	}
	const want = "0xa491d1b0ecd9bb917989f0e74f0dea0422eac4a873e5e2644f368dffb9a6e20fd6e10c1b77654d067c0618f6e5a7f79a"
	if got := sk.Public().String(); got != want {
		t.Errorf("public key %s, want %s", got, want)
	}
}

func TestSecretKey(t *testing.T) {
	sk, err := NewSecretKey(chacha(4))
	if err != nil {
		t.Fatal(err)
	}
	again, err := ParseSecretKey(sk.Bytes())
	if err != nil || again.Public() != sk.Public() || !bytes.Equal(again.Bytes(), sk.Bytes()) {
		t.Errorf("round trip: %v, %v", again, err)
	}
	order, _ := new(big.Int).SetString("73eda753299d7d483339d80809a1d80553bda402fffe5bfeffffffff00000001", 16)
	for name, b := range map[string][]byte{
		"empty": nil, "short": make([]byte, 31), "long": make([]byte, 33), "zero": make([]byte, 32), "order": order.Bytes(),
	} {
		if _, err := ParseSecretKey(b); !errors.Is(err, ErrKey) {
			t.Errorf("%s: %v, want ErrKey", name, err)
		}
	}
	if _, err := NewSecretKey(bytes.NewReader(make([]byte, 47))); err == nil {
		t.Error("a key was made from too little randomness")
	}
	if _, err := NewSecretKey(bytes.NewReader(make([]byte, 48))); !errors.Is(err, ErrKey) {
		t.Errorf("the zero key was made: %v", err)
	}
	secret := hex.EncodeToString(sk.Bytes())
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		if s := fmt.Sprintf(verb, sk); strings.Contains(s, secret[:8]) || !strings.Contains(s, sk.Public().String()) {
			t.Errorf("%s prints %s", verb, s)
		}
	}
}

func TestTextForms(t *testing.T) {
	sk := ten(t).keys[0]
	sig := sk.sign(nil, dstSignature)
	b, err := json.Marshal(map[string]any{"key": sk.Public(), "sig": sig, "object": ObjectID{1}})
	if err != nil {
		t.Fatal(err)
	}
	var back struct {
		Key    PublicKey
		Sig    Signature
		Object ObjectID
	}
	if err := json.Unmarshal(b, &back); err != nil || back.Key != sk.Public() || back.Sig != sig ||
		back.Object != (ObjectID{1}) {
		t.Errorf("%s read back as %+v, %v", b, back, err)
	}
	good := sk.Public().String()
	for _, text := range []string{"", "0x", good[2:], good[:96], good + "00", "0X" + good[2:],
		"0x" + strings.Repeat("g", 96)} {
		key := PublicKey{1}
		if err := key.UnmarshalText([]byte(text)); !errors.Is(err, ErrFormat) || key != (PublicKey{1}) {
			t.Errorf("%q: %v, key %s: want ErrFormat and an untouched key", text, err, key)
		}
	}
}

func TestPossession(t *testing.T) {
	n := ten(t)
	m, other := n.members[0], n.members[1]
	if err := VerifyPossession(testNetwork, m.Node, m.Key, m.Proof); err != nil {
		t.Fatal(err)
	}
	overSignature := n.keys[0].sign(possessionMessage(testNetwork, m.Node, m.Key), dstSignature)
	for name, err := range map[string]error{
		"other network":         VerifyPossession("main", m.Node, m.Key, m.Proof),
		"other node":            VerifyPossession(testNetwork, other.Node, m.Key, m.Proof),
		"other key":             VerifyPossession(testNetwork, m.Node, other.Key, m.Proof),
		"other proof":           VerifyPossession(testNetwork, m.Node, m.Key, other.Proof),
		"signature tag":         VerifyPossession(testNetwork, m.Node, m.Key, overSignature),
		"infinity proof":        VerifyPossession(testNetwork, m.Node, m.Key, infinitySignature),
		"infinity key":          VerifyPossession(testNetwork, m.Node, infinityKey, infinitySignature),
		"boundary moved":        VerifyPossession(testNetwork+string(m.Node[:1]), m.Node[1:], m.Key, m.Proof),
		"outside the subgroup":  VerifyPossession(testNetwork, m.Node, keyOutsideSubgroup(t), m.Proof),
		"proof not in subgroup": VerifyPossession(testNetwork, m.Node, m.Key, signatureOutsideSubgroup(t)),
	} {
		if !errors.Is(err, ErrKey) {
			t.Errorf("%s: %v, want ErrKey", name, err)
		}
	}
}

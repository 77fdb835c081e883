package certs

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"

	bls "github.com/consensys/gnark-crypto/ecc/bls12-381"
)

func TestVerify(t *testing.T) {
	n := ten(t)
	for _, p := range []Persistence{permanent, deletable} {
		for _, count := range []int{7, 10} {
			cert := n.certify(t, count, blobA, p)
			if err := n.Verify(cert); err != nil {
				t.Errorf("%d signers, %+v: %v", count, p, err)
			}
			if cert.Weight(n.Committee) != count {
				t.Errorf("weight %d, want %d", cert.Weight(n.Committee), count)
			}
		}
	}
}

func TestVerifyRefuses(t *testing.T) {
	n := ten(t)
	good := n.certify(t, 8, blobA, permanent)
	with := func(change func(*Certificate)) *Certificate {
		cert := *good
		cert.Signers = slices.Clone(good.Signers)
		change(&cert)
		return &cert
	}
	sum := func(confs ...Confirmation) Signature { // a sum that a forger can compute
		var s bls.G2Jac
		for _, conf := range confs {
			p, err := conf.Signature.point()
			if err != nil {
				t.Fatal(err)
			}
			s.AddMixed(&p)
		}
		return new(bls.G2Affine).FromJacobian(&s).Bytes()
	}
	six := n.signAll(0, 6, blobA, permanent)
	colluders := n.signAll(0, 4, blobA, permanent) // f+1
	tests := []struct {
		name string
		cert *Certificate
		want error
	}{
		{"zero value", &Certificate{}, ErrEpoch},
		{"other epoch", with(func(c *Certificate) { c.Epoch-- }), ErrEpoch},
		{"permanent with object", with(func(c *Certificate) { c.Persistence.Object[0] = 1 }), ErrFormat},
		{"no signers", with(func(c *Certificate) { c.Signers = nil }), ErrSigners},
		{"unknown signer", with(func(c *Certificate) { c.Signers[7] = 10 }), ErrSigners},
		{"far signer", with(func(c *Certificate) { c.Signers[7] = 65535 }), ErrSigners},
		{"duplicate signer", with(func(c *Certificate) { c.Signers[7] = 6 }), ErrSigners},
		{"unsorted signers", with(func(c *Certificate) { c.Signers[0], c.Signers[1] = 1, 0 }), ErrSigners},
		{"more signers than members", with(func(c *Certificate) { c.Signers = make([]uint16, 11) }), ErrSigners},
		{"one below quorum", with(func(c *Certificate) { c.Signers, c.Signature = c.Signers[:6], sum(six...) }), ErrWeight},
		{"f+1 colluders", with(func(c *Certificate) { c.Signers, c.Signature = c.Signers[:4], sum(colluders...) }),
			ErrWeight},
		{"f+1 colluders claim a quorum", with(func(c *Certificate) { c.Signature = sum(colluders...) }), ErrSignature},
		{"one signed twice for another", with(func(c *Certificate) {
			c.Signers, c.Signature = c.Signers[:7], sum(append(six, six[0])...)
		}), ErrSignature},
		{"signer left out", with(func(c *Certificate) { c.Signers = c.Signers[:7] }), ErrSignature},
		{"signer added", with(func(c *Certificate) { c.Signers = append(c.Signers, 8) }), ErrSignature},
		{"signer exchanged", with(func(c *Certificate) { c.Signers[7] = 9 }), ErrSignature},
		{"other blob", with(func(c *Certificate) { c.Blob = blobB }), ErrSignature},
		{"made deletable", with(func(c *Certificate) { c.Persistence = deletable }), ErrSignature},
		{"infinity", with(func(c *Certificate) { c.Signature = infinitySignature }), ErrSignature},
		{"zero signature", with(func(c *Certificate) { c.Signature = Signature{} }), ErrSignature},
		{"outside subgroup", with(func(c *Certificate) { c.Signature = signatureOutsideSubgroup(t) }), ErrSignature},
		{"sign flipped", with(func(c *Certificate) { c.Signature[0] ^= 0x20 }), ErrSignature},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if err := n.Verify(tt.cert); !errors.Is(err, tt.want) {
				t.Errorf("%v, want %v", err, tt.want)
			}
		})
	}
	if err := n.Verify(good); err != nil {
		t.Errorf("the good one: %v", err)
	}
}

// TestStraySignature adds a point outside the subgroup to a good signature. The sum is on the curve, and without the
// subgroup check one message would have many signatures.
func TestStraySignature(t *testing.T) {
	n := ten(t)
	cert := n.certify(t, 10, blobA, permanent)
	sig, err := cert.Signature.point()
	if err != nil {
		t.Fatal(err)
	}
	raw := signatureOutsideSubgroup(t)
	x := new(bls.E2)
	if err := x.A1.SetBytesCanonical(append([]byte{raw[0] & 0x1f}, raw[1:48]...)); err != nil {
		t.Fatal(err)
	}
	if err := x.A0.SetBytesCanonical(raw[48:]); err != nil {
		t.Fatal(err)
	}
	stray := bls.G2Affine{X: *x}
	stray.Y.Square(&stray.X).Mul(&stray.Y, &stray.X)
	var b bls.E2
	b.A0.SetUint64(4)
	b.A1.SetUint64(4)
	stray.Y.Add(&stray.Y, &b).Sqrt(&stray.Y)
	if !stray.IsOnCurve() || stray.IsInSubGroup() {
		t.Fatal("the stray point should be on the curve outside the subgroup")
	}
	cert.Signature = new(bls.G2Affine).Add(&sig, &stray).Bytes()
	if err := n.Verify(cert); !errors.Is(err, ErrSignature) || !strings.Contains(err.Error(), "subgroup") {
		t.Errorf("%v, want ErrSignature because of the subgroup", err)
	}
}

func TestWeightsAreShards(t *testing.T) {
	r := chacha(8)
	whale, m0 := newMember(t, r, 0, 1, 2, 3, 4, 5, 6)
	small, m1 := newMember(t, r, 7, 8, 9)
	c, err := NewCommittee(testNetwork, NetworkID{}, 1, 10, []Member{m0, m1})
	if err != nil {
		t.Fatal(err)
	}
	cert, _, err := c.Aggregate(blobA, permanent, []Confirmation{c.Sign(whale, m0.Node, blobA, permanent)})
	if err != nil || c.Verify(cert) != nil || cert.Weight(c) != 7 {
		t.Errorf("seven of ten shards in one hand are a quorum: %v", err)
	}
	if _, _, err := c.Aggregate(blobA, permanent,
		[]Confirmation{c.Sign(small, m1.Node, blobA, permanent)}); !errors.Is(err, ErrWeight) {
		t.Errorf("three of ten shards: %v, want ErrWeight", err)
	}
}

func TestCertificateForm(t *testing.T) {
	n := ten(t)
	good := n.certify(t, 8, blobA, deletable)
	b := good.Marshal()
	back, err := UnmarshalCertificate(b)
	if err != nil || !reflect.DeepEqual(back, good) {
		t.Fatalf("read back as %+v, %v", back, err)
	}
	text, err := json.Marshal(good)
	if err != nil {
		t.Fatal(err)
	}
	var fromJSON Certificate
	if err := json.Unmarshal(text, &fromJSON); err != nil || !reflect.DeepEqual(&fromJSON, good) {
		t.Errorf("JSON %s read back as %+v, %v", text, fromJSON, err)
	}
	if !strings.Contains(string(text), `"blobId":"`+blobA.String()+`"`) {
		t.Errorf("JSON %s has no blobId", text)
	}
	with := func(change func([]byte)) []byte { b := bytes.Clone(b); change(b); return b }
	for name, b := range map[string][]byte{
		"empty": nil, "short": b[:len(b)-1], "long": append(bytes.Clone(b), 0), "huge": make([]byte, MaxCertificateSize+1),
		"version":      with(func(b []byte) { b[0] = 0 }),
		"deletable":    with(func(b []byte) { b[37] = 0x81 }),
		"count":        with(func(b []byte) { binary.LittleEndian.PutUint16(b[headerSize:], 65535) }),
		"no signers":   append(with(func(b []byte) { b[headerSize] = 0 })[:headerSize+2], good.Signature[:]...),
		"not ordered":  with(func(b []byte) { b[headerSize+2] = 9 }),
		"repeated":     with(func(b []byte) { b[headerSize+2] = 1 }),
		"out of range": with(func(b []byte) { binary.LittleEndian.PutUint16(b[headerSize+2+14:], MaxMembers) }),
	} {
		if _, err := UnmarshalCertificate(b); !errors.Is(err, ErrFormat) && !errors.Is(err, ErrSigners) {
			t.Errorf("%s: %v, want ErrFormat or ErrSigners", name, err)
		}
	}
	all := &Certificate{Signers: make([]uint16, MaxMembers)}
	for i := range all.Signers {
		all.Signers[i] = uint16(i)
	}
	if b := all.Marshal(); len(b) != MaxCertificateSize {
		t.Errorf("the largest certificate has %d bytes, not %d", len(b), MaxCertificateSize)
	} else if _, err := UnmarshalCertificate(b); err != nil {
		t.Errorf("the largest certificate: %v", err)
	}
}

// TestWireIsPinned pins the binary forms byte by byte: other versions of the software read them.
func TestWireIsPinned(t *testing.T) {
	sig := Signature(bytes.Repeat([]byte{0x55}, SignatureSize))
	head := "01" + "07000000" + hex.EncodeToString(blobA[:])
	object := hex.EncodeToString(deletable.Object[:])
	tail := strings.Repeat("55", SignatureSize)
	for _, tt := range []struct {
		got  []byte
		want string
	}{
		{Confirmation{"node", 7, blobA, permanent, sig}.Marshal(), head + "00" + strings.Repeat("00", 32) + tail},
		{Confirmation{"node", 7, blobA, deletable, sig}.Marshal(), head + "01" + object + tail},
		{(&Certificate{7, blobA, deletable, []uint16{1, 0x203}, sig}).Marshal(), head + "01" + object + "0200" +
			"0100" + "0302" + tail},
		{possessionMessage("net", "peer", PublicKey{9}),
			hex.EncodeToString([]byte("walrus proof of possession 1\x00\x03net\x04peer")) + "09" + strings.Repeat("00", 47)},
	} {
		if got := hex.EncodeToString(tt.got); got != tt.want {
			t.Errorf("%s\nwant %s", got, tt.want)
		}
	}
}

func FuzzUnmarshalCertificate(f *testing.F) {
	f.Add((&Certificate{Signers: []uint16{0}}).Marshal())
	f.Add((&Certificate{Epoch: 1, Blob: blobA, Persistence: deletable, Signers: []uint16{1, 2, 4095}}).Marshal())
	n := ten(f)
	f.Add(n.certify(f, 9, blobB, permanent).Marshal())
	f.Fuzz(func(t *testing.T, b []byte) {
		cert, err := UnmarshalCertificate(b)
		if err != nil {
			if !errors.Is(err, ErrFormat) && !errors.Is(err, ErrSigners) {
				t.Fatalf("%v wraps no sentinel", err)
			}
			return
		}
		if !bytes.Equal(cert.Marshal(), b) {
			t.Fatalf("%x is written back as %x", b, cert.Marshal())
		}
		if err := n.Verify(cert); err == nil && cert.Weight(n.Committee) < n.Quorum() {
			t.Fatalf("a certificate of weight %d verifies", cert.Weight(n.Committee))
		}
	})
}

package round

import (
	"crypto/ed25519"
	"encoding/binary"
	"fmt"

	"golang.org/x/crypto/blake2b"

	"walrus/certs"
)

// RebuttalRounds: a rebuttal comes at most so many rounds after the round it is about.
const RebuttalRounds = 2

// Rebuttal is a member's word that a node, which a monitor attested to be silent, answered the member. Receipt is the
// node's signed answer to a question with the nonce RebuttalNonce: that part the member cannot make up. Binary form:
//
//	kind 2 u8 ‖ round u64 ‖ epoch u32 ‖ accuser 32 ‖ node 32 ‖ member 32 ‖ length u16 ‖ receipt ‖ signature 64
type Rebuttal struct {
	Round   uint64
	Epoch   uint32
	Accuser Key
	Node    Key
	Member  Key    // relayed the question
	Receipt []byte // binary form of a probe's receipt: 1 to MaxReceipt bytes

	Signature [ed25519.SignatureSize]byte // the member's
}

const nonceDomain = "walrus monitor rebuttal nonce 1\x00"

// RebuttalNonce returns the nonce of the question with which a member rebuts an accusation. The seed is that of the
// round after the accusation, so no answer can have been signed before.
func RebuttalNonce(seed Seed, accuser, node Key) (nonce [16]byte) {
	b := append(make([]byte, 0, 128), nonceDomain...)
	b = append(append(append(b, seed[:]...), accuser[:]...), node[:]...)
	h := blake2b.Sum256(b)
	copy(nonce[:], h[:])
	return nonce
}

// body is the binary form without the signature.
func (r *Rebuttal) body() ([]byte, error) {
	if len(r.Receipt) == 0 || len(r.Receipt) > MaxReceipt {
		return nil, fmt.Errorf("%w: receipt of %d bytes: want 1 to %d", ErrFormat, len(r.Receipt), MaxReceipt)
	}
	b := append(make([]byte, 0, 175+len(r.Receipt)), byte(KindRebuttal))
	b = binary.LittleEndian.AppendUint64(b, r.Round)
	b = binary.LittleEndian.AppendUint32(b, r.Epoch)
	b = append(append(append(b, r.Accuser[:]...), r.Node[:]...), r.Member[:]...)
	b = binary.LittleEndian.AppendUint16(b, uint16(len(r.Receipt)))
	return append(b, r.Receipt...), nil
}

// Encode returns the binary form. Errors wrap ErrFormat if the receipt is missing or too long.
func (r *Rebuttal) Encode() ([]byte, error) {
	b, err := r.body()
	if err != nil {
		return nil, err
	}
	return append(b, r.Signature[:]...), nil
}

// ParseRebuttal decodes the binary form. Errors wrap ErrFormat.
func ParseRebuttal(b []byte) (*Rebuttal, error) {
	in := reader{b: b}
	if kind := in.u8("kind"); Kind(kind) != KindRebuttal {
		in.fail("kind %d", kind)
	}
	r := &Rebuttal{Round: in.u64("round"), Epoch: in.u32("epoch"), Accuser: in.key("accuser"), Node: in.key("node"),
		Member: in.key("member")}
	n := int(in.u16("length"))
	if n == 0 || n > MaxReceipt {
		in.fail("receipt of %d bytes: want 1 to %d", n, MaxReceipt)
	}
	if in.err != nil {
		return nil, in.err
	}
	r.Receipt = append([]byte(nil), in.take("receipt", n)...)
	r.Signature = [ed25519.SignatureSize]byte(in.take("signature", ed25519.SignatureSize))
	if err := in.end(); err != nil {
		return nil, err
	}
	return r, nil
}

// Sign sets the member to sk's key and signs. Errors: as from Encode.
func (r *Rebuttal) Sign(network certs.NetworkID, sk ed25519.PrivateKey) error {
	r.Member = keyOf(sk)
	body, err := r.body()
	if err != nil {
		return err
	}
	r.Signature = [ed25519.SignatureSize]byte(ed25519.Sign(sk, signed(rebuttalDomain, network, body)))
	return nil
}

// Verify checks the member's signature, not the receipt: NewBook is given a function for that. Errors wrap ErrSignature
// or ErrFormat.
func (r *Rebuttal) Verify(network certs.NetworkID) error {
	body, err := r.body()
	if err != nil {
		return err
	}
	return verify(rebuttalDomain, network, body, r.Member, r.Signature)
}

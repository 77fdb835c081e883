package certs

import (
	"encoding/hex"
	"fmt"
	"io"
	"strings"

	"github.com/cloudflare/circl/ecc/bls12381"
)

const (
	// SecretKeySize is the size of a secret key, in bytes.
	SecretKeySize = 32
	// PublicKeySize is the size of a compressed public key, in bytes.
	PublicKeySize = 48
	// SignatureSize is the size of a compressed signature, in bytes.
	SignatureSize = 96
)

// NetworkID is the hash of a network's genesis. It keeps networks apart in everything that is signed.
type NetworkID [32]byte

// String returns the text form, 64 hexadecimal digits.
func (id NetworkID) String() string { return hex.EncodeToString(id[:]) }

// PublicKey is a compressed point of G1. Only NewCommittee and VerifyPossession check that it is valid.
type PublicKey [PublicKeySize]byte

// Signature is a compressed point of G2: a single signature or an aggregate. It is valid only once verified.
type Signature [SignatureSize]byte

// SecretKey signs for a storage node. It prints as its public key, to keep the secret out of logs.
type SecretKey struct {
	scalar bls12381.Scalar // never zero
	public PublicKey
}

// NewSecretKey makes a key from 48 bytes of rand, which should be crypto/rand.Reader.
func NewSecretKey(rand io.Reader) (*SecretKey, error) {
	// 48 bytes reduced modulo the 255-bit order are uniform but for a bias of 2⁻¹²⁸.
	var seed [48]byte
	if _, err := io.ReadFull(rand, seed[:]); err != nil {
		return nil, fmt.Errorf("make BLS key: read randomness: %w", err)
	}
	k := new(SecretKey)
	k.scalar.SetBytes(seed[:])
	return k.finish()
}

// ParseSecretKey reads the output of Bytes. Errors wrap ErrKey.
func ParseSecretKey(b []byte) (*SecretKey, error) {
	if len(b) != SecretKeySize {
		return nil, fmt.Errorf("%w: secret key: want %d bytes, have %d", ErrKey, SecretKeySize, len(b))
	}
	k := new(SecretKey)
	if err := k.scalar.UnmarshalBinary(b); err != nil {
		return nil, fmt.Errorf("%w: the secret key is not below the group order", ErrKey)
	}
	return k.finish()
}

func (k *SecretKey) finish() (*SecretKey, error) {
	if k.scalar.IsZero() == 1 {
		return nil, fmt.Errorf("%w: the secret key is zero", ErrKey)
	}
	var p bls12381.G1
	p.ScalarMult(&k.scalar, bls12381.G1Generator())
	copy(k.public[:], p.BytesCompressed())
	return k, nil
}

// Bytes returns the secret itself, SecretKeySize bytes, big-endian: keep it from other users of the machine.
func (k *SecretKey) Bytes() []byte {
	b, err := k.scalar.MarshalBinary()
	if err != nil { // impossible: every scalar has a binary form
		panic("certs: marshal scalar: " + err.Error())
	}
	return b
}

// Public returns the public key.
func (k *SecretKey) Public() PublicKey { return k.public }

// String returns the public key, never the secret.
func (k *SecretKey) String() string { return "BLS secret key of " + k.public.String() }

// GoString returns the public key, never the secret.
func (k *SecretKey) GoString() string { return k.String() }

// sign hashes msg to G2 under dst and multiplies, both in constant time.
func (k *SecretKey) sign(msg []byte, dst string) (sig Signature) {
	var p bls12381.G2
	p.Hash(msg, []byte(dst))
	p.ScalarMult(&k.scalar, &p)
	copy(sig[:], p.BytesCompressed())
	return sig
}

// String returns the text form, 0x and 96 hexadecimal digits.
func (p PublicKey) String() string { return "0x" + hex.EncodeToString(p[:]) }

// MarshalText implements encoding.TextMarshaler.
func (p PublicKey) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler. Errors wrap ErrFormat.
func (p *PublicKey) UnmarshalText(b []byte) error { return parseHex(p[:], b, "public key") }

// String returns the text form, 0x and 192 hexadecimal digits.
func (s Signature) String() string { return "0x" + hex.EncodeToString(s[:]) }

// MarshalText implements encoding.TextMarshaler.
func (s Signature) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler. Errors wrap ErrFormat.
func (s *Signature) UnmarshalText(b []byte) error { return parseHex(s[:], b, "signature") }

// parseHex decodes a 0x form into dst, and leaves dst alone on error.
func parseHex(dst, text []byte, what string) error {
	digits, ok := strings.CutPrefix(string(text), "0x")
	if !ok || len(digits) != 2*len(dst) {
		return fmt.Errorf("%w: a %s is 0x and %d hexadecimal digits", ErrFormat, what, 2*len(dst))
	}
	b, err := hex.DecodeString(digits)
	if err != nil {
		return fmt.Errorf("%w: a %s is 0x and %d hexadecimal digits: %v", ErrFormat, what, 2*len(dst), err)
	}
	copy(dst, b)
	return nil
}

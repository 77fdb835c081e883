package ledger

import (
	"crypto/ed25519"
	"encoding/hex"

	"golang.org/x/crypto/blake2b"
)

// PublicKey is an Ed25519 public key.
type PublicKey [ed25519.PublicKeySize]byte

// Address is an account: BLAKE2b-256 of a zero byte and the public key. Its text form is 0x and 64 hexadecimal digits.
type Address [32]byte

// String returns the text form, 0x and 64 hexadecimal digits.
func (k PublicKey) String() string { return "0x" + hex.EncodeToString(k[:]) }

// MarshalText implements encoding.TextMarshaler.
func (k PublicKey) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler. Errors wrap ErrFormat.
func (k *PublicKey) UnmarshalText(b []byte) error { return parseHex(k[:], b, "public key") }

// Address returns the address of the key's account.
func (k PublicKey) Address() Address {
	return blake2b.Sum256(append([]byte{0}, k[:]...))
}

// String returns the text form.
func (a Address) String() string { return "0x" + hex.EncodeToString(a[:]) }

// MarshalText implements encoding.TextMarshaler.
func (a Address) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler. Errors wrap ErrFormat.
func (a *Address) UnmarshalText(b []byte) error {
	return parseHex(a[:], b, "address")
}

// ParseAddress reads the text form. Errors wrap ErrFormat.
func ParseAddress(s string) (a Address, err error) {
	err = a.UnmarshalText([]byte(s))
	return a, err
}

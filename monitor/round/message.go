package round

import (
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"fmt"

	"walrus/certs"
)

// Errors of messages.
var (
	ErrFormat    = errors.New("malformed monitor message")
	ErrSignature = errors.New("signature does not verify")
	ErrSize      = errors.New("too many nodes for an attestation")
)

// Kind of a message: its first byte.
type Kind uint8

const (
	KindAttestation  Kind = 1
	KindRebuttal     Kind = 2
	KindEquivocation Kind = 3
)

// Domains of signatures. No message of one kind or network passes for another.
const (
	attestationDomain = "walrus monitor attestation 1\x00"
	rebuttalDomain    = "walrus monitor rebuttal 1\x00"
)

// Message is an *Attestation, a *Rebuttal or an *Equivocation.
type Message interface {
	// Encode returns the binary form.
	Encode() ([]byte, error)
}

// Parse decodes a message of the topic. It shares no memory with b and verifies no signature. Errors wrap ErrFormat.
func Parse(b []byte) (Message, error) {
	if len(b) == 0 || len(b) > MaxMessage {
		return nil, fmt.Errorf("%w: %d bytes: want 1 to %d", ErrFormat, len(b), MaxMessage)
	}
	switch Kind(b[0]) {
	case KindAttestation:
		return ParseAttestation(b)
	case KindRebuttal:
		return ParseRebuttal(b)
	case KindEquivocation:
		return ParseEquivocation(b)
	}
	return nil, fmt.Errorf("%w: kind %d is unknown", ErrFormat, b[0])
}

// signed returns the bytes that a signature covers.
func signed(domain string, network certs.NetworkID, body []byte) []byte {
	b := make([]byte, 0, len(domain)+len(network)+len(body))
	b = append(b, domain...)
	b = append(b, network[:]...)
	return append(b, body...)
}

func verify(domain string, network certs.NetworkID, body []byte, by Key, signature [ed25519.SignatureSize]byte) error {
	if !ed25519.Verify(by[:], signed(domain, network, body), signature[:]) {
		return fmt.Errorf("%w: key %s", ErrSignature, by)
	}
	return nil
}

// keyOf returns the public half.
func keyOf(sk ed25519.PrivateKey) (k Key) {
	copy(k[:], sk[ed25519.PrivateKeySize-ed25519.PublicKeySize:])
	return k
}

// reader takes fields off the front of b. The first error sticks; after it, fields are zero.
type reader struct {
	b   []byte
	err error
}

func (r *reader) take(name string, n int) []byte {
	if r.err == nil && len(r.b) < n {
		r.err = fmt.Errorf("%w: %s: %d bytes left, want %d", ErrFormat, name, len(r.b), n)
	}
	if r.err != nil {
		return make([]byte, min(n, 64)) // the widest fixed field
	}
	b := r.b[:n]
	r.b = r.b[n:]
	return b
}

func (r *reader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf("%w: %s", ErrFormat, fmt.Sprintf(format, args...))
	}
}

func (r *reader) u8(name string) uint8   { return r.take(name, 1)[0] }
func (r *reader) u16(name string) uint16 { return binary.LittleEndian.Uint16(r.take(name, 2)) }
func (r *reader) u32(name string) uint32 { return binary.LittleEndian.Uint32(r.take(name, 4)) }
func (r *reader) u64(name string) uint64 { return binary.LittleEndian.Uint64(r.take(name, 8)) }
func (r *reader) key(name string) Key    { return Key(r.take(name, 32)) }

// end checks that nothing is left.
func (r *reader) end() error {
	if r.err == nil && len(r.b) > 0 {
		r.fail("%d bytes too many", len(r.b))
	}
	return r.err
}

package certs

import (
	"encoding/binary"
	"fmt"

	"github.com/libp2p/go-libp2p/core/peer"

	"walrus/shards"
)

// The binary forms of confirmation and certificate start with the same header, integers little-endian:
//
//	version u8 = 1 ‖ epoch u32 ‖ blob ID 32 ‖ deletable u8 (0 | 1) ‖ object ID 32 (zero if permanent)
//
// A confirmation continues with its signature 96; a certificate with the number of signers u16, their indices u16 in
// strictly ascending order, and the signature 96. Every value has exactly one form, and every accepted form exactly
// one value.
const (
	wireVersion = 1
	headerSize  = 1 + 4 + 32 + 1 + 32
	// ConfirmationSize is the size of the binary form of a confirmation, in bytes.
	ConfirmationSize = headerSize + SignatureSize
	// MaxCertificateSize is the largest binary form of a certificate, in bytes.
	MaxCertificateSize = headerSize + 2 + 2*MaxMembers + SignatureSize
	minCertificateSize = headerSize + 2 + 2 + SignatureSize
)

func appendHeader(b []byte, epoch uint32, blob shards.BlobID, p Persistence) []byte {
	b = append(b, wireVersion)
	b = binary.LittleEndian.AppendUint32(b, epoch)
	b = append(b, blob[:]...)
	if p.Deletable {
		b = append(b, 1)
	} else {
		b = append(b, 0)
	}
	return append(b, p.Object[:]...)
}

// parseHeader reads the first headerSize bytes; b must have that many.
func parseHeader(b []byte) (epoch uint32, blob shards.BlobID, p Persistence, err error) {
	if b[0] != wireVersion {
		return 0, blob, p, fmt.Errorf("%w: version %d: want %d", ErrFormat, b[0], wireVersion)
	}
	epoch = binary.LittleEndian.Uint32(b[1:])
	copy(blob[:], b[5:])
	if b[37] > 1 {
		return 0, blob, p, fmt.Errorf("%w: deletable is %d: want 0 or 1", ErrFormat, b[37])
	}
	p.Deletable = b[37] == 1
	copy(p.Object[:], b[38:])
	return epoch, blob, p, p.Validate()
}

// Marshal returns the binary form, ConfirmationSize bytes. It does not contain the node.
func (conf Confirmation) Marshal() []byte {
	b := appendHeader(make([]byte, 0, ConfirmationSize), conf.Epoch, conf.Blob, conf.Persistence)
	return append(b, conf.Signature[:]...)
}

// UnmarshalConfirmation decodes the binary form of a confirmation from node, without verifying it. Errors wrap
// ErrFormat.
func UnmarshalConfirmation(node peer.ID, b []byte) (Confirmation, error) {
	if len(b) != ConfirmationSize {
		return Confirmation{}, fmt.Errorf("confirmation: %w: %d bytes: want %d", ErrFormat, len(b), ConfirmationSize)
	}
	conf := Confirmation{Node: node}
	var err error
	if conf.Epoch, conf.Blob, conf.Persistence, err = parseHeader(b); err != nil {
		return Confirmation{}, fmt.Errorf("confirmation: %w", err)
	}
	copy(conf.Signature[:], b[headerSize:])
	return conf, nil
}

// Marshal returns the binary form, at most MaxCertificateSize bytes for a certificate that some committee verifies.
func (cert *Certificate) Marshal() []byte {
	size := headerSize + 2 + 2*len(cert.Signers) + SignatureSize
	b := appendHeader(make([]byte, 0, size), cert.Epoch, cert.Blob, cert.Persistence)
	return append(appendSigners(b, cert.Signers), cert.Signature[:]...)
}

// appendSigners appends the number of signers and their indices.
func appendSigners(b []byte, signers []uint16) []byte {
	b = binary.LittleEndian.AppendUint16(b, uint16(len(signers)))
	for _, i := range signers {
		b = binary.LittleEndian.AppendUint16(b, i)
	}
	return b
}

// UnmarshalCertificate decodes the binary form. It verifies only the form: call Committee.Verify before you believe
// it. Errors wrap ErrFormat or ErrSigners.
func UnmarshalCertificate(b []byte) (*Certificate, error) {
	if len(b) < minCertificateSize || len(b) > MaxCertificateSize {
		return nil, fmt.Errorf("certificate: %w: %d bytes: want %d to %d", ErrFormat, len(b), minCertificateSize,
			MaxCertificateSize)
	}
	cert := new(Certificate)
	var err error
	if cert.Epoch, cert.Blob, cert.Persistence, err = parseHeader(b); err != nil {
		return nil, fmt.Errorf("certificate: %w", err)
	}
	if cert.Signers, cert.Signature, err = parseSigners(b[headerSize:]); err != nil {
		return nil, fmt.Errorf("certificate: %w", err)
	}
	return cert, nil
}

// parseSigners reads the number of signers, their indices, and the signature, which ends b.
func parseSigners(b []byte) (signers []uint16, sig Signature, err error) {
	count := int(binary.LittleEndian.Uint16(b))
	b = b[2:]
	if len(b) != 2*count+SignatureSize {
		return nil, sig, fmt.Errorf("%w: %d bytes after the count of %d signers", ErrFormat, len(b), count)
	}
	signers = make([]uint16, count)
	for k := range signers {
		signers[k] = binary.LittleEndian.Uint16(b[2*k:])
	}
	if err := checkSigners(signers, MaxMembers); err != nil {
		return nil, sig, err
	}
	copy(sig[:], b[2*count:])
	return signers, sig, nil
}

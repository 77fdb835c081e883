package certs

import (
	"encoding/binary"
	"fmt"

	"github.com/libp2p/go-libp2p/core/peer"

	"walrus/shards"
)

// Refutation is one storage node's signature that it has verified a proof that the blob was encoded wrongly: the blob
// ID is invalid.
type Refutation struct {
	Node      peer.ID // the claimed signer; not in the binary form, as the connection tells it
	Epoch     uint32
	Blob      shards.BlobID
	Signature Signature
}

// RefutationCertificate shows that one honest member at least has verified such a proof: more shards signed than may
// lie.
type RefutationCertificate struct {
	Epoch     uint32        `json:"epoch"`
	Blob      shards.BlobID `json:"blobId"`
	Signers   []uint16      `json:"signers"`   // member indices, strictly ascending
	Signature Signature     `json:"signature"` // the sum of the signers' signatures
}

// The binary forms start with the same header, integers little-endian:
//
//	version u8 = 1 ‖ epoch u32 ‖ blob ID 32
//
// A refutation continues with its signature 96; a certificate with the number of signers u16, their indices u16 in
// strictly ascending order, and the signature 96.
const (
	refutationHeader = 1 + 4 + 32
	// RefutationSize is the size of the binary form of a refutation, in bytes.
	RefutationSize = refutationHeader + SignatureSize
	// MaxRefutationCertificateSize is the largest binary form of a refutation certificate, in bytes.
	MaxRefutationCertificateSize = refutationHeader + 2 + 2*MaxMembers + SignatureSize
	minRefutationCertificateSize = refutationHeader + 2 + 2 + SignatureSize
)

// Refute makes node's refutation for the committee's epoch. The caller must have verified a proof. It does not check
// that node is a member with that key; verifiers do.
func (c *Committee) Refute(sk *SecretKey, node peer.ID, blob shards.BlobID) Refutation {
	return Refutation{Node: node, Epoch: c.epoch, Blob: blob,
		Signature: sk.sign(c.messageHead(intentRefutation, blob), dstSignature)}
}

// VerifyRefutation checks that r.Node, a member, signed r in the committee's epoch and network. The caller compares r
// with the blob it asked for. Errors wrap ErrEpoch, ErrSigners or ErrSignature.
func (c *Committee) VerifyRefutation(r Refutation) error {
	index, err := c.signer(r.Node, r.Epoch)
	if err != nil {
		return fmt.Errorf("refutation: %w", err)
	}
	if err := c.verifyOne(index, c.messageHead(intentRefutation, r.Blob), r.Signature); err != nil {
		return fmt.Errorf("refutation by %s of blob %s: %w", r.Node, r.Blob, err)
	}
	return nil
}

// AggregateRefutations makes the certificate that blob is invalid from refutations, verified or not, in any order. Like
// Aggregate, it drops bad ones, and lists their nodes. It succeeds if the rest have OneHonest shards. Errors wrap
// ErrWeight or ErrSignature.
func (c *Committee) AggregateRefutations(blob shards.BlobID,
	list []Refutation) (cert *RefutationCertificate, bad []peer.ID, err error) {
	var votes []vote
	for _, r := range list {
		if _, err := c.signer(r.Node, r.Epoch); err != nil || r.Blob != blob {
			bad = append(bad, r.Node)
			continue
		}
		votes = append(votes, vote{r.Node, r.Signature})
	}
	signers, sig, bad, err := c.aggregate(c.messageHead(intentRefutation, blob), votes, bad, c.OneHonest())
	if err != nil {
		return nil, bad, fmt.Errorf("aggregate refutations of blob %s: %w", blob, err)
	}
	return &RefutationCertificate{Epoch: c.epoch, Blob: blob, Signers: signers, Signature: sig}, bad, nil
}

// VerifyRefutations checks that cert is of the committee's epoch and network and signed by OneHonest shards. Cheap
// checks come before the pairing, which takes about 0.8 ms. Errors wrap ErrEpoch, ErrSigners, ErrWeight or
// ErrSignature.
func (c *Committee) VerifyRefutations(cert *RefutationCertificate) error {
	if cert.Epoch != c.epoch {
		return fmt.Errorf("refutation certificate of epoch %d, committee of epoch %d: %w", cert.Epoch, c.epoch, ErrEpoch)
	}
	if err := c.verifySum(cert.Signers, c.messageHead(intentRefutation, cert.Blob), cert.Signature,
		c.OneHonest()); err != nil {
		return fmt.Errorf("refutation certificate of blob %s: %w", cert.Blob, err)
	}
	return nil
}

func refutationHead(epoch uint32, blob shards.BlobID, size int) []byte {
	b := append(make([]byte, 0, size), wireVersion)
	b = binary.LittleEndian.AppendUint32(b, epoch)
	return append(b, blob[:]...)
}

// parseRefutationHead reads the first refutationHeader bytes; b must have that many.
func parseRefutationHead(b []byte) (epoch uint32, blob shards.BlobID, err error) {
	if b[0] != wireVersion {
		return 0, blob, fmt.Errorf("%w: version %d: want %d", ErrFormat, b[0], wireVersion)
	}
	copy(blob[:], b[5:])
	return binary.LittleEndian.Uint32(b[1:]), blob, nil
}

// Marshal returns the binary form, RefutationSize bytes. It does not contain the node.
func (r Refutation) Marshal() []byte {
	return append(refutationHead(r.Epoch, r.Blob, RefutationSize), r.Signature[:]...)
}

// UnmarshalRefutation decodes the binary form of a refutation from node, without verifying it. Errors wrap ErrFormat.
func UnmarshalRefutation(node peer.ID, b []byte) (Refutation, error) {
	if len(b) != RefutationSize {
		return Refutation{}, fmt.Errorf("refutation: %w: %d bytes: want %d", ErrFormat, len(b), RefutationSize)
	}
	epoch, blob, err := parseRefutationHead(b)
	if err != nil {
		return Refutation{}, fmt.Errorf("refutation: %w", err)
	}
	return Refutation{Node: node, Epoch: epoch, Blob: blob, Signature: Signature(b[refutationHeader:])}, nil
}

// Marshal returns the binary form.
func (cert *RefutationCertificate) Marshal() []byte {
	b := refutationHead(cert.Epoch, cert.Blob, refutationHeader+2+2*len(cert.Signers)+SignatureSize)
	return append(appendSigners(b, cert.Signers), cert.Signature[:]...)
}

// UnmarshalRefutationCertificate decodes the binary form. It verifies only the form: call Committee.VerifyRefutations
// before you believe it. Errors wrap ErrFormat or ErrSigners.
func UnmarshalRefutationCertificate(b []byte) (*RefutationCertificate, error) {
	if len(b) < minRefutationCertificateSize || len(b) > MaxRefutationCertificateSize {
		return nil, fmt.Errorf("refutation certificate: %w: %d bytes: want %d to %d",
			ErrFormat, len(b), minRefutationCertificateSize, MaxRefutationCertificateSize)
	}
	epoch, blob, err := parseRefutationHead(b)
	if err != nil {
		return nil, fmt.Errorf("refutation certificate: %w", err)
	}
	signers, sig, err := parseSigners(b[refutationHeader:])
	if err != nil {
		return nil, fmt.Errorf("refutation certificate: %w", err)
	}
	return &RefutationCertificate{Epoch: epoch, Blob: blob, Signers: signers, Signature: sig}, nil
}

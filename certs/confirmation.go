package certs

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"

	"github.com/libp2p/go-libp2p/core/peer"

	"walrus/shards"
)

// ObjectID identifies the ledger's record of a deletable blob.
type ObjectID [32]byte

// String returns the text form, 0x and 64 hexadecimal digits.
func (id ObjectID) String() string { return "0x" + hex.EncodeToString(id[:]) }

// MarshalText implements encoding.TextMarshaler.
func (id ObjectID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler. Errors wrap ErrFormat.
func (id *ObjectID) UnmarshalText(b []byte) error { return parseHex(id[:], b, "object ID") }

// Persistence tells whether a blob may be deleted before its registration ends, and by whom. The zero value is
// permanent.
type Persistence struct {
	Deletable bool     `json:"deletable"`
	Object    ObjectID `json:"object,omitzero"` // record whose owner may delete the blob; zero if permanent
}

// Validate refuses an object with a permanent blob, because one meaning must have one form. Errors wrap ErrFormat.
func (p Persistence) Validate() error {
	if !p.Deletable && p.Object != (ObjectID{}) {
		return fmt.Errorf("%w: a permanent blob names an object: only deletable ones do", ErrFormat)
	}
	return nil
}

// Confirmation is one storage node's signature that it has verified its slivers of the blob and synced them to disk.
type Confirmation struct {
	Node        peer.ID // the claimed signer; not in the binary form, as the connection tells it
	Epoch       uint32
	Blob        shards.BlobID
	Persistence Persistence
	Signature   Signature
}

// A signed message starts as in the original Walrus: intent 1 (blob certified) or 2 (blob ID invalid), version 0,
// application 3. The network ID then keeps networks apart.
const (
	intentConfirmation = 1
	intentRefutation   = 2
	messageVersion     = 0
	messageApp         = 3
)

// message returns the bytes that a confirmation signs: intent ‖ version ‖ application ‖ network ID ‖ epoch u32 LE ‖
// blob ID ‖ 0 if permanent, else 1 ‖ object ID.
func (c *Committee) message(blob shards.BlobID, p Persistence) []byte {
	b := c.messageHead(intentConfirmation, blob)
	if !p.Deletable {
		return append(b, 0)
	}
	b = append(b, 1)
	return append(b, p.Object[:]...)
}

// messageHead begins every signed message: intent ‖ version ‖ application ‖ network ID ‖ epoch u32 LE ‖ blob ID.
func (c *Committee) messageHead(intent byte, blob shards.BlobID) []byte {
	b := []byte{intent, messageVersion, messageApp}
	b = append(b, c.network[:]...)
	b = binary.LittleEndian.AppendUint32(b, c.epoch)
	return append(b, blob[:]...)
}

// Sign makes node's confirmation for the committee's epoch. The caller must have synced the slivers to disk. Sign
// does not check that node is a member with that key; verifiers do.
func (c *Committee) Sign(sk *SecretKey, node peer.ID, blob shards.BlobID, p Persistence) Confirmation {
	return Confirmation{
		Node: node, Epoch: c.epoch, Blob: blob, Persistence: p,
		Signature: sk.sign(c.message(blob, p), dstSignature),
	}
}

// VerifyConfirmation checks that conf.Node, a member, signed conf in the committee's epoch and network. The caller
// compares conf with the blob it asked for. Errors wrap ErrEpoch, ErrSigners, ErrFormat or ErrSignature.
func (c *Committee) VerifyConfirmation(conf Confirmation) error {
	index, err := c.checkConfirmation(conf)
	if err != nil {
		return err
	}
	if err := c.verifyOne(index, c.message(conf.Blob, conf.Persistence), conf.Signature); err != nil {
		return fmt.Errorf("confirmation by %s of blob %s: %w", conf.Node, conf.Blob, err)
	}
	return nil
}

// verifyOne checks that a member signed message.
func (c *Committee) verifyOne(index int, message []byte, raw Signature) error {
	sig, err := raw.point()
	if err != nil {
		return err
	}
	hash, err := hashToG2(message, dstSignature)
	if err != nil {
		return err
	}
	return verify(c.keys[index], hash, sig)
}

// checkConfirmation checks everything but the signature and returns the member's index.
func (c *Committee) checkConfirmation(conf Confirmation) (int, error) {
	if err := conf.Persistence.Validate(); err != nil {
		return 0, err
	}
	index, err := c.signer(conf.Node, conf.Epoch)
	if err != nil {
		return 0, fmt.Errorf("confirmation: %w", err)
	}
	return index, nil
}

// signer returns the index of node, a member, if epoch is the committee's.
func (c *Committee) signer(node peer.ID, epoch uint32) (int, error) {
	if epoch != c.epoch {
		return 0, fmt.Errorf("of epoch %d, committee of epoch %d: %w", epoch, c.epoch, ErrEpoch)
	}
	index, ok := c.index[node]
	if !ok {
		return 0, fmt.Errorf("%w: %s is not in the committee of epoch %d", ErrSigners, node, c.epoch)
	}
	return index, nil
}

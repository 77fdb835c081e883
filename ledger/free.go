package ledger

import (
	"crypto/ed25519"

	"github.com/libp2p/go-libp2p/core/peer"

	"walrus/certs"
	"walrus/shards"
)

// Free returns the blob ID that a transaction marks as invalid for nothing: it has a fee and a nonce of zero and one
// operation, DisproveBlob or RefuteBlob. Its sender needs no account and gets none. It has an effect only if the mark
// is right and new, so that it is worth nothing to anybody who would fill blocks. RefuteBlob is free for members alone,
// because judging a certificate is expensive: the sender is the key of the member's peer ID.
//
// With a fee, the same operations are a transaction like any other.
func (tx *Tx) Free() (blob shards.BlobID, free bool) {
	if tx.Fee > 0 || tx.Nonce > 0 || len(tx.Ops) != 1 {
		return blob, false
	}
	switch op := tx.Ops[0].(type) {
	case DisproveBlob:
		return op.BlobID, true
	case RefuteBlob:
		return op.BlobID, true
	}
	return blob, false
}

// NewFree makes a free transaction with op, a DisproveBlob or RefuteBlob. key may be any for DisproveBlob, and is that
// of a member's peer ID for RefuteBlob. expiry is a height, at most MaxExpiry ahead.
func NewFree(network certs.NetworkID, expiry uint64, key ed25519.PrivateKey, op Op) *Tx {
	tx := &Tx{Network: network, Expiry: expiry, Ops: []Op{op}}
	tx.Sign(key)
	return tx
}

// peerIDHead begins the peer ID of an Ed25519 key: a multihash of the key itself, as libp2p writes it.
const peerIDHead = "\x00\x24\x08\x01\x12\x20"

// Peer returns the peer ID whose key signs.
func (k PublicKey) Peer() peer.ID { return peer.ID(peerIDHead + string(k[:])) }

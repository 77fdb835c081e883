package p2p

import (
	"crypto/ed25519"
	"crypto/sha256"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
)

// OperatorKey derives the key with which a node's operator asks the node for what others must not see. Only the holder
// of the node's own key can make it, and it discloses nothing of that key.
func OperatorKey(node ed25519.PrivateKey) ed25519.PrivateKey {
	seed := sha256.Sum256(append([]byte("walrus operator of a node\x00"), node.Seed()...))
	return ed25519.NewKeyFromSeed(seed[:])
}

// OperatorID returns the peer ID of the operator of the node with a key.
func OperatorID(node ed25519.PrivateKey) (peer.ID, error) {
	key, err := crypto.UnmarshalEd25519PrivateKey(OperatorKey(node))
	if err != nil {
		return "", err
	}
	return peer.IDFromPrivateKey(key)
}

package certs

import (
	"encoding/binary"
	"fmt"

	"github.com/libp2p/go-libp2p/core/peer"
)

const possessionDomain = "walrus proof of possession 1\x00"

// possessionMessage binds a key to the network's name and the node's peer ID, so that nobody else can use the proof:
// domain ‖ length ‖ network name ‖ length ‖ peer ID ‖ public key, lengths as varints.
func possessionMessage(network string, node peer.ID, key PublicKey) []byte {
	b := append([]byte(possessionDomain), binary.AppendUvarint(nil, uint64(len(network)))...)
	b = append(b, network...)
	b = binary.AppendUvarint(b, uint64(len(node)))
	b = append(b, node...)
	return append(b, key[:]...)
}

// ProvePossession proves that node has the secret key. Without proofs a node could register a key computed from
// others' keys and sign for them all. It covers the network's name, not its ID, because the ID is a hash over these
// proofs.
func (k *SecretKey) ProvePossession(network string, node peer.ID) Signature {
	return k.sign(possessionMessage(network, node, k.public), dstPossession)
}

// VerifyPossession checks a proof of ProvePossession. Errors wrap ErrKey.
func VerifyPossession(network string, node peer.ID, key PublicKey, proof Signature) error {
	point, err := key.point()
	if err != nil {
		return err
	}
	sig, err := proof.point()
	if err != nil {
		return fmt.Errorf("%w: proof of possession: %v", ErrKey, err)
	}
	hash, err := hashToG2(possessionMessage(network, node, key), dstPossession)
	if err != nil {
		return fmt.Errorf("%w: proof of possession: %v", ErrKey, err)
	}
	if err := verify(point, hash, sig); err != nil {
		return fmt.Errorf("%w: proof of possession for network %q and this peer ID: %v", ErrKey, network, err)
	}
	return nil
}

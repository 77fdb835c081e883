// Package certs has the signatures of storage nodes: the committee of an epoch, a node's confirmation that it stores
// its slivers of a blob, and the certificate that aggregates confirmations of a quorum of shards. It is pure: no I/O,
// no clock, no network. Start with NewCommittee.
//
// Signatures are BLS12-381 with public keys in G1 and signatures in G2. All confirmations of one blob sign the same
// message, so a certificate is verified with one pairing check whatever the number of signers. NewCommittee demands a
// proof of possession of every member, which makes that safe. Signing runs in constant time.
package certs

import "errors"

// Errors that callers branch on. Every error of the package wraps one of them.
var (
	// ErrEpoch reports a confirmation or certificate of another epoch than the committee's: fetch that epoch's
	// committee.
	ErrEpoch = errors.New("wrong epoch")
	// ErrSigners reports signers that are not members of the committee, are repeated or out of order.
	ErrSigners = errors.New("invalid signers")
	// ErrSignature reports a signature that does not verify: forged, of another blob or network, or no valid point.
	ErrSignature = errors.New("invalid signature")
	// ErrWeight reports fewer shards than a quorum.
	ErrWeight = errors.New("not enough shards signed")
	// ErrKey reports a public or secret key that is malformed, outside its group, or without proof of possession.
	ErrKey = errors.New("invalid BLS key")
	// ErrCommittee reports members that do not form a committee.
	ErrCommittee = errors.New("invalid committee")
	// ErrUnknownEpoch reports an epoch whose committee is not known: not yet decided, or long past.
	ErrUnknownEpoch = errors.New("committee not known")
	// ErrFormat reports bytes or text that are not the canonical form of a value.
	ErrFormat = errors.New("invalid format")
)

const (
	// MaxMembers bounds a committee. The largest certificate then has about 8 KiB and fits one gossip message.
	MaxMembers = 4096
	// MaxPeerIDSize bounds a member's peer ID, in bytes; the ID of an Ed25519 key has 38.
	MaxPeerIDSize = 64
	// MaxNetworkName bounds the name of a network, in bytes.
	MaxNetworkName = 32
)

// Package ledger is the vocabulary of the control plane, the replicated ledger that says who the storage nodes are, what
// storage was paid for and which blobs are certified: genesis, accounts and amounts, transactions and their operations,
// the objects of the state with their keys and binary forms, results, events and receipts. It is pure: no network, no
// disk, no clock. What transactions do is in package machine, how nodes agree on them in engine, how others follow in
// light, who signs them in wallet. Start with Tx and Op.
package ledger

import "errors"

var (
	// ErrGenesis marks a genesis that is malformed or does not make up a network.
	ErrGenesis = errors.New("invalid genesis")
	// ErrFormat marks bytes or text that are not the one form of the value they should be.
	ErrFormat = errors.New("invalid format")
	// ErrNotFound marks an object that the ledger does not have.
	ErrNotFound = errors.New("not on the ledger")
	// ErrOverflow marks a sum or product beyond 64 bits.
	ErrOverflow = errors.New("number too large")
)

const (
	// FirstEpoch is the epoch of the genesis committee.
	FirstEpoch = 1
	// MaxEpochsAhead bounds how far ahead a network may sell storage, in epochs.
	MaxEpochsAhead = 1000
	// UnitSize is what storage is priced by, in bytes of encoded size.
	UnitSize = 1 << 20
	// MaxGenesisSize bounds a genesis file, in bytes: room for the largest committee.
	MaxGenesisSize = 4 << 20
	// MaxMemberName bounds the name of a member, in bytes.
	MaxMemberName = 64
)

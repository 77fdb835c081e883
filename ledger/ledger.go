// Package ledger is the vocabulary of the control plane: a replicated ledger that records the storage nodes, paid
// storage and certified blobs. It has genesis, accounts and amounts, transactions and their operations, the objects
// of the state with their keys and binary forms, results, events and receipts. It is pure: no network, no disk, no
// clock. Package machine executes transactions, engine makes nodes agree on them, light lets others follow, wallet
// signs. Start with Tx and Op.
package ledger

import "errors"

var (
	// ErrGenesis reports a genesis that is malformed or makes no valid network.
	ErrGenesis = errors.New("invalid genesis")
	// ErrFormat reports bytes or text that are not the canonical form of a value.
	ErrFormat = errors.New("invalid format")
	// ErrNotFound reports an object that is not on the ledger.
	ErrNotFound = errors.New("not on the ledger")
	// ErrOverflow reports a sum or product beyond 64 bits.
	ErrOverflow = errors.New("number too large")
)

const (
	// FirstEpoch is the epoch of the genesis committee.
	FirstEpoch = 1
	// MaxEpochsAhead bounds the epochs for which a network may sell storage in advance.
	MaxEpochsAhead = 1000
	// UnitSize is the unit in which storage is priced, in bytes of encoded size.
	UnitSize = 1 << 20
	// MaxGenesisSize bounds a genesis file, in bytes: room for the largest committee.
	MaxGenesisSize = 4 << 20
	// MaxMemberName bounds the name of a member, in bytes.
	MaxMemberName = 64
)

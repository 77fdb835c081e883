// Package ledger is the control plane: who the storage nodes of an epoch are and which blobs they may store. What
// there is so far is the genesis of a network, a file that all of its nodes share, and Static, a control plane that
// never moves on from it. It knows no network; consumers declare the interfaces they need from it.
// Start with Genesis.
package ledger

import "errors"

// ErrGenesis marks a genesis that is malformed or does not make up a network.
var ErrGenesis = errors.New("invalid genesis")

const (
	// FirstEpoch is the epoch of the genesis committee.
	FirstEpoch = 1
	// DefaultEndEpoch is when blobs end on a network whose genesis does not say.
	DefaultEndEpoch = 1 << 31
	// MaxGenesisSize bounds a genesis file, in bytes: room for the largest committee.
	MaxGenesisSize = 4 << 20
	// MaxMemberName bounds the name of a member, in bytes.
	MaxMemberName = 64
)

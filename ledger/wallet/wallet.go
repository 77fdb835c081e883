// Package wallet holds a user's key to the ledger: its file, and the composing, signing and sending of transactions.
// It reaches the ledger only through Chain. Start with Load, then Payer.Do.
package wallet

import (
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"

	"walrus/ledger"
)

var (
	// ErrFile reports a wallet file that is missing, damaged, or readable by others.
	ErrFile = errors.New("wallet file")
	// ErrUnknown reports a transaction that was sent without an answer: it may have taken effect, or still may.
	ErrUnknown = ledger.ErrUnknown
)

// Wallet is the key of one account. It is safe for concurrent use.
type Wallet struct {
	key     ed25519.PrivateKey
	address ledger.Address
	// lockPath names the lock file, beside the wallet file: see shared. Empty if the wallet was not loaded from a
	// file.
	lockPath string
	unpaid   *unpaid // beside the wallet file, too; nil without one
	maxFee   uint64  // most that a transaction pays, in multiples of the least fee
}

// New makes a wallet with a new random key.
func New() (*Wallet, error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make wallet: %w", err)
	}
	return FromKey(key), nil
}

// FromKey makes a wallet from a key.
func FromKey(key ed25519.PrivateKey) *Wallet {
	var public ledger.PublicKey
	copy(public[:], key[ed25519.SeedSize:])
	return &Wallet{key: key, address: public.Address(), maxFee: DefaultMaxFee}
}

// Address of the account.
func (w *Wallet) Address() ledger.Address { return w.address }

// Derive returns a secret for a purpose. It reveals nothing about the wallet's key or the secrets for other purposes.
func (w *Wallet) Derive(purpose string) ([]byte, error) {
	return hkdf.Key(sha256.New, w.key.Seed(), nil, "walrus wallet: "+purpose, sha256.Size)
}

// String returns the wallet's address, never the secret.
func (w *Wallet) String() string { return "wallet of " + w.address.String() }

// GoString returns the wallet's address, never the secret.
func (w *Wallet) GoString() string { return w.String() }

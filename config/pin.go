package config

import (
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// PinKey reads the identity of the pinner at home, which fixes its peer ID. The first call makes it, and the home.
func PinKey(home string) (ed25519.PrivateKey, error) {
	return ownKey(filepath.Join(home, keysDir, p2pKeyFile))
}

// ErrNoIdentity reports a home without a peer key.
var ErrNoIdentity = errNoKey

// ReadIdentity reads the peer key of the node, pinner or monitor at home. It makes none: without one, the error wraps
// ErrNoIdentity.
func ReadIdentity(home string) (ed25519.PrivateKey, error) {
	return readEd25519(filepath.Join(home, keysDir, p2pKeyFile), p2pKeyKind)
}

// ownKey reads a peer key. The first call makes it, and its folder.
func ownKey(path string) (ed25519.PrivateKey, error) {
	key, err := readEd25519(path, p2pKeyKind)
	if !errors.Is(err, errNoKey) {
		return key, err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("create keys: %w", err)
	}
	if _, key, err = ed25519.GenerateKey(rand.Reader); err != nil {
		return nil, fmt.Errorf("make peer key: %w", err)
	}
	if err := writeKey(path, p2pKeyKind, key.Seed()); err != nil {
		return nil, err
	}
	return readEd25519(path, p2pKeyKind)
}

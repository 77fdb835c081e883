package config

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"

	"walrus/certs"
	"walrus/internal/userfile"
)

// A key file is one line: the kind of key, a space, and the secret in hexadecimal. The kind keeps one file from being
// taken for another.
const (
	p2pKeyFile       = "p2p.key"
	blsKeyFile       = "bls.key"
	consensusKeyFile = "consensus.key"
	p2pKeyKind       = "walrus-ed25519-seed"
	blsKeyKind       = "walrus-bls12381"
	consensusKeyKind = "walrus-consensus-ed25519-seed"
	keysDir          = "keys"
	// consensusStateFile remembers what the consensus key last signed. It lies beside the key, not in the data folder:
	// a validator that lost its data must still not sign two different blocks of one height.
	consensusStateFile = "consensus.state"
	// maxKeyFile is far above the 90 bytes of a key file.
	maxKeyFile = 1 << 10
)

// ConsensusKeyFile is the path of the consensus key in a node's home.
const ConsensusKeyFile = keysDir + "/" + consensusKeyFile

// errNoKey marks a missing key file.
var errNoKey = errors.New("no key")

// Keys holds a node's secrets, stored in the keys folder of its home.
type Keys struct {
	// P2P is the node's identity: it fixes the peer ID.
	P2P ed25519.PrivateKey
	// BLS signs confirmations.
	BLS *certs.SecretKey
	// Consensus signs blocks of the ledger.
	Consensus ed25519.PrivateKey
}

// NewKeys makes all keys from the system's randomness.
func NewKeys() (*Keys, error) {
	_, identity, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make peer key: %w", err)
	}
	bls, err := certs.NewSecretKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	_, consensus, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make consensus key: %w", err)
	}
	return &Keys{P2P: identity, BLS: bls, Consensus: consensus}, nil
}

// PeerID returns the node's peer ID.
func (k *Keys) PeerID() (peer.ID, error) {
	secret, err := crypto.UnmarshalEd25519PrivateKey(k.P2P)
	if err != nil {
		return "", fmt.Errorf("compute peer ID: %w", err)
	}
	return peer.IDFromPrivateKey(secret)
}

// LoadKeys reads the keys of the node at home. It refuses files that other users can read.
func LoadKeys(home string) (*Keys, error) {
	identity, err := readEd25519(filepath.Join(home, keysDir, p2pKeyFile), p2pKeyKind)
	if err != nil {
		return nil, err
	}
	path := filepath.Join(home, keysDir, blsKeyFile)
	secret, err := readKey(path, blsKeyKind)
	if err != nil {
		return nil, err
	}
	bls, err := certs.ParseSecretKey(secret)
	if err != nil {
		return nil, fmt.Errorf("%s: %w: restore it from a backup", path, err)
	}
	consensus, err := readEd25519(filepath.Join(home, keysDir, consensusKeyFile), consensusKeyKind)
	if err != nil {
		return nil, err
	}
	return &Keys{P2P: identity, BLS: bls, Consensus: consensus}, nil
}

func readEd25519(path, kind string) (ed25519.PrivateKey, error) {
	seed, err := readKey(path, kind)
	if err != nil {
		return nil, err
	}
	if len(seed) != ed25519.SeedSize {
		return nil, fmt.Errorf("%s: the key has %d bytes, not %d: restore it from a backup", path,
			len(seed), ed25519.SeedSize)
	}
	return ed25519.NewKeyFromSeed(seed), nil
}

// completeKeys makes the keys that are missing in home.
func completeKeys(home string) (*Keys, error) {
	keys, err := NewKeys()
	if err != nil {
		return nil, err
	}
	if err := keys.write(home); err != nil {
		return nil, err
	}
	return LoadKeys(home)
}

// write creates the key files, mode 0600 in a folder of mode 0700. Existing files stay unchanged.
func (k *Keys) write(home string) error {
	dir := filepath.Join(home, keysDir)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("create keys: %w", err)
	}
	if err := writeKey(filepath.Join(dir, p2pKeyFile), p2pKeyKind, k.P2P.Seed()); err != nil {
		return err
	}
	if err := writeKey(filepath.Join(dir, blsKeyFile), blsKeyKind, k.BLS.Bytes()); err != nil {
		return err
	}
	path := filepath.Join(dir, consensusKeyFile)
	if _, err := os.Lstat(path); err == nil { // it may have signed: its state stays as it is
		return nil
	}
	// A new key has signed nothing. The state comes first: a key without it does not sign.
	err := userfile.CreateNew(filepath.Join(dir, consensusStateFile), []byte(neverSigned), 0o600)
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return writeKey(path, consensusKeyKind, k.Consensus.Seed())
}

// neverSigned is the consensus state of a key that has signed nothing.
const neverSigned = `{"height":"0","round":0,"step":0}` + "\n"

func writeKey(path, kind string, secret []byte) error {
	err := userfile.CreateNew(path, []byte(kind+" "+hex.EncodeToString(secret)+"\n"), 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	return err
}

func readKey(path, kind string) ([]byte, error) {
	st, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w at %s: make one with walrus node init, or restore it from a backup", errNoKey, path)
	}
	if err != nil {
		return nil, fmt.Errorf("read key: %w", err)
	}
	if mode := st.Mode().Perm(); mode&0o077 != 0 {
		return nil, fmt.Errorf("key %s can be read by other users (mode %04o): run chmod 600 %s", path, mode, path)
	}
	raw, err := readFile(path, maxKeyFile)
	if err != nil {
		return nil, fmt.Errorf("read key: %w", err)
	}
	// Errors do not show the content.
	if err := userfile.MarkedText(raw); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	got, digits, ok := strings.Cut(strings.TrimSpace(string(raw)), " ")
	if !ok || got != kind {
		return nil, fmt.Errorf("%s is not a key of kind %s: restore it from a backup", path, kind)
	}
	secret, err := hex.DecodeString(digits)
	if err != nil {
		return nil, fmt.Errorf("%s is damaged: restore it from a backup", path)
	}
	return secret, nil
}

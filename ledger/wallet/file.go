package wallet

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"go.yaml.in/yaml/v3"

	"walrus/internal/userfile"
	"walrus/ledger"
)

// maxFile bounds a wallet file, in bytes; it has about 300.
const maxFile = 4 << 10

// lockSuffix is appended to a wallet's path to name its lock file.
const lockSuffix = ".lock"

// walletFile is the YAML form of a wallet.
type walletFile struct {
	Kind    string `yaml:"kind"` // distinguishes a wallet from other key files
	Address string `yaml:"address"`
	Key     string `yaml:"key"` // the Ed25519 seed in hexadecimal
}

const fileKind = "walrus-wallet-ed25519"

// Create writes the wallet to a new file that only its owner may read. It never replaces a file: if one exists, the
// error is fs.ErrExist. The key is durable when it returns.
func (w *Wallet) Create(path string) error {
	var b bytes.Buffer
	b.WriteString("# A Walrus wallet. The key in this file is the money: keep a copy, and show it to nobody.\n")
	content := walletFile{fileKind, w.address.String(), hex.EncodeToString(w.key.Seed())}
	if err := yaml.NewEncoder(&b).Encode(content); err != nil {
		return fmt.Errorf("write wallet: %w", err)
	}
	if err := userfile.CreateNew(path, b.Bytes(), 0o600); err != nil {
		return fmt.Errorf("write wallet: %w", err)
	}
	return nil
}

// Load reads the wallet file at path. It refuses a file that other users can read. Errors wrap ErrFile and reveal
// nothing of the file's contents.
func Load(path string) (*Wallet, error) {
	b, err := readFile(path)
	if err != nil {
		return nil, err
	}
	key, err := parse(b)
	if err != nil {
		return nil, fmt.Errorf("%w %s: %w: restore it from a copy", ErrFile, path, err)
	}
	w := FromKey(key)
	if real, err := filepath.EvalSymlinks(path); err == nil { // a wallet reached by two names has one lock
		w.lockPath, w.unpaid = real+lockSuffix, &unpaid{path: real + unpaidSuffix}
	}
	return w, nil
}

func readFile(path string) ([]byte, error) {
	st, err := os.Stat(path) // before opening: opening a pipe would wait for a writer
	if err == nil && !st.Mode().IsRegular() {
		return nil, fmt.Errorf("%w %s: it is no regular file", ErrFile, path)
	}
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w %s: not found: make one with walrus wallet new: %w", ErrFile, path, fs.ErrNotExist)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFile, err)
	}
	b, err := readOpen(f, path)
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, err
	}
	return b, nil
}

func readOpen(f *os.File, path string) ([]byte, error) {
	st, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFile, err)
	}
	if !st.Mode().IsRegular() {
		return nil, fmt.Errorf("%w %s: it is no regular file", ErrFile, path)
	}
	// Windows has no such bits: it protects a user's files by other means.
	if mode := st.Mode().Perm(); mode&0o077 != 0 && runtime.GOOS != "windows" {
		return nil, fmt.Errorf("%w %s: mode %04o lets other users read it: run chmod 600 %s", ErrFile, path, mode, path)
	}
	b, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFile, err)
	}
	if len(b) > maxFile {
		return nil, fmt.Errorf("%w %s: more than %d bytes: not a wallet", ErrFile, path, maxFile)
	}
	return b, nil
}

// parse reads a wallet file. It hides other packages' error texts: they would quote the secret.
func parse(b []byte) (ed25519.PrivateKey, error) {
	dec := yaml.NewDecoder(bytes.NewReader(b))
	dec.KnownFields(true)
	var f walletFile
	if err := dec.Decode(&f); err != nil || f.Kind != fileKind {
		return nil, errors.New("not a wallet")
	}
	if err := dec.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, errors.New("it contains more than a wallet")
	}
	seed, err := hex.DecodeString(f.Key)
	if err != nil || len(seed) != ed25519.SeedSize {
		return nil, fmt.Errorf("its key does not have %d hexadecimal digits", 2*ed25519.SeedSize)
	}
	address, err := ledger.ParseAddress(f.Address)
	if err != nil {
		return nil, err // the address is no secret
	}
	key := ed25519.NewKeyFromSeed(seed)
	if FromKey(key).address != address {
		return nil, fmt.Errorf("its key does not belong to address %s", address)
	}
	return key, nil
}

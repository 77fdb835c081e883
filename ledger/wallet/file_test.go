package wallet

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"walrus/ledger"
)

func newWallet(t testing.TB) *Wallet {
	t.Helper()
	w, err := New()
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func TestFile(t *testing.T) {
	w := newWallet(t)
	path := filepath.Join(t.TempDir(), "wallet.yaml")
	if err := w.Create(path); err != nil {
		t.Fatal(err)
	}
	if st, err := os.Stat(path); err != nil || st.Mode() != 0o600 {
		t.Errorf("mode %v, %v: want 0600", st.Mode(), err)
	}
	back, err := Load(path)
	if err != nil || back.Address() != w.Address() || !back.key.Equal(w.key) {
		t.Fatalf("read back as %v, %v", back, err)
	}
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := newWallet(t).Create(path); !errors.Is(err, fs.ErrExist) {
		t.Errorf("created a second time: %v, want ErrExist", err)
	}
	if after, err := os.ReadFile(path); err != nil || string(after) != string(before) {
		t.Errorf("the wallet is not what it was: %v", err)
	}
	link := filepath.Join(filepath.Dir(path), strings.Repeat("n", 255)) // a link at the wallet's future path
	if err := os.Symlink("real.yaml", link); err != nil {
		t.Fatal(err)
	}
	if err := w.Create(link); err != nil {
		t.Error(err)
	}
	if _, err := Load(filepath.Join(filepath.Dir(path), "real.yaml")); err != nil {
		t.Error(err)
	}
	if err := w.Create(filepath.Join(path, "below")); err == nil {
		t.Error("created a wallet below a file")
	}
}

func TestLoadRefusesOthersEyes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "wallet.yaml")
	if err := newWallet(t).Create(path); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		mode fs.FileMode
		good bool
	}{{0o600, true}, {0o400, true}, {0o640, false}, {0o604, false}, {0o620, false}, {0o602, false}, {0o610, false},
		{0o601, false}, {0o666, false}} {
		if err := os.Chmod(path, tt.mode); err != nil {
			t.Fatal(err)
		}
		_, err := Load(path)
		if tt.good && err != nil {
			t.Errorf("mode %o: %v", tt.mode, err)
		}
		if !tt.good && (!errors.Is(err, ErrFile) || !strings.Contains(err.Error(), "run chmod 600 "+path)) {
			t.Errorf("mode %o: %v, want ErrFile and chmod 600", tt.mode, err)
		}
	}
}

func TestLoadRefuses(t *testing.T) {
	dir := t.TempDir()
	w := newWallet(t)
	path := filepath.Join(dir, "wallet.yaml")
	if err := w.Create(path); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	good, seed := string(b), hex.EncodeToString(w.key.Seed())
	if !strings.Contains(good, seed) {
		t.Fatalf("no seed in\n%s", good)
	}
	for name, content := range map[string]string{
		"empty":          "",
		"a comment":      "# nothing\n",
		"a key of nodes": "walrus-ed25519-seed " + seed + "\n",
		"list":           "- " + seed + "\n",
		"other kind":     strings.Replace(good, fileKind, "walrus-bls12381", 1),
		"no kind":        strings.Replace(good, "kind: "+fileKind, "", 1),
		"unknown field":  good + "password: " + seed + "\n",
		"twice":          good + "---\n" + good,
		"short key":      strings.Replace(good, seed, seed[2:], 1),
		"long key":       strings.Replace(good, seed, seed+"00", 1),
		"no digits":      strings.Replace(good, seed, "x"+seed[1:], 1),
		"no key":         strings.Replace(good, "key: ", "#", 1),
		"typing error":   strings.Replace(good, seed, flip(seed), 1),
		"other address":  strings.Replace(good, w.Address().String(), ledger.Address{1}.String(), 1),
		"bad address":    strings.Replace(good, w.Address().String(), "0x12", 1),
		"huge":           good + strings.Repeat("#", maxFile),
		"endless alias":  "a: &a [*a, *a]\n",
	} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		w, err := Load(path)
		if !errors.Is(err, ErrFile) || w != nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v, %v: want ErrFile with the path", name, w, err)
			continue
		}
		if strings.Contains(err.Error(), seed[2:20]) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: the error shows what is in the file: %v", name, err)
		}
	}
	if _, err := Load(dir); !errors.Is(err, ErrFile) {
		t.Errorf("a folder: %v, want ErrFile", err)
	}
	if _, err := Load(filepath.Join(dir, "none")); !errors.Is(err, ErrFile) || !errors.Is(err, fs.ErrNotExist) ||
		!strings.Contains(err.Error(), "walrus wallet new") {
		t.Errorf("no file: %v, want ErrFile and ErrNotExist", err)
	}
}

// flip changes the last digit.
func flip(digits string) string {
	last := "0"
	if strings.HasSuffix(digits, "0") {
		last = "1"
	}
	return digits[:len(digits)-1] + last
}

func TestSecretIsNotPrinted(t *testing.T) {
	w := newWallet(t)
	seed := hex.EncodeToString(w.key.Seed())
	for _, format := range []string{"%v", "%+v", "%#v", "%s"} {
		if got := fmt.Sprintf(format, w); got != "wallet of "+w.Address().String() || strings.Contains(got, seed) {
			t.Errorf("%s prints %s", format, got)
		}
	}
}

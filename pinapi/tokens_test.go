package pinapi

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestTokens: the file has hashes only, two readers of it agree, and damage is an error, not an open door.
func TestTokens(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tokens")
	a, err := OpenTokens(path)
	if err != nil {
		t.Fatal(err)
	}
	phone, err := a.Create("phone")
	if err != nil {
		t.Fatal(err)
	}
	laptop, err := a.Create("laptop")
	if err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(path)
	if err != nil || strings.Contains(string(raw), phone) || strings.Contains(string(raw), laptop) {
		t.Errorf("the file holds a token: %v", err)
	}
	if st, err := os.Stat(path); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("mode %v: %v", st.Mode(), err)
	}
	b, err := OpenTokens(path)
	if err != nil {
		t.Fatal(err)
	}
	allow := func(text string, want bool) {
		t.Helper()
		if got, err := b.Allow([]string{"Bearer " + text}); got != want || err != nil {
			t.Errorf("allowed %v, want %v: %v", got, want, err)
		}
	}
	allow(phone, true)
	allow(laptop, true)
	allow(phone[1:], false)
	if err := a.Remove("phone"); err != nil {
		t.Fatal(err)
	}
	allow(phone, false)
	allow(laptop, true)
	if err := a.Remove("phone"); !errors.Is(err, ErrNoToken) {
		t.Errorf("removed twice: %v", err)
	}
	for _, name := range []string{"", "a b", "laptop", "a\n", strings.Repeat("n", 65)} {
		if _, err := a.Create(name); err == nil {
			t.Errorf("a token named %q was made", name)
		}
	}
	if names, err := b.Names(); err != nil || !slices.Equal(names, []string{"laptop"}) {
		t.Errorf("names %v: %v", names, err)
	}
	for _, text := range []string{"laptop", "laptop " + strings.Repeat("0", 63), strings.Repeat("#", maxTokensFile+1)} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if ok, err := b.Allow([]string{"Bearer " + laptop}); ok || err == nil {
			t.Errorf("%.20q: allowed %v, %v", text, ok, err)
		}
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	allow(laptop, false)
}

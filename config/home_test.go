package config

import (
	"path/filepath"
	"strings"
	"testing"
)

// TestHomePaths: ~ in a file means the home, as in a shell, and never a folder of that name.
func TestHomePaths(t *testing.T) {
	home, dir := t.TempDir(), t.TempDir()
	t.Setenv("HOME", home)
	path := filepath.Join(dir, "client.yaml")
	overwrite(t, path, "genesis: ~/g\naddressBook: ~/a/b\ntempDir: ~/\nwallet: ~/w\nfaucet: ./~/f\nmdns: true\n")
	c, err := LoadClient(path)
	if err != nil {
		t.Fatal(err)
	}
	for got, want := range map[string]string{
		c.Genesis: filepath.Join(home, "g"), c.AddressBook: filepath.Join(home, "a", "b"), c.TempDir: home,
		c.Wallet: filepath.Join(home, "w"), c.Faucet: filepath.Join(dir, "~", "f"),
	} {
		if got != want {
			t.Errorf("client: got %s, want %s", got, want)
		}
	}
	overwrite(t, filepath.Join(dir, NodeFile),
		"genesis: ~/g\nstore: ~/s\nledger: ~/l\naddressBook: ~/a\ngateway: {bind: 127.0.0.1:1, wallet: ~/w}\nlisten: [/ip4/127.0.0.1/tcp/1]\n")
	n, err := LoadNode(dir)
	if err != nil {
		t.Fatal(err)
	}
	for got, want := range map[string]string{n.Genesis: "g", n.Store.Path: "s", n.Ledger: "l", n.AddressBook: "a",
		n.Gateway.Wallet: "w"} {
		if got != filepath.Join(home, want) {
			t.Errorf("node: got %s, want it in %s", got, home)
		}
	}
	overwrite(t, path, "wallet: ~bob/w\nmdns: true\n")
	if _, err := LoadClient(path); err == nil ||
		!strings.Contains(err.Error(), `client.yaml: key "wallet": ~bob/w: only ~/, your own home, is supported`) {
		t.Errorf("another user's home: %v", err)
	}
	env := func(name string) string { return map[string]string{EnvConfig: "~/c.yaml"}[name] }
	if got, err := FindClient("", env); err != nil || got != filepath.Join(home, "c.yaml") {
		t.Errorf("$%s: got %s, %v", EnvConfig, got, err)
	}
}

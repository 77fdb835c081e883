package config

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/libp2p/go-libp2p/core/peer"

	"walrus/ledger"
)

func newPeer(t *testing.T) peer.ID {
	t.Helper()
	keys, err := NewKeys()
	if err != nil {
		t.Fatal(err)
	}
	id, err := keys.PeerID()
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// TestAdmitted composes a list from the configuration, a file beside it, the genesis, the bootstrap nodes and the
// operator. Nobody else is on it.
func TestAdmitted(t *testing.T) {
	listed, filed, member, operator, stranger := newPeer(t), newPeer(t), newPeer(t), newPeer(t), newPeer(t)
	dir := t.TempDir()
	file := "# friends\n\n  " + filed.String() + "  # at home\r\n#" + stranger.String() + "\n"
	if err := os.WriteFile(filepath.Join(dir, "peers.txt"), []byte(file), 0o600); err != nil {
		t.Fatal(err)
	}
	list := []string{listed.String(), "peers.txt"}
	if err := locateAllow(filepath.Join(dir, NodeFile), list); err != nil {
		t.Fatal(err)
	}
	genesis := &ledger.Genesis{Members: []ledger.GenesisMember{{Node: member}}}
	allow, err := admitted(list, genesis, []string{somePeer}, operator)
	if err != nil {
		t.Fatal(err)
	}
	bootstrap, err := peer.AddrInfoFromString(somePeer)
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []peer.ID{listed, filed, member, operator, bootstrap.ID} {
		if !allow(id) {
			t.Errorf("%s is not admitted", id)
		}
	}
	if allow(stranger) || allow("") {
		t.Error("a stranger is admitted")
	}
	if allow, err := admitted(nil, genesis, nil); allow != nil || err != nil {
		t.Errorf("an empty list is not an open network: %v", err)
	}
}

func TestAllowMistakes(t *testing.T) {
	dir := t.TempDir()
	bad := filepath.Join(dir, "bad.txt")
	if err := os.WriteFile(bad, []byte("# one\n12D3Koo\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for entry, want := range map[string]string{
		bad:                             `bad.txt:2: "12D3Koo" is not a peer ID`,
		filepath.Join(dir, "12D3KooTy"): "12D3KooTy is no peer ID and no file that can be read",
		dir:                             "is not a regular file",
	} {
		if _, err := admitted([]string{entry}, new(ledger.Genesis), nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", entry, err, want)
		}
	}
	if err := locateAllow("node.yaml", []string{""}); err == nil || !strings.Contains(err.Error(), "empty") {
		t.Errorf("an empty entry: %v", err)
	}
	long := slices.Repeat([]string{somePeer}, maxAllowed+1)
	if err := locateAllow("node.yaml", long); err == nil || !strings.Contains(err.Error(), "put them in a file") {
		t.Errorf("a long list: %v", err)
	}
}

// TestIdentity makes a client's key once, for its owner alone.
func TestIdentity(t *testing.T) {
	c := DefaultClient()
	if key, err := c.IdentityKey(); key != nil || err != nil {
		t.Errorf("no identity: got a key, or %v", err)
	}
	c.Identity = filepath.Join(t.TempDir(), "new", "client.key")
	first, err := c.IdentityKey()
	if err != nil {
		t.Fatal(err)
	}
	again, err := c.IdentityKey()
	if err != nil || !first.Equal(again) {
		t.Errorf("the key changed, or %v", err)
	}
	if st, err := os.Stat(c.Identity); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("the key file: %v, %v", st, err)
	}
}

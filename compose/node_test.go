package compose_test

import (
	"crypto/ed25519"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"

	"walrus/compose"
	"walrus/config"
	"walrus/p2p"
)

// TestWrongConsensusKey: a validator whose key cannot vote does not start as a mere follower.
func TestWrongConsensusKey(t *testing.T) {
	d, err := config.InitDevnet(t.Context(), filepath.Join(t.TempDir(), "devnet"),
		config.DevnetOptions{Nodes: 8, Shards: 16})
	if err != nil {
		t.Fatal(err)
	}
	start := func(i int) error {
		n, err := config.LoadNode(d.Homes[i])
		if err != nil {
			t.Fatal(err)
		}
		_, _, err = compose.Node(n, "test", slog.New(slog.DiscardHandler))
		return err
	}
	key := func(i int) string { return filepath.Join(d.Homes[i], filepath.FromSlash(config.ConsensusKeyFile)) }
	for _, i := range []int{0, 7} {
		if err := start(i); err != nil {
			t.Errorf("node %d: %v", i, err)
		}
	}
	other, err := os.ReadFile(key(7))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(key(0), other, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := start(0); err == nil || !strings.Contains(err.Error(), "restore "+config.ConsensusKeyFile) {
		t.Errorf("a validator with another's key: %v", err)
	}
	if err := os.Remove(key(0)); err != nil {
		t.Fatal(err)
	}
	if err := start(0); err == nil {
		t.Error("a validator without a key starts")
	}
}

// TestPrivateNode: a node with an allow list admits its friends, the members, and its own operator; a client of the
// network is admitted by its own identity.
func TestPrivateNode(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "devnet")
	d, err := config.InitDevnet(t.Context(), dir, config.DevnetOptions{Nodes: 4, Shards: 7})
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	c, err := config.LoadClient(filepath.Join(dir, "client.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	c.Identity = filepath.Join(dir, "client.key")
	client, _, err := c.Compose("test", nil, log)
	if err != nil {
		t.Fatal(err)
	}
	n, err := config.LoadNode(d.Homes[0])
	if err != nil {
		t.Fatal(err)
	}
	if cfg, _, err := compose.Node(n, "test", log); err != nil || cfg.P2P.Allow != nil || client.P2P.Allow != nil {
		t.Fatalf("without a list the network is not open, or %v", err)
	}
	friend, stranger := peerID(t, client.P2P.Key), peerID(t, newKey(t))
	n.Allow, c.Allow = []string{friend.String()}, []string{friend.String()}
	cfg, _, err := compose.Node(n, "test", log)
	if err != nil {
		t.Fatal(err)
	}
	if client, _, err = c.Compose("test", nil, log); err != nil {
		t.Fatal(err)
	}
	operator, err := p2p.OperatorID(cfg.P2P.Key)
	if err != nil {
		t.Fatal(err)
	}
	if !cfg.P2P.Allow(friend) || !cfg.P2P.Allow(cfg.Genesis.Members[3].Node) || !cfg.P2P.Allow(operator) {
		t.Error("the node refuses the client, a member or its operator")
	}
	if !client.P2P.Allow(cfg.Genesis.Members[3].Node) {
		t.Error("the client refuses a member")
	}
	if cfg.P2P.Allow(stranger) || client.P2P.Allow(stranger) || client.P2P.Allow(operator) {
		t.Error("a stranger is admitted")
	}
}

func newKey(t *testing.T) ed25519.PrivateKey {
	t.Helper()
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func peerID(t *testing.T, key ed25519.PrivateKey) peer.ID {
	t.Helper()
	secret, err := crypto.UnmarshalEd25519PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	id, err := peer.IDFromPrivateKey(secret)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

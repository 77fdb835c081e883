package compose_test

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"walrus/compose"
	"walrus/config"
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

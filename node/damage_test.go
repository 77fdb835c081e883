package node_test

import (
	"crypto/ed25519"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"walrus/clientnode"
	"walrus/node"
	"walrus/p2p"
)

// TestDamagedDisk flips bytes all over the files of a stopped node. When started again it serves no wrong byte,
// reports the damage and repairs itself.
func TestDamagedDisk(t *testing.T) {
	for _, kind := range []string{"*.vlog", "*.sst", "MANIFEST", "*"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			seed := rand.Uint64()
			t.Logf("seed %d", seed)
			c := newCluster(t, 7, 28)
			c.useLoopback()
			c.adjust = func(_ int, cfg *node.Config) { cfg.Keeper.Scrub = 2 * time.Second }
			defer c.stopAll()
			c.startAll()
			cn := c.client(0)
			defer func() { must(t, cn.Close()) }()
			cl := cn.Client()
			data := random(t, 2_000_000)
			res := c.store(cl, data)
			c.awaitHealthy(cl, patience)

			c.stop(3)
			damage(t, c.members[3].dir, kind, rand.New(rand.NewPCG(seed, 0)))
			c.start(3)
			c.mustRead(cl, res.BlobID, data)
			c.awaitServing(3)
			c.awaitHealthy(cl, patience)
			c.mustRead(cl, res.BlobID, data)
			// The scrub finds the damage bit by bit, and meanwhile the node may look healthy.
			st, err := c.nodes[3].Status()
			must(t, err)
			for end := time.Now().Add(patience); time.Now().Before(end) &&
				(len(st.Incidents) == 0 || st.Slivers != 8 || st.Corrupt != 0); <-time.After(100 * time.Millisecond) {
				st, err = c.nodes[3].Status()
				must(t, err)
			}
			c.mustRead(cl, res.BlobID, data)
			if len(st.Incidents) == 0 || !c.logs.of(3).contains("corrupt") {
				t.Errorf("the node does not say that its disk was damaged: incidents %q", st.Incidents)
			}
			if public, own := c.askIncidents(3, nil), c.askIncidents(3, p2p.OperatorKey(c.members[3].key)); len(public) == 0 ||
				strings.Contains(strings.Join(public, "\n"), c.members[3].dir) ||
				!strings.Contains(strings.Join(own, "\n"), c.members[3].dir) {
				t.Errorf("strangers see %q, the operator %q", public, own)
			}
			if st.Slivers != 8 || st.Corrupt != 0 {
				t.Errorf("status after repair: %+v", st)
			}
		})
	}
}

// askIncidents asks node i for its incidents, as a stranger or with a key.
func (c *cluster) askIncidents(i int, key ed25519.PrivateKey) []string {
	c.t.Helper()
	st, err := clientnode.QueryStatus(c.t.Context(), clientnode.Config{
		P2P: p2p.Config{Network: network, Key: key}, Logger: slog.New(slog.DiscardHandler),
	}, c.members[i].addr)
	must(c.t, err)
	return st.Incidents
}

// damage flips a byte in every 20,000, and at least 20, of each file under dir whose name matches.
func damage(t *testing.T, dir, pattern string, r *rand.Rand) {
	t.Helper()
	hit := 0
	must(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		if ok, _ := filepath.Match(pattern, d.Name()); !ok {
			return nil
		}
		b, err := os.ReadFile(path)
		if err != nil || len(b) == 0 {
			return err
		}
		for range max(20, len(b)/20_000) {
			b[r.IntN(len(b))] ^= 1 << r.IntN(8)
		}
		hit++
		return os.WriteFile(path, b, 0o600)
	}))
	if hit == 0 {
		t.Fatalf("no file %s under %s", pattern, dir)
	}
}

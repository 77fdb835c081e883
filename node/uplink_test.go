package node_test

import (
	"bytes"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"walrus/client"
	"walrus/internal/swarmtest"
)

// TestSlowUplink stores a tenth of 200 MB over a line with a tenth of 100 Mbit/s and 80 ms delay, with a tenth of the
// memory. The client's slow line is not blamed on nodes, and all shards confirm. A node with a tenth of the others'
// rate is still left behind.
func TestSlowUplink(t *testing.T) {
	if testing.Short() {
		t.Skip("moves 200 MB")
	}
	synctest.Test(t, func(t *testing.T) {
		const nodes, n, line = 7, 100, int64(100e6 / 8 / 10)
		net := swarmtest.NewNetwork(1)
		net.SetLatency(func(int, int) time.Duration { return 40 * time.Millisecond })
		c := newCluster(t, nodes, n)
		c.p2p, c.light = simulated(net), true
		c.uploadMemory = client.Default().UploadMemory / 10
		defer c.stopAll()
		c.startAll()
		cn := c.client(0)
		defer func() { must(t, cn.Close()) }()
		net.SetRate(nodes, line)
		start := time.Now()
		res := c.store(cn.Client(), random(t, 20e6))
		t.Logf("stored in %v; %d of %d shards confirmed", time.Since(start), res.Confirmed, res.Shards)
		if res.Confirmed != n {
			for _, node := range res.Nodes {
				t.Errorf("%s: confirmed %v: %s", node.Name, node.Confirmed, node.Why)
			}
		}

		net.SetRate(nodes, 10*line)
		net.SetRate(3, line/nodes) // the others get ten times as much
		start = time.Now()
		res, err := cn.Client().Store(t.Context(), bytes.NewReader(random(t, 20e6)), 20e6, client.StoreOptions{})
		must(t, err)
		t.Logf("stored in %v; %d of %d shards confirmed", time.Since(start), res.Confirmed, res.Shards)
		for i, node := range res.Nodes {
			if node.Confirmed != (i != 3) {
				t.Errorf("%s: confirmed %v: %s", node.Name, node.Confirmed, node.Why)
			}
		}
		if !strings.Contains(res.Nodes[3].Why, "too slow") || time.Since(start) > time.Minute {
			t.Errorf("after %v: %s", time.Since(start), res.Nodes[3].Why)
		}
	})
}

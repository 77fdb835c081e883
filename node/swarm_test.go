package node_test

import (
	"os"
	"testing"
	"testing/synctest"
	"time"

	"walrus/internal/swarmtest"
	"walrus/p2p"
	"walrus/shards"
)

// simulated puts hosts on a network in virtual time.
func simulated(n *swarmtest.Network) func(int, *p2p.Config) {
	return func(i int, cfg *p2p.Config) {
		cfg.Listen = []string{n.ListenAddr(i)}
		cfg.Libp2p, cfg.TestTransport = n.Options(i), true
	}
}

// TestFiftyHosts runs fifty real nodes on five continents in virtual time. A blob is stored, nodes with a third of
// the shards vanish with their disks, the blob is read, and the nodes come back empty and repair themselves.
func TestFiftyHosts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nodes, n, lost := 50, 100, 16
		if testing.Short() { // under the race detector
			nodes, n, lost = 16, 32, 5
		}
		seed := uint64(time.Now().UnixNano()) // of the virtual clock: always the same
		t.Logf("seed %d", seed)
		net := swarmtest.NewNetwork(seed)
		c := newCluster(t, nodes, n)
		c.p2p, c.light = simulated(net), true
		defer c.stopAll()
		c.startAll()
		cn := c.client(0)
		cl := cn.Client()

		data := random(t, 8<<20)
		res := c.store(cl, data)
		if res.Confirmed < res.Needed {
			t.Fatalf("%d of %d shards confirmed", res.Confirmed, res.Needed)
		}
		if got := c.mustRead(cl, res.BlobID, data); got.Decoded != 0 {
			t.Errorf("decoded %d rows while all nodes were up", got.Decoded)
		}
		c.awaitHealthy(cl, 2*time.Minute)

		for i := 1; i <= lost; i++ {
			net.Kill(i)
			c.stop(i)
			must(t, os.RemoveAll(c.members[i].dir))
		}
		got := c.mustRead(cl, res.BlobID, data)
		t.Logf("read without %d of %d nodes: decoded %d rows, fetched %d bytes for a blob of %d", lost, nodes, got.Decoded,
			got.Fetched, len(data))

		before := map[int]int64{}
		for i := 1; i <= lost; i++ {
			net.Revive(i)
			before[i] = net.Received(i)
			c.start(i)
		}
		c.awaitHealthy(cl, 5*time.Minute)
		params := c.committee().Params()
		owed := 2 * (params.Layout(shards.Primary, res.Size).Size() + params.Layout(shards.Secondary, res.Size).Size())
		var worst int64
		for i := 1; i <= lost; i++ {
			worst = max(worst, net.Received(i)-before[i])
		}
		t.Logf("each node owed %d bytes of slivers; the one that received most to repair them got %d in all", owed, worst)
		// Twice what is owed, for proofs, connections and gossip. Half as much again, for an attempt that began before
		// enough members were back: the symbols that it got are dropped.
		if worst > 2*owed+owed/2 {
			t.Errorf("repair of %d bytes took %d bytes of traffic", owed, worst)
		}
		c.mustRead(cl, res.BlobID, data)
		must(t, cn.Close())
	})
}

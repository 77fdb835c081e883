package node_test

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"walrus/client"
)

// TestStoreReadRepair covers the main use over real sockets: store, lose two nodes, read, store again, restart the
// nodes, and see them repaired.
func TestStoreReadRepair(t *testing.T) {
	c := newCluster(t, 7, 100)
	c.useLoopback()
	defer c.stopAll()
	c.startAll()
	cn := c.client(0)
	defer func() { must(t, cn.Close()) }()
	cl := cn.Client()

	data := random(t, 3<<20)
	res := c.store(cl, data)
	if res.AlreadyCertified || res.Confirmed < res.Needed {
		t.Fatalf("result %+v", res)
	}
	c.mustRead(cl, res.BlobID, data)
	if again := c.store(cl, data); !again.AlreadyCertified {
		t.Error("the same bytes were stored twice")
	}
	c.awaitHealthy(cl, patience)

	c.stop(5)
	c.stop(2)
	c.mustRead(cl, res.BlobID, data)
	for _, memory := range []int64{1, 150_000, 1 << 20} { // rows of 88,440 bytes: all on disk, some in memory, most
		c.readMemory = memory
		tight := c.client(1)
		if got := c.mustRead(tight.Client(), res.BlobID, data); got.Decoded == 0 {
			t.Error("nothing was decoded although nodes are down")
		}
		must(t, tight.Close())
	}
	c.readMemory = 0
	second := random(t, 1<<20)
	res2 := c.store(cl, second)
	c.mustRead(cl, res2.BlobID, second)

	c.stop(0)
	_, err := cl.Store(t.Context(), bytes.NewReader(random(t, 1000)), 1000, client.StoreOptions{})
	var notEnough *client.NotEnoughError
	if !errors.As(err, &notEnough) || notEnough.Needed != 67 || notEnough.Have >= 67 || notEnough.Have < 50 {
		t.Errorf("store with three of seven nodes down: %v", err)
	}
	c.mustRead(cl, res.BlobID, data)

	for _, i := range []int{0, 2, 5} {
		c.start(i)
	}
	c.awaitHealthy(cl, patience)
	st, err := cl.BlobStatus(t.Context(), res2.BlobID)
	must(t, err)
	for _, s := range st.Shards {
		if s.Primary != client.Stored || s.Secondary != client.Stored {
			t.Errorf("shard %d of %s: primary %s, secondary %s", s.Shard, s.Name, s.Primary, s.Secondary)
		}
	}

	c.stop(5) // the history outlives the node
	c.start(5)
	c.awaitServing(5)
	points, err := cl.NodeHistory(t.Context(), c.members[5].id)
	for end := time.Now().Add(patience); err != nil && time.Now().Before(end); <-time.After(100 * time.Millisecond) {
		points, err = cl.NodeHistory(t.Context(), c.members[5].id) // for a moment it is remembered as away
	}
	must(t, err)
	var up time.Duration
	var received, repaired uint64
	for _, p := range points {
		up, received, repaired = up+p.Up, received+p.Received, repaired+p.Repaired
	}
	if len(points) != 2 || up == 0 || received < 1<<20 || repaired == 0 || points[1].Disk == 0 {
		t.Errorf("history of node 5 after two lives: %+v", points)
	}
}

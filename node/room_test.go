package node_test

import (
	"bytes"
	"strings"
	"testing"

	"walrus/client"
	"walrus/node"
	"walrus/node/keeper"
)

// TestFullNode: a node whose store is full serves its data and refuses more. Its status, its log, its health and the
// error of a store that needs it say why.
func TestFullNode(t *testing.T) {
	c := newCluster(t, 4, 16)
	c.useLoopback()
	c.adjust = func(i int, cfg *node.Config) {
		if i < 2 {
			cfg.Store.Limit = 1 // less than an empty store uses
		}
	}
	defer c.stopAll()
	c.startAll()
	cn := c.client(0)
	defer func() { must(t, cn.Close()) }()
	data := random(t, 100_000)
	_, err := cn.Client().Store(t.Context(), bytes.NewReader(data), uint64(len(data)), client.StoreOptions{Epochs: 1})
	if err == nil || !strings.Contains(err.Error(), "disk is full: the store uses") {
		t.Fatalf("store while half of the nodes are full: %v", err)
	}
	for i := range c.nodes {
		c.awaitServing(i)
	}
	st, err := c.nodes[0].Status()
	must(t, err)
	if st.State != keeper.ReadOnly || st.Refuses == "" || st.DiskLimit != 1 || st.DiskBytes == 0 || st.DiskFree == 0 ||
		st.DiskReserve == 0 ||
		strings.Contains(st.Refuses, c.members[0].dir) {
		t.Errorf("status of a full node: %+v", st)
	}
	if !c.logs.of(0).contains("takes no new data") || c.logs.of(3).contains("takes no new data") {
		t.Error("the log of the full node does not say so, or another's does")
	}
	h, err := cn.Client().Health(t.Context())
	must(t, err)
	for i := range h.Nodes {
		n := &h.Nodes[i]
		if full := n.Node == c.members[0].id || n.Node == c.members[1].id; full == n.OK || full &&
			!strings.Contains(n.Why, "takes no new data: disk is full") {
			t.Errorf("health of %s: %v, %q", n.Name, n.OK, n.Why)
		}
	}
}

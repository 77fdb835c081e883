package node_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"

	"walrus/node"
	"walrus/p2p"
	"walrus/probe"
	"walrus/shards"
	"walrus/store"
)

// TestProbes asks all nodes of a network for random cells of a blob. Their answers are right and signed. A node that
// lost a sliver while it did not run signs that, names the sliver, and has repaired it soon.
func TestProbes(t *testing.T) {
	c := newCluster(t, 7, 28)
	c.useLoopback()
	c.adjust = func(_ int, cfg *node.Config) { cfg.Keeper.Scrub = 24 * time.Hour } // the probe finds the loss
	defer c.stopAll()
	c.startAll()
	cn := c.client(0)
	defer func() { must(t, cn.Close()) }()
	data := random(t, 100_000)
	res := c.store(cn.Client(), data)
	c.awaitHealthy(cn.Client(), patience)
	params, err := shards.NewParams(28)
	must(t, err)
	meta, _, err := shards.Encode(params, data)
	must(t, err)

	_, key, err := ed25519.GenerateKey(nil)
	must(t, err)
	h, err := p2p.New(p2p.Config{Network: network, Key: key, Logger: slog.New(slog.DiscardHandler)})
	must(t, err)
	defer func() { must(t, h.Close()) }()
	com := c.committee()
	held := func(i int) []int {
		at, _ := com.Member(c.members[i].id)
		return com.Members()[at].Shards
	}
	ask := func(i int, q probe.Question) (probe.Receipt, error) {
		addr, err := peer.AddrInfoFromP2pAddr(multiaddr.StringCast(c.nodes[i].Addrs()[0]))
		must(t, err)
		must(t, h.Connect(t.Context(), *addr))
		_, height := c.copies[i].State()
		q.Network, q.Height = c.genesis.NetworkID(), height
		_, _ = rand.Read(q.Nonce[:])
		return h.Probe(t.Context(), addr.ID, q)
	}
	for i := range c.nodes {
		for k := range byte(5) {
			q, _ := probe.Draw([32]byte{byte(i), k}, meta.Params(), probe.Blob{ID: res.BlobID, Length: meta.Length}, held(i))
			line, err := meta.OpenLine(q.Axis, q.Slivers[0])
			must(t, err)
			e := probe.Evidence{Sliver: q.Slivers[0], Target: q.Targets[0], Line: &line}
			for _, q := range []probe.Question{q, q.Proofs()} {
				r, err := ask(i, q)
				must(t, err)
				e.Receipts = append(e.Receipts, r)
			}
			if _, err := probe.Judge(&e); !errors.Is(err, probe.ErrNotConvicted) {
				t.Errorf("node %d, an honest one: %v", i, err)
			}
		}
	}

	const victim = 3
	c.stop(victim)
	shard := held(victim)[1]
	scfg := store.Default(c.members[victim].dir)
	scfg.Logger = slog.New(slog.DiscardHandler)
	st, err := store.Open(scfg)
	must(t, err)
	must(t, st.DeleteSliver(store.Ref{Blob: res.BlobID, Shard: shard, Axis: shards.Secondary}))
	must(t, st.Sync())
	must(t, st.Close())
	c.start(victim)
	c.awaitServing(victim)
	lost := meta.Params().SliverOfPair(shards.Secondary, meta.Params().PairOnShard(res.BlobID, shard))
	z := meta.Layout(shards.Secondary).SymbolSize
	q := probe.Question{
		Shards: 28, Blob: res.BlobID, Axis: shards.Secondary, Slivers: []int{lost}, Targets: []int{5}, SymbolSize: z, Length: z,
	}
	r, err := ask(victim, q)
	must(t, err)
	if r.Code == probe.Answered {
		t.Log("the node had repaired the sliver before it was asked")
	} else if v, err := probe.Judge(&probe.Evidence{Receipts: []probe.Receipt{r}}); err != nil || v.Kind != probe.KindMissing ||
		v.Node != c.members[victim].id || v.Sliver != lost || v.Blob != res.BlobID {
		t.Errorf("the verdict of the loss: %+v, %v", v, err)
	}
	for end := time.Now().Add(patience); ; <-time.After(50 * time.Millisecond) {
		if r, err = ask(victim, q); err == nil && r.Code == probe.Answered {
			break
		}
		if time.Now().After(end) {
			t.Fatal(fmt.Errorf("the loss is not repaired: %w", err))
		}
	}
}

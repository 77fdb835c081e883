package node_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sync/errgroup"

	"walrus/certs"
	"walrus/client"
	"walrus/internal/swarmtest"
	"walrus/p2p"
	"walrus/shards"
)

// virtual runs a test on seven nodes and a client in virtual time.
func virtual(t *testing.T, test func(c *cluster, cl *client.Client)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 7, 28)
		c.p2p, c.light = simulated(swarmtest.NewNetwork(1)), true
		defer c.stopAll()
		c.startAll()
		cn := c.client(0)
		defer func() { must(t, cn.Close()) }()
		test(c, cn.Client())
	})
}

// storeFor stores data for some epochs.
func (c *cluster) storeFor(cl *client.Client, data []byte, opt client.StoreOptions) *client.StoreResult {
	c.t.Helper()
	res, err := cl.Store(c.t.Context(), bytes.NewReader(data), uint64(len(data)), opt)
	must(c.t, err)
	return res
}

func (c *cluster) advance(epochs int) {
	c.t.Helper()
	must(c.t, c.chain.Advance(epochs))
}

// awaitStatus waits until fn accepts the status of every running node.
func (c *cluster) awaitStatus(what string, fn func(p2p.NodeStatus) bool) {
	c.t.Helper()
	var last p2p.NodeStatus
	for range 300 {
		good := true
		for _, n := range c.nodes {
			if n == nil {
				continue
			}
			st, err := n.Status()
			must(c.t, err)
			if !fn(st) {
				good, last = false, st
			}
		}
		if good {
			return
		}
		<-time.After(100 * time.Millisecond)
	}
	c.t.Fatalf("not all nodes %s: %+v", what, last)
}

// holds waits until every node knows this many certified blobs, has exactly their slivers, and owes nothing.
func (c *cluster) holds(blobs uint64) {
	c.t.Helper()
	c.awaitStatus(fmt.Sprintf("hold %d blobs", blobs), func(st p2p.NodeStatus) bool {
		return st.Blobs == blobs && st.Slivers == 2*blobs*uint64(len(st.Shards)) && st.Owed == 0
	})
}

func (c *cluster) mustNotRead(cl *client.Client, id shards.BlobID) {
	c.t.Helper()
	_, err := cl.Read(c.t.Context(), id, &bytes.Buffer{}, client.ReadOptions{})
	wantErr(c.t, err, client.ErrNotFound)
}

// TestUploadAheadOfRegistration uploads before the registration is on the ledger. The nodes hold the upload for a
// while, and drop it if it is never registered.
func TestUploadAheadOfRegistration(t *testing.T) {
	virtual(t, func(c *cluster, cl *client.Client) {
		c.chain.Delay(3 * time.Second)
		data := random(c.t, 300_000)
		res := c.storeFor(cl, data, client.StoreOptions{})
		if res.Confirmed < res.Needed || res.Uploading > 9*time.Second { // a third wait for a block would take longer
			c.t.Errorf("confirmed %d of %d after %v", res.Confirmed, res.Needed, res.Uploading)
		}
		c.mustRead(cl, res.BlobID, data)
		c.holds(1)

		c.chain.Delay(time.Hour) // blocks go on meanwhile, so the ledger is not stalled
		ctx, cancel := context.WithTimeout(c.t.Context(), 5*time.Minute)
		defer cancel()
		_, err := cl.Store(ctx, strings.NewReader("never registered"), 16, client.StoreOptions{})
		wantErr(c.t, err, context.DeadlineExceeded)
		if errors.Is(err, client.ErrStalled) {
			c.t.Errorf("a moving ledger is reported as stalled: %v", err)
		}
		c.holds(1)
	})
}

// TestNotRegistered asks a node to store and to confirm a blob that nobody has paid, and to confirm for another's
// record.
func TestNotRegistered(t *testing.T) {
	virtual(t, func(c *cluster, cl *client.Client) {
		cn := c.client(1)
		defer func() { must(c.t, cn.Close()) }()
		swarm := cn.Swarm()
		params := c.committee().Params()
		meta, _, err := shards.Encode(params, []byte("a blob"))
		must(c.t, err)
		to := c.members[0].id
		must(c.t, swarm.Connect(c.t.Context(), to))
		_, err = swarm.PutMetadata(c.t.Context(), to, meta.ID(), c.token(swarm.ID(), meta.ID()), meta.Marshal())
		must(c.t, err) // held for a while
		start := time.Now()
		_, err = swarm.Confirm(c.t.Context(), to, meta.ID(), certs.Persistence{})
		wantErr(c.t, err, p2p.ErrNotRegistered)
		if took := time.Since(start); took < 9*time.Second || took > 15*time.Second {
			c.t.Errorf("waited %v for the registration", took)
		}
		_, err = swarm.Metadata(c.t.Context(), to, meta.ID(), params.MetadataSize())
		wantErr(c.t, err, p2p.ErrNotFound)

		res := c.storeFor(cl, []byte("a blob"), client.StoreOptions{})
		other := c.storeFor(cl, []byte("another blob"), client.StoreOptions{})
		_, err = swarm.Confirm(c.t.Context(), to, res.BlobID, certs.Persistence{Deletable: true, Object: other.Object})
		wantErr(c.t, err, p2p.ErrBadRequest)
		_, err = swarm.Confirm(c.t.Context(), to, res.BlobID, certs.Persistence{}) // it may be deleted
		wantErr(c.t, err, p2p.ErrNotRegistered)
		_, err = swarm.Confirm(c.t.Context(), to, res.BlobID, certs.Persistence{Deletable: true, Object: res.Object})
		must(c.t, err)
	})
}

// TestLifeOfBlobs lets epochs pass over blobs that end, are extended, deleted, and registered twice.
func TestLifeOfBlobs(t *testing.T) {
	virtual(t, func(c *cluster, cl *client.Client) {
		short, long, extended, deleted, twice := random(c.t, 50_000), random(c.t, 60_000), random(c.t, 70_000), random(c.t,
			80_000), random(c.t, 90_000)
		rs := c.storeFor(cl, short, client.StoreOptions{Epochs: 1})
		rl := c.storeFor(cl, long, client.StoreOptions{Epochs: 3, Permanent: true})
		re := c.storeFor(cl, extended, client.StoreOptions{Epochs: 1})
		rd := c.storeFor(cl, deleted, client.StoreOptions{Epochs: 3})
		rt := c.storeFor(cl, twice, client.StoreOptions{Epochs: 3})
		c.storeFor(cl, twice, client.StoreOptions{Epochs: 2, Permanent: true})
		c.holds(5)
		_, err := cl.Extend(c.t.Context(), re.Object, 2, client.ExtendOptions{})
		must(c.t, err)
		_, err = cl.Delete(c.t.Context(), rd.Object)
		must(c.t, err)
		_, err = cl.Delete(c.t.Context(), rt.Object) // the other registration keeps the blob
		must(c.t, err)
		c.holds(4)
		c.mustNotRead(cl, rd.BlobID)
		c.mustRead(cl, rt.BlobID, twice)

		c.advance(1) // epoch 2
		c.holds(3)
		c.mustNotRead(cl, rs.BlobID)
		c.mustRead(cl, rl.BlobID, long)
		c.mustRead(cl, re.BlobID, extended)
		c.mustRead(cl, rt.BlobID, twice)
		again := c.storeFor(cl, short, client.StoreOptions{Epochs: 1}) // an ended blob can come back
		if again.Operation != client.ReuseStorage ||                   // storage freed by the deletions
			again.CertifiedEpoch != 2 {
			c.t.Errorf("stored again: %+v", again)
		}
		c.holds(4)

		c.advance(1) // epoch 3
		c.holds(2)
		c.mustNotRead(cl, rt.BlobID)
		c.mustRead(cl, rl.BlobID, long)
		c.mustRead(cl, re.BlobID, extended)
		c.awaitHealthy(cl, time.Minute)
		c.advance(7)
		c.holds(0)
		c.awaitStatus("be in epoch 10", func(st p2p.NodeStatus) bool { return st.Epoch == 10 })
	})
}

// TestBackAfterEpochs stops two nodes while blobs come and go, with the ledger's events kept or pruned. Back again,
// they drop ended blobs, prolong extended ones and get new ones.
func TestBackAfterEpochs(t *testing.T) {
	for _, pruned := range []bool{false, true} {
		t.Run(fmt.Sprintf("pruned=%v", pruned), func(t *testing.T) {
			virtual(t, func(c *cluster, cl *client.Client) {
				ends, extended, deleted, unseen := random(c.t, 50_000), random(c.t, 60_000), random(c.t,
					70_000), random(c.t, 80_000)
				c.storeFor(cl, ends, client.StoreOptions{Epochs: 1})
				re := c.storeFor(cl, extended, client.StoreOptions{Epochs: 1})
				rd := c.storeFor(cl, deleted, client.StoreOptions{Epochs: 9})
				c.holds(3)
				c.stop(2)
				c.stop(5)
				_, err := cl.Extend(c.t.Context(), re.Object, 8, client.ExtendOptions{})
				must(c.t, err)
				_, err = cl.Delete(c.t.Context(), rd.Object)
				must(c.t, err)
				ru := c.storeFor(cl, unseen, client.StoreOptions{Epochs: 5})
				c.advance(2)
				c.holds(2)
				if pruned {
					c.chain.Prune()
				}
				c.start(2)
				c.start(5)
				c.awaitServing(2)
				c.awaitServing(5)
				c.awaitHealthy(cl, time.Minute)
				c.holds(2)
				for _, i := range []int{0, 3} { // so that the returned nodes are needed
					c.stop(i)
				}
				c.mustRead(cl, re.BlobID, extended)
				c.mustRead(cl, ru.BlobID, unseen)
			})
		})
	}
}

// TestRegisteredAnew stops a node while a blob is certified, deleted and registered anew, but not certified. Back
// again, the node hears of the old certificate and does not owe the blob. Nobody else does either, though a client
// hands all of them the old certificate.
func TestRegisteredAnew(t *testing.T) {
	virtual(t, func(c *cluster, cl *client.Client) {
		c.stop(2)
		data := random(c.t, 50_000)
		res := c.storeFor(cl, data, client.StoreOptions{Epochs: 3})
		cn := c.client(1)
		defer func() { must(c.t, cn.Close()) }()
		must(c.t, cn.Swarm().Connect(c.t.Context(), c.members[0].id))
		had, err := cn.Swarm().BlobStatus(c.t.Context(), c.members[0].id, res.BlobID)
		must(c.t, err)
		_, err = cl.Delete(c.t.Context(), res.Object)
		must(c.t, err)
		c.holds(0)
		meta, _, err := shards.Encode(c.committee().Params(), data)
		must(c.t, err)
		_, err = c.chain.Payer(c.wallet).Register(c.t.Context(), meta, 3, true)
		must(c.t, err)
		c.start(2)
		c.awaitServing(2)
		var g errgroup.Group
		for _, m := range c.members {
			g.Go(func() error {
				must(c.t, cn.Swarm().Connect(c.t.Context(), m.id))
				return cn.Swarm().PutCertificate(c.t.Context(), m.id, had.Certificate)
			})
		}
		wantErr(c.t, g.Wait(), p2p.ErrNotRegistered)
		<-time.After(time.Minute)
		for i := range c.nodes {
			st, err := c.nodes[i].Status()
			must(c.t, err)
			if st.Blobs != 0 || st.Owed != 0 {
				c.t.Errorf("of a blob that is not certified any more node %d owes %d slivers, and knows %d blobs",
					i, st.Owed, st.Blobs)
			}
		}
	})
}

// TestLaggingLedger: a node whose ledger lags never says that a blob is not registered or does not exist. It confirms
// nothing, and catches up.
func TestLaggingLedger(t *testing.T) {
	virtual(t, func(c *cluster, cl *client.Client) {
		c.stop(4)
		c.copies[4] = c.chain.Node()
		c.copies[4].Lag(c.chain.Head().Height)
		c.start(4)
		<-c.nodes[4].Ready()
		data := random(c.t, 100_000)
		res := c.storeFor(cl, data, client.StoreOptions{})
		if res.Nodes[4].Confirmed {
			c.t.Error("a node confirmed what it cannot have seen")
		}
		cn := c.client(1)
		defer func() { must(c.t, cn.Close()) }()
		swarm, to := cn.Swarm(), c.members[4].id
		must(c.t, swarm.Connect(c.t.Context(), to))
		_, err := swarm.Confirm(c.t.Context(), to, res.BlobID, certs.Persistence{Deletable: true, Object: res.Object})
		wantErr(c.t, err, p2p.ErrUnavailable)
		<-time.After(time.Minute) // it serves: it must not wait for the ledger for ever
		_, err = swarm.Metadata(c.t.Context(), to, res.BlobID, c.committee().Params().MetadataSize())
		wantErr(c.t, err, p2p.ErrUnavailable)
		c.copies[4].Lag(0)
		c.awaitServing(4)
		c.holds(1)
		c.awaitHealthy(cl, time.Minute)
	})
}

// TestLedgerStalled: nodes serve their data, report that the ledger is stalled, and go on by themselves.
func TestLedgerStalled(t *testing.T) {
	virtual(t, func(c *cluster, cl *client.Client) {
		data := random(c.t, 100_000)
		res := c.storeFor(cl, data, client.StoreOptions{})
		c.chain.Halt(fmt.Errorf("%w for 14 s at height 812: 58 of 100 shards are reachable, 67 needed", client.ErrStalled))
		_, err := cl.Store(c.t.Context(), strings.NewReader("more"), 4, client.StoreOptions{})
		wantErr(c.t, err, client.ErrStalled)
		c.mustRead(cl, res.BlobID, data)
		c.awaitStatus("say so", func(st p2p.NodeStatus) bool {
			return strings.Contains(st.Ledger, "58 of 100 shards") &&
				st.Height > 0
		})
		c.stop(1)
		c.start(1) // a node that starts now serves too
		c.awaitServing(1)
		c.mustRead(cl, res.BlobID, data)
		c.chain.Halt(nil)
		c.awaitStatus("go on", func(st p2p.NodeStatus) bool { return st.Ledger == "running" })
		c.storeFor(cl, []byte("more"), client.StoreOptions{})
		c.holds(2)
	})
}

// TestLedgerBreaks: a node whose ledger breaks ends with the reason.
func TestLedgerBreaks(t *testing.T) {
	virtual(t, func(c *cluster, _ *client.Client) {
		broken := errors.New("the state's root is not what the network agreed on")
		c.copies[3].Break(broken)
		r := c.nodes[3]
		c.nodes[3] = nil
		select {
		case err := <-r.done:
			wantErr(c.t, err, broken)
		case <-time.After(time.Minute):
			c.t.Error("the node goes on without a ledger")
		}
		r.stop()
	})
}

// TestPendingBounds fills a node with metadata of blobs that nobody registers: it answers busy, and takes others
// later.
func TestPendingBounds(t *testing.T) {
	virtual(t, func(c *cluster, cl *client.Client) {
		cn := c.client(1)
		defer func() { must(c.t, cn.Close()) }()
		swarm, to := cn.Swarm(), c.members[0].id
		ctx := c.t.Context()
		must(c.t, swarm.Connect(ctx, to))
		put := func(i int) error {
			meta, _, err := shards.Encode(c.committee().Params(), fmt.Appendf(nil, "blob %d", i)) //nolint:contextcheck // it has the test's
			must(c.t, err)
			_, err = swarm.PutMetadata(ctx, to, meta.ID(), c.token(swarm.ID(), meta.ID()), meta.Marshal())
			return err
		}
		var g errgroup.Group
		var busy atomic.Int32
		for i := range 150 {
			g.Go(func() error {
				err := put(i)
				if errors.Is(err, p2p.ErrBusy) {
					busy.Add(1)
					return nil
				}
				return err
			})
		}
		must(c.t, g.Wait())
		if n := busy.Load(); n != 150-128 {
			c.t.Errorf("%d of 150 blobs that nobody registered were refused", n)
		}
		c.storeFor(cl, []byte("others are served"), client.StoreOptions{})
		<-time.After(11 * time.Second)
		must(c.t, put(150))
	})
}

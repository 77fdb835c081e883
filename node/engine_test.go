package node_test

import (
	"crypto/ed25519"
	"errors"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"walrus/client"
	"walrus/clientnode"
	"walrus/internal/swarmtest"
	"walrus/ledger"
	"walrus/ledger/engine"
	"walrus/ledger/wallet"
	"walrus/node"
	"walrus/p2p"
)

// TestMain starts the process-wide goroutine of signal handling outside of any bubble of virtual time.
func TestMain(m *testing.M) {
	signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP)
	os.Exit(m.Run())
}

// useEngine gives the nodes the real ledger, kept by consensus among them, and clients a light client and a wallet.
func (c *cluster) useEngine(t testing.TB) {
	t.Helper()
	c.genesis.Time, c.genesis.EpochDuration = time.Now().UTC().Truncate(time.Second), 5*time.Minute
	keys := make([]ed25519.PrivateKey, len(c.members))
	for i := range c.members {
		pub, key, err := ed25519.GenerateKey(nil)
		must(t, err)
		keys[i], c.genesis.Members[i].Consensus = key, ledger.PublicKey(pub)
	}
	must(t, c.genesis.Validate())
	c.openLedger = func(i int, cfg *node.Config) node.OpenLedger {
		dir := c.members[i].dir
		return node.Engine(engine.Config{
			Dir: filepath.Join(dir, "ledger"), Genesis: c.genesis, ConsensusKey: keys[i], StateFile: dir + ".consensus", NewState: true,
			Timing: engine.DevnetTiming(), Logger: cfg.Logger,
		})
	}
	c.openChain = func(cfg *clientnode.Config) clientnode.OpenChain {
		return clientnode.Light(c.genesis, wallet.FromKey(c.wallet), cfg.Logger)
	}
}

// TestEngine runs the real ledger: a blob is stored and paid; then nodes with more than a third of the shards vanish,
// so nothing commits while reads go on; when one returns, the ledger goes on by itself.
func TestEngine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 4, 16)
		c.useEngine(t)
		c.p2p, c.light = simulated(swarmtest.NewNetwork(1)), true
		defer time.Sleep(5 * time.Second) // goroutines that consensus leaves behind end by themselves
		defer c.stopAll()
		c.startAll()
		cn := c.client(0)
		defer func() { must(t, cn.Close()) }()
		cl := cn.Client()

		data := random(t, 200_000)
		res := c.storeFor(cl, data, client.StoreOptions{Epochs: 2, Permanent: true})
		c.mustRead(cl, res.BlobID, data)
		c.holds(1)
		list, err := cl.ListBlobs(t.Context(), false)
		if err != nil || len(list) != 1 || list[0].Object != res.Object || list[0].Certified != 1 {
			t.Errorf("records %+v, %v", list, err)
		}
		if again := c.storeFor(cl, data, client.StoreOptions{}); again.Operation != client.AlreadyCertified ||
			again.Cost.Total() != 0 {
			t.Errorf("stored again: %+v", again)
		}

		c.payTogether(cn)

		c.stop(3)
		c.storeFor(cl, random(t, 1000), client.StoreOptions{})
		c.stop(2)
		_, err = cl.Store(t.Context(), strings.NewReader("nobody agrees"), 13, client.StoreOptions{})
		// too few nodes are there; while their connections seem alive, none agrees
		var few *client.NotEnoughError
		if !errors.As(err, &few) && !errors.Is(err, client.ErrStalled) || !strings.Contains(err.Error(), "8 of 16 shards") {
			t.Errorf("store with half of the nodes down: %v", err)
		}
		t.Logf("with half of the nodes down: %v", err)
		c.awaitStatus("say why", func(st p2p.NodeStatus) bool { return strings.Contains(st.Ledger, "node-2") })
		c.mustRead(cl, res.BlobID, data)
		c.start(2)
		c.awaitServing(2)
		var last error
		for range 20 {
			if _, last = cl.Store(t.Context(), strings.NewReader("nobody agrees"), 13, client.StoreOptions{}); last == nil {
				break
			}
		}
		must(t, last)
		c.start(3)
		c.awaitServing(3)
		c.awaitHealthy(cl, 2*time.Minute)

		time.Sleep(15 * time.Minute) // beyond the epochs that were paid
		c.holds(0)
		_, err = cl.Read(t.Context(), res.BlobID, new(strings.Builder), client.ReadOptions{})
		wantErr(t, err, client.ErrNotFound)
		info, err := cl.Info(t.Context())
		if err != nil || info.Epoch < 4 || info.Burned == 0 {
			t.Errorf("info %+v, %v", info, err)
		}
	})
}

// payTogether pays with one wallet from two processes at once: one may take the other's nonce, yet each pays once.
func (c *cluster) payTogether(cn *clientnode.Node) {
	c.t.Helper()
	second := c.client(0)
	defer func() { must(c.t, second.Close()) }()
	to, err := wallet.New()
	must(c.t, err)
	const each, amount = 5, ledger.WAL
	var all sync.WaitGroup
	for _, payer := range []client.Payer{cn.Chain().Payer, second.Chain().Payer} {
		all.Go(func() {
			for range each {
				if _, err := payer.Do(c.t.Context(), ledger.Fixed(ledger.Transfer{To: to.Address(), Amount: amount})); err != nil {
					c.t.Error(err)
				}
			}
		})
	}
	all.Wait()
	a, err := cn.Chain().Light.Account(c.t.Context(), to.Address())
	if err != nil || a.Balance != 2*each*amount {
		c.t.Errorf("paid %v, %v, want %d times %v", a.Balance, err, 2*each, amount)
	}
}

package engine

import (
	"context"
	stded25519 "crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	dbm "github.com/cometbft/cometbft-db"
	"github.com/cometbft/cometbft/config"
	"github.com/cometbft/cometbft/types"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
	"go.uber.org/goleak"

	"walrus/certs"
	"walrus/internal/swarmtest"
	"walrus/ledger"
	"walrus/p2p"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv("ENGINE_PAY_IN"); dir != "" {
		payUntilKilled(dir, os.Getenv("ENGINE_PAY_SINCE"))
	}
	// CometBFT calls signal.Notify, which starts a goroutine for good: call it first outside of a bubble.
	ignore := make(chan os.Signal, 1)
	signal.Notify(ignore, syscall.SIGHUP)
	goleak.VerifyTestMain(m, // block sync looks up every three seconds
		goleak.IgnoreAnyFunction("github.com/cometbft/cometbft/blocksync.(*BlockPool).makeRequestersRoutine"))
}

// cluster is a network of members that run chains around counters, in virtual time.
type cluster struct {
	t       *testing.T
	net     *swarmtest.Network
	dir     string
	doc     *types.GenesisDoc
	network certs.NetworkID
	members []member
	nodes   []*clusterNode
	beat    time.Duration // longest pause between blocks
	slow    bool          // all clocks are behind the genesis, and nobody waits for it
	logFile int64         // of the write-ahead log, in bytes; 0: as in real networks
}

// clusterNode holds the parts of a node that outlive its runs.
type clusterNode struct {
	app  *counter
	dbs  map[string]dbm.DB
	key  stded25519.PrivateKey
	full atomic.Bool // its disk
	log  *slog.Logger
	host *p2p.Host
	*chain
	cancel context.CancelFunc
	ended  chan error // the result of run
}

func seed(kind string, i int) stded25519.PrivateKey {
	s := [stded25519.SeedSize]byte{}
	copy(s[:], fmt.Sprintf("%s %d", kind, i))
	return stded25519.NewKeyFromSeed(s[:])
}

// newCluster makes a network in which member i has shares[i] votes. No node runs yet.
func newCluster(t *testing.T, shares ...int64) *cluster {
	t.Helper()
	c := &cluster{t: t, net: swarmtest.NewNetwork(1), dir: t.TempDir(), network: certs.NetworkID{1}, beat: time.Second}
	c.net.SetLatency(func(a, b int) time.Duration { return time.Millisecond })
	for i, s := range shares {
		pub, err := crypto.UnmarshalEd25519PublicKey(c.net.Key(i).Public().(stded25519.PublicKey))
		if err != nil {
			t.Fatal(err)
		}
		id, err := peer.IDFromPublicKey(pub)
		if err != nil {
			t.Fatal(err)
		}
		n := &clusterNode{app: newCounter(), dbs: map[string]dbm.DB{}, key: seed("validator", i),
			log: slog.New(slog.DiscardHandler)}
		if os.Getenv("ENGINE_LOG") != "" {
			n.log = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelInfo})).With("node", i)
		}
		c.nodes = append(c.nodes, n)
		c.members = append(c.members, member{
			id: id, name: fmt.Sprintf("node-%d", i), shares: s, key: ledger.PublicKey(n.key.Public().(stded25519.PublicKey)),
		})
	}
	doc, err := genesisDoc("sim-01000000", time.Now(), time.Hour, c.members)
	if err != nil {
		t.Fatal(err)
	}
	c.doc = doc
	return c
}

// start runs node i.
func (c *cluster) start(i int) *clusterNode {
	c.t.Helper()
	n := c.nodes[i]
	host, err := p2p.New(p2p.Config{
		Network: "sim", Key: c.net.Key(i), Libp2p: c.net.Options(i), TestTransport: true, Role: p2p.StorageNode,
		Listen: []string{c.net.ListenAddr(i)}, Logger: n.log,
	})
	if err != nil {
		c.t.Fatal(err)
	}
	n.host = host
	dir := filepath.Join(c.dir, fmt.Sprint(i))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		c.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(c.t.Context())
	n.cancel, n.ended = cancel, make(chan error, 1)
	height, _, _ := n.app.at()
	signs, err := signer(n.key, filepath.Join(dir, "last-signature"), height == 0, true)
	if err != nil {
		c.t.Fatal(err)
	}
	n.chain, err = openChain(ctx, chainConfig{
		switchConfig: switchConfig{
			host: host.Libp2p(), protocol: "/walrus/sim/consensus/1.0.0", network: c.network, members: c.members,
			flush: flushAfter, connect: c.connect(host), log: n.log,
		},
		dir: dir, doc: c.doc, heartbeat: c.beat, timing: DevnetTiming(), app: n.app, pool: n.app, room: maxTxs,
		runs:     func() error { return nil },
		epochEnd: func() (time.Time, error) { return time.Now().Add(24 * time.Hour), nil },
		stores: func(d *config.DBContext) (dbm.DB, error) {
			if n.dbs[d.ID] == nil {
				n.dbs[d.ID] = keptDB{dbm.NewMemDB(), &n.full}
			}
			return n.dbs[d.ID], nil
		},
		signs: signs, log: n.log,
	})
	if err != nil {
		c.t.Fatal(err)
	}
	if c.slow {
		begun := *c.doc
		begun.GenesisTime = time.Now()
		n.cfg.doc = &begun
	}
	if c.logFile > 0 {
		n.wal.file = c.logFile // before there is a block
	}
	go func() { n.ended <- n.run(ctx) }()
	return n
}

// keptDB survives the node that closes it. Tests can make its writes fail.
type keptDB struct {
	dbm.DB
	broken *atomic.Bool
}

var errFull = errors.New("no space left on device")

func (keptDB) Close() error { return nil }

func (k keptDB) NewBatch() dbm.Batch { return keptBatch{k.DB.NewBatch(), k.broken} }

type keptBatch struct {
	dbm.Batch
	broken *atomic.Bool
}

func (k keptBatch) WriteSync() error {
	if k.broken.Load() {
		return errFull
	}
	return k.Batch.WriteSync()
}

// connect dials members at the addresses they have in the simulation.
func (c *cluster) connect(h *p2p.Host) func(context.Context, peer.ID) error {
	members := c.members // as they are now: a test may add some
	return func(ctx context.Context, id peer.ID) error {
		for i, m := range members {
			if m.id == id {
				info, err := peer.AddrInfoFromString(c.net.Addr(i, id))
				if err != nil {
					return err
				}
				return h.Connect(ctx, *info)
			}
		}
		return errors.New("no such member")
	}
}

func (c *cluster) startAll() {
	c.t.Helper()
	for i := range c.nodes {
		c.start(i)
	}
}

// stop ends node i, which must not have failed.
func (c *cluster) stop(i int) {
	c.t.Helper()
	if err := c.end(i); err != nil {
		c.t.Errorf("node %d: %v", i, err)
	}
}

func (c *cluster) end(i int) error {
	n := c.nodes[i]
	n.cancel()
	err := <-n.ended
	if err := n.host.Close(); err != nil {
		c.t.Errorf("close host %d: %v", i, err)
	}
	n.chain = nil
	return err
}

func (c *cluster) stopAll() {
	var all sync.WaitGroup
	for i, n := range c.nodes {
		if n.chain != nil {
			all.Go(func() { c.stop(i) })
		}
	}
	all.Wait()
	time.Sleep(5 * time.Second) // block sync looks up every three
}

// submit sends a transaction to node i.
func (c *cluster) submit(i int, tx string) {
	c.t.Helper()
	if err := c.nodes[i].guard.gossip.submit([]byte(tx)); err != nil {
		c.t.Fatalf("submit to node %d: %v", i, err)
	}
}

// has waits until node i has count transactions and checks that all agree up to there.
func (c *cluster) has(i, count int, within time.Duration) {
	c.t.Helper()
	if !c.waits(i, count, within) {
		height, txs, _ := c.nodes[i].app.at()
		c.t.Fatalf("node %d has %d transactions at height %d after %v: want %d", i, len(txs), height, within, count)
	}
}

func (c *cluster) waits(i, count int, within time.Duration) bool {
	end := time.After(within)
	for {
		_, txs, changed := c.nodes[i].app.at()
		if len(txs) >= count {
			return true
		}
		select {
		case <-changed:
		case <-end:
			return false
		}
	}
}

// agree checks that all states are prefixes of the longest.
func (c *cluster) agree() {
	c.t.Helper()
	var longest []string
	for _, n := range c.nodes {
		if _, txs, _ := n.app.at(); len(txs) > len(longest) {
			longest = txs
		}
	}
	for i, n := range c.nodes {
		_, txs, _ := n.app.at()
		for j, tx := range txs {
			if tx != longest[j] {
				c.t.Fatalf("node %d has %q as transaction %d: another has %q", i, tx, j, longest[j])
			}
		}
	}
}

func equal(n int) []int64 {
	shares := make([]int64, n)
	for i := range shares {
		shares[i] = 10
	}
	return shares
}

func TestFourValidators(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, equal(4)...)
		defer c.stopAll()
		c.startAll()
		for i := range 20 {
			<-c.nodes[i%4].caughtUp
			c.submit(i%4, fmt.Sprint("tx ", i))
		}
		for i := range 4 {
			c.has(i, 20, 10*time.Second)
		}
		c.agree()
	})
}

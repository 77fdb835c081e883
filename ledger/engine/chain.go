package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"time"

	abci "github.com/cometbft/cometbft/abci/types"
	"github.com/cometbft/cometbft/blocksync"
	"github.com/cometbft/cometbft/config"
	"github.com/cometbft/cometbft/crypto/ed25519"
	"github.com/cometbft/cometbft/node"
	"github.com/cometbft/cometbft/p2p"
	"github.com/cometbft/cometbft/proxy"
	sm "github.com/cometbft/cometbft/state"
	"github.com/cometbft/cometbft/store"
	"github.com/cometbft/cometbft/types"

	"walrus/ledger/light"
)

// chainConfig holds the settings of consensus. The application's settings are app's.
type chainConfig struct {
	switchConfig
	dir       string // for the write-ahead log
	doc       *types.GenesisDoc
	heartbeat time.Duration                         // least pause between blocks without transactions
	pause     func(gap time.Duration) time.Duration // that pause after a block; nil: heartbeat
	runs      func() error                          // why the next block cannot be run; nil if it can
	epochEnd  func() (time.Time, error)             // scheduled end of the epoch of the last block
	timing    Timing
	trust     *light.Checkpoint // the block that its height must have; nil: any
	refuses   func() error      // why no transactions are taken; nil if they are
	app       abci.Application
	pool      pool
	room      int64 // for transactions in our proposals, in bytes
	stores    config.DBProvider
	signs     types.PrivValidator
	log       *slog.Logger
}

// chain runs CometBFT around an application. CometBFT's Node only puts its parts together. The parts are started and
// stopped here, so that CometBFT's own network never runs and everything ends in order.
type chain struct {
	cfg       chainConfig // constant after openChain, as are all fields before mu
	node      *node.Node
	sw        *sw
	guard     *guard
	gossip    *gossip
	state     sm.Store // read only
	offences  *offences
	handovers handovers
	wal       wal // owned by the goroutine that commits blocks

	caughtUp chan struct{} // closed when this node takes part in consensus
	failure  chan struct{} // closed when the chain cannot go on

	mu       sync.Mutex
	saved    chan struct{} // closed when the next block is in the block store; guarded by mu
	failed   error         // the reason of failure; guarded by mu
	height   int64         // of the last block committed here; guarded by mu
	due      time.Duration // the wait for the block after height; guarded by mu
	heightAt time.Time     // when height was committed, or when the chain began or resumed; guarded by mu
	enoughAt time.Time     // when enough members were last reachable, or when the chain began or resumed; guarded by mu
	alive    time.Time     // when seen last found this process running; zero while nobody watches; guarded by mu
	frozen   time.Duration // pause of this process before heightAt; 0 once a block was committed after it; guarded by mu
}

// genesisDoc translates the genesis for CometBFT: each voting member has as many votes as shards.
func genesisDoc(chainID string, start time.Time, epoch time.Duration, members []member) (*types.GenesisDoc,
	error) {
	params := types.DefaultConsensusParams()
	params.Block.MaxBytes = maxBlock
	params.Evidence.MaxBytes = maxEvidence
	// Evidence counts for the trust period, by time alone. CometBFT would keep the headers of its default, 100,000 blocks,
	// and never remove them.
	params.Evidence.MaxAgeNumBlocks, params.Evidence.MaxAgeDuration = 1, trustEpochs*epoch
	doc := &types.GenesisDoc{ChainID: chainID, GenesisTime: start.UTC(), InitialHeight: 1, ConsensusParams: params}
	for _, m := range members {
		if !m.votes() {
			continue
		}
		key := ed25519.PubKey(m.key[:])
		doc.Validators = append(doc.Validators,
			types.GenesisValidator{Address: key.Address(), PubKey: key, Power: m.shares, Name: m.name})
	}
	if err := doc.ValidateAndComplete(); err != nil {
		return nil, fmt.Errorf("translate the genesis for consensus: %w", err)
	}
	return doc, nil
}

// cometConfig sets every CometBFT option that matters or differs from its default.
func cometConfig(cfg *chainConfig) *config.Config {
	c := config.DefaultConfig().SetRoot(cfg.dir)
	c.RPC.ListenAddress, c.RPC.GRPCListenAddress, c.RPC.PprofListenAddress = "", "", "" // nothing listens
	c.Instrumentation.Prometheus = false
	c.TxIndex.Indexer = "null"            // package app keeps its own index
	c.StateSync.Enable = false            // nodes join by our own snapshots
	c.Storage.DiscardABCIResponses = true // package app keeps the results
	c.FilterPeers = true                  // reject peers of CometBFT's network, should it run

	c.P2P.ListenAddress, c.P2P.PexReactor = "tcp://127.0.0.1:0", false // must parse; never listened at
	c.P2P.AddrBook = filepath.Join(cfg.dir, "unused")                  // never written

	c.Mempool.Size, c.Mempool.CacheSize, c.Mempool.Recheck, c.Mempool.Broadcast = 1, 1, true, false // see bell

	t, co := cfg.timing, c.Consensus
	co.WalPath = walDir + "/wal"
	co.TimeoutCommit, co.SkipTimeoutCommit = t.Commit, t.Commit == 0
	co.TimeoutPropose, co.TimeoutProposeDelta = t.Propose, t.Propose/4
	co.TimeoutPrevote, co.TimeoutPrevoteDelta = t.Vote, t.Vote/4
	co.TimeoutPrecommit, co.TimeoutPrecommitDelta = t.Vote, t.Vote/4
	co.BlockTimeTolerance = anyClock
	co.CreateEmptyBlocks, co.CreateEmptyBlocksInterval = false, cfg.heartbeat
	co.PeerGossipSleepDuration = gossipSleep(cfg.peers()) / 2
	co.PeerQueryMaj23SleepDuration = queryInterval
	return c
}

// anyClock lets a block be ahead of this machine's clock by any amount. Its time is the median of the clocks that
// signed the block before, with more than two thirds of the votes, so no proposer chooses it. A bound would only make
// a node with a slow clock refuse agreed blocks and stop for good.
const anyClock = 100 * 365 * 24 * time.Hour

// openChain assembles consensus and brings the application up to date with the stored blocks by applying at most
// one of them again. Nothing runs until run, which must be called.
func openChain(ctx context.Context, cfg chainConfig) (*chain, error) {
	c := &chain{cfg: cfg, caughtUp: make(chan struct{}), failure: make(chan struct{}), saved: make(chan struct{})}
	c.wal.file = walFile
	c.heightAt, c.due = time.Now(), cfg.heartbeat
	c.enoughAt = c.heightAt
	c.guard = &guard{Application: cfg.app, chain: c}
	logger := newLogger(ctx, cfg.log, c.fail)
	var err error
	if err := c.openStores(); err != nil {
		return nil, err
	}
	if c.sw, err = newSwitch(cfg.switchConfig, logger.With("module", "switch")); err != nil {
		return nil, err
	}
	c.sw.fail, c.sw.late = c.fail, c.late
	if w, ok := cfg.signs.(*witness); ok {
		w.watch(cfg.doc.ChainID, cfg.log, c.fail)
		c.guard.witness, c.sw.hear = w, w.hear
	}
	if c.node, err = c.assemble(ctx, logger); err != nil {
		return nil, err
	}
	if have := c.node.GenesisDoc().ChainID; have != cfg.doc.ChainID {
		return nil, errors.Join(c.release(), fmt.Errorf("%s holds the ledger of chain %s, not %s: use another directory",
			cfg.dir, have, cfg.doc.ChainID))
	}
	c.sw.info = c.node.NodeInfo()
	c.guard.gossip = newGossip(cfg.pool, &bell{make(chan struct{}, 1), c.node.Mempool}, c.catchingUp,
		logger.With("module", "mempool"))
	c.height = c.node.BlockStore().Height()
	c.sw.voices.begin(c.height + 1)
	for _, name := range []string{"CONSENSUS", "BLOCKSYNC", "MEMPOOL", "EVIDENCE"} {
		r, ok := c.node.Switch().Reactor(name)
		if !ok {
			return nil, errors.Join(c.release(), fmt.Errorf("consensus has no reactor %s", name))
		}
		switch name {
		case "CONSENSUS":
			r = &entrance{Reactor: c.node.ConsensusReactor(), chain: c}
		case "MEMPOOL":
			r = c.guard.gossip
		}
		c.sw.attach(name, r, boundChannel)
	}
	return c, nil
}

// openStores opens the stores that we read beside CometBFT, and repairs them after a crash during a join by snapshot.
// CometBFT, while it is assembled, clears the height from which it fetches blocks, before it has fetched any.
func (c *chain) openStores() error {
	blocks, err := c.cfg.stores(&config.DBContext{ID: blockStore})
	if err != nil {
		return fmt.Errorf("open block store: %w", err)
	}
	states, err := c.cfg.stores(&config.DBContext{ID: "state"})
	if err != nil {
		return fmt.Errorf("open consensus state: %w", err)
	}
	c.handovers.states = states
	kept, err := c.cfg.stores(&config.DBContext{ID: "offences"})
	if err == nil {
		c.offences, err = openOffences(kept, c.cfg.members, c.cfg.log)
	}
	if err != nil {
		return err
	}
	c.state = sm.NewStore(states, sm.StoreOptions{})
	st, err := c.state.Load()
	if err != nil {
		return fmt.Errorf("read consensus state: %w", err)
	}
	if st.LastBlockHeight > 0 && store.NewBlockStore(blocks).Height() == 0 {
		if err := c.state.SetOfflineStateSyncHeight(st.LastBlockHeight); err != nil {
			return fmt.Errorf("write consensus state: %w", err)
		}
	}
	return nil
}

// assemble has CometBFT create its parts. CometBFT panics if the stores contradict each other.
func (c *chain) assemble(ctx context.Context, logger *logger) (n *node.Node, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("open consensus: %v", r)
		}
	}()
	cfg := cometConfig(&c.cfg)
	// If all nodes start together, the last block may be old, which clients take for a stall. Proving the state takes
	// one more block, too. So make a block soon.
	cfg.Consensus.CreateEmptyBlocksInterval = min(firstBeat, c.cfg.heartbeat)
	key := &p2p.NodeKey{PrivKey: ed25519.GenPrivKey()} // for CometBFT's own network, which never runs
	n, err = node.NewNodeWithContext(ctx, cfg, c.cfg.signs, key,
		proxy.NewConnSyncLocalClientCreator(c.guard),
		func() (*types.GenesisDoc, error) { return c.cfg.doc, nil },
		c.watchStores(c.cfg.stores), c.metrics(cfg.Instrumentation), logger)
	if err != nil {
		return nil, fmt.Errorf("open consensus: %w", err)
	}
	began, old := time.Now(), 0
	c.guard.rest = func(block time.Time) {
		if block.Before(began) && (c.catchingUp() || old < maxOld) { // perhaps only fetched: hurry the next
			if !c.catchingUp() {
				old++
			}
			return
		}
		end, err := c.cfg.epochEnd()
		if err != nil { // the machine writes no such state
			end = time.Now().Add(c.cfg.heartbeat)
		}
		pause := c.cfg.heartbeat
		if c.cfg.pause != nil {
			pause = c.cfg.pause(time.Since(block))
		}
		c.mu.Lock()
		c.due = untilBlock(time.Now(), end, pause)
		cfg.Consensus.CreateEmptyBlocksInterval = c.due
		c.mu.Unlock()
	}
	return n, nil
}

// untilBlock returns how long to wait for a transaction before an empty block is made: a pause, or less if the
// epoch ends sooner. A block is dated by the votes for its predecessor, so the first block after the end still belongs
// to the epoch. The block that ends the epoch follows soon.
func untilBlock(now, end time.Time, pause time.Duration) time.Duration {
	if left := end.Sub(now); left > 0 {
		return min(left+epochGrace, pause)
	}
	return min(endBeat, pause)
}

// boundChannel limits a peer's memory use to the size of our blocks and transactions.
func boundChannel(d *p2p.ChannelDescriptor) {
	d.RecvMessageCapacity = min(d.RecvMessageCapacity, maxMessage)
	if d.ID == blocksync.BlocksyncChannel {
		d.SendQueueCapacity = blockQueue
	}
}

// fail records why consensus cannot go on. Only the first call counts.
func (c *chain) fail(err error) (first bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.failed != nil {
		return false
	}
	c.failed = err
	close(c.failure)
	return true
}

// run takes part in consensus until ctx ends, or returns why it cannot go on. It returns nil before ctx ends if the
// chain must be opened again.
func (c *chain) run(ctx context.Context) (err error) {
	defer func() { err = errors.Join(err, c.release()) }()
	early := time.Until(c.cfg.doc.GenesisTime)
	if early > light.ClockWarning {
		c.cfg.log.Warn("by this computer's clock the network has not begun yet: waiting; if it is running already, set the clock",
			"begins", c.cfg.doc.GenesisTime, "in", early.Round(time.Second))
	}
	start := time.NewTimer(early)
	defer start.Stop()
	select { // no block before the genesis time
	case <-start.C:
	case <-ctx.Done():
		return nil
	}
	defer func() { err = errors.Join(err, c.stopReactors()) }()
	for _, r := range c.sw.order {
		if err := r.Start(); err != nil {
			return fmt.Errorf("start consensus: %w", err)
		}
	}
	if !c.node.ConsensusReactor().WaitSync() {
		c.enter()
	}
	linked, cut := context.WithCancel(ctx)
	var links sync.WaitGroup
	defer links.Wait()
	defer cut()
	links.Go(func() { c.sw.run(linked) })
	select {
	case <-ctx.Done():
		return nil
	case <-c.failure:
		c.mu.Lock()
		defer c.mu.Unlock()
		if errors.Is(c.failed, errAgain) {
			return nil
		}
		return c.failed
	}
}

// stopReactors stops the reactors after the last peer has been disconnected. Block sync goes first: it could start
// consensus after consensus was stopped.
func (c *chain) stopReactors() error {
	ended := make(chan error, 1)
	go func() {
		var errs error
		for _, name := range []string{"BLOCKSYNC", "CONSENSUS", "MEMPOOL", "EVIDENCE"} {
			if r := c.sw.reactors[name]; r.IsRunning() {
				errs = errors.Join(errs, r.Stop())
			}
		}
		closeWAL(c.node)
		time.Sleep(queryInterval) // some goroutines cannot be awaited: they see the end when they next wake up
		ended <- errs
	}()
	end := time.NewTimer(stopTimeout)
	defer end.Stop()
	select {
	case err := <-ended:
		return err
	case <-end.C:
		return fmt.Errorf("stop consensus: not finished after %v", stopTimeout)
	}
}

// release stops the parts that CometBFT starts when it is assembled.
func (c *chain) release() error {
	return errors.Join(c.node.EventBus().Stop(), c.node.ProxyApp().Stop())
}

// enter records that this node takes part in consensus from now on.
func (c *chain) enter() { close(c.caughtUp) }

// catchingUp reports whether blocks are still being fetched from others.
func (c *chain) catchingUp() bool {
	select {
	case <-c.caughtUp:
		return false
	default:
		return true
	}
}

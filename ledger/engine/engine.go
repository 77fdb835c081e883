// Package engine runs the ledger on a node: CometBFT agrees on blocks, package app keeps the state. The engine
// connects the committee's members over the shared libp2p host, lets a node that is far behind join by a snapshot,
// serves light clients, and reports why the ledger stalls. Package machine decides what transactions may do. Start with
// New.
package engine

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/cometbft/cometbft/types"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"

	"walrus/ledger"
	"walrus/ledger/engine/app"
	"walrus/ledger/engine/badgerdb"
	"walrus/ledger/light"
	"walrus/ledger/machine"
	"walrus/ledger/mempool"
)

var (
	// ErrHalted is returned by Run when consensus has stopped for good in this process, or the state cannot be
	// stored.
	ErrHalted = errors.New("ledger halted")
	// ErrCatchingUp refuses requests that need the newest blocks, while this node is still fetching them.
	ErrCatchingUp = errors.New("this node is still catching up with the ledger")
	// ErrBusy is returned by Submit while the queue of waiting transactions is full.
	ErrBusy = light.ErrBusy
	// ErrPruned reports a height that has been pruned.
	ErrPruned = app.ErrPruned
)

// View is the state after a block; see app.View.
type View = app.View

// Config of a Node.
type Config struct {
	// Dir holds the ledger's database and the write-ahead log of consensus. If it is lost, the node fetches
	// everything again from others. Required.
	Dir string
	// Genesis of the network. All its members must have Ed25519 peer IDs. Required.
	Genesis *ledger.Genesis
	// Host is shared with the rest of the node; its key is a member's identity. Required.
	Host host.Host
	// Connect finds a member's addresses and dials it. Required.
	Connect func(ctx context.Context, id peer.ID) error
	// ConsensusKey signs proposals and votes. Default none: the node follows without a vote.
	ConsensusKey ed25519.PrivateKey
	// StateFile records the last signature of ConsensusKey, so that it never signs twice for one step. It must
	// outlive Dir: keep it beside the key. Required with ConsensusKey.
	StateFile string
	// NewState makes StateFile anew if it is missing. Set it only for a key that has never signed: a copy of this node
	// that has, or the node itself before it lost the file, would have signed something else. Default false: Run fails.
	NewState bool
	// Trust is a block that somebody trusted vouches for. It is needed if the newest block here is older than the trust
	// period. Default nil: none.
	Trust *light.Checkpoint
	// StoodStill vouches that the ledger stood still since the newest block here, whatever its age, as when all members
	// are started together. Default false.
	StoodStill bool
	// Timing sets the pace of consensus. Default DefaultTiming().
	Timing Timing
	// Retain: blocks, receipts, events and histories younger than this are kept, by the times in blocks, and more if
	// the network needs it: see Config.Retention. Default 0: DefaultRetain.
	Retain time.Duration
	// Archive keeps all blocks. Default false.
	Archive bool
	// SnapshotEvery is the number of heights between snapshots for joining nodes. Default 1000.
	SnapshotEvery uint64
	// StateCache is the memory for parts of the state's tree, in bytes. Default merkle.DefaultCache.
	StateCache int
	// Waiting bounds the transactions that wait for a block. Default app.DefaultWaiting().
	Waiting mempool.Limits
	// Limits bound what light clients may use. Default light.DefaultLimits().
	Limits light.Limits
	// Disk measures the disk of Dir. Default: the operating system tells it.
	Disk badgerdb.DiskFunc
	// Rules are what this program knows of the ledger's rules. Default this program's; only tests set others.
	Rules machine.Rules
	// Logger gets errors and events that no caller receives. Required.
	Logger *slog.Logger
}

// Validate reports missing and wrong settings.
func (c *Config) Validate() error {
	switch {
	case c.Dir == "":
		return errors.New("ledger: no directory given")
	case c.Genesis == nil || c.Host == nil || c.Connect == nil || c.Logger == nil:
		return errors.New("ledger: genesis, host, connect and logger are required")
	case c.ConsensusKey != nil && len(c.ConsensusKey) != ed25519.PrivateKeySize:
		return fmt.Errorf("ledger: consensus key of %d bytes: must be %d", len(c.ConsensusKey), ed25519.PrivateKeySize)
	case c.ConsensusKey != nil && c.StateFile == "":
		return errors.New("ledger: a consensus key needs a file for its last signature")
	}
	if c.Retain < 0 {
		return fmt.Errorf("ledger: blocks kept for %v: must not be negative", c.Retain)
	}
	return errors.Join(c.Timing.Validate(), c.Limits.Validate())
}

// Retention returns the bound on the blocks that are kept; the zero Retention keeps all. Beyond Retain it covers two
// epochs: so long a client may believe a header, and misbehaviour counts. And it covers three times SnapshotEvery:
// a node that joins by the older snapshot finds all blocks since.
func (c *Config) Retention() app.Retention {
	if c.Archive {
		return app.Retention{}
	}
	every := c.SnapshotEvery
	if every == 0 {
		every = app.DefaultSnapshotEvery
	}
	retain := c.Retain
	if retain == 0 {
		retain = DefaultRetain
	}
	return app.Retention{Time: max(retain, trustEpochs*c.Genesis.EpochDuration), Heights: 3 * every}
}

// Node runs the ledger on a node. Its methods may be called concurrently, except Run and Close.
type Node struct {
	cfg     Config // constant after New, as are the next eight; only tests change far and room
	log     *slog.Logger
	members []member
	ready   chan struct{} // closed when the node has first caught up
	far     uint64        // farBehind; tests set less
	room    int64         // for transactions in our proposals, in bytes: maxTxs; tests set less
	recent  *proofs       // of the last blocks
	older   *proofs       // of all others
	trusted bool          // its newest block was new enough at the start, or vouched for; owned by Run
	disk    diskWatch

	mu    sync.RWMutex
	db    *badgerdb.DB // guarded by mu, as are all below; replaced when the node joins by a snapshot
	app   *app.App
	chain *chain        // nil while consensus does not run
	moved chan struct{} // closed when app is replaced
}

// New opens the ledger in cfg.Dir, or creates it. The last state can be read at once; everything else starts with
// Run. Errors wrap badgerdb.ErrLocked, badgerdb.ErrCorrupt, app.ErrMismatch and app.ErrNetwork. Call Close
// when done.
func New(cfg Config) (*Node, error) {
	if cfg.Timing == (Timing{}) {
		cfg.Timing = DefaultTiming()
	}
	if cfg.Limits == (light.Limits{}) {
		cfg.Limits = light.DefaultLimits()
	}
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	n := &Node{
		trusted: cfg.StoodStill,
		cfg:     cfg, log: cfg.Logger, ready: make(chan struct{}), far: farBehind, room: maxTxs, recent: newProofs(), older: newProofs(),
		moved: make(chan struct{}), disk: diskWatch{log: cfg.Logger},
	}
	for _, m := range cfg.Genesis.Members {
		if _, err := cometID(m.Node); err != nil {
			return nil, fmt.Errorf("ledger: member %s: %w", m.Name, err)
		}
		n.members = append(n.members, member{id: m.Node, name: m.Name, shares: int64(len(m.Shards))})
	}
	for _, i := range cfg.Genesis.Voters() {
		n.members[i].key = cfg.Genesis.Members[i].Consensus
	}
	if err := n.checkKey(); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("ledger: %w", err)
	}
	if err := finishSwap(cfg.Dir); err != nil {
		return nil, err
	}
	var err error
	if n.db, n.app, err = n.open(filepath.Join(cfg.Dir, databaseDir)); err != nil {
		return nil, err
	}
	return n, nil
}

// checkKey finds our place among the members. A member without a vote does not need its key: it is dropped.
func (n *Node) checkKey() error {
	self := (&switchConfig{host: n.cfg.Host, members: n.members}).self()
	if self == nil {
		return fmt.Errorf("ledger: peer %s is not a member of network %s: use the keys of a member in its genesis", n.cfg.Host.ID(), n.cfg.Genesis.Network)
	}
	if !self.votes() {
		n.cfg.ConsensusKey = nil
	}
	if key := n.cfg.ConsensusKey; key != nil && ledger.PublicKey(key[ed25519.SeedSize:]) != self.key {
		return fmt.Errorf("ledger: the consensus key differs from the one in the genesis for %s: restore it from a backup", self.name)
	}
	return nil
}

// open opens a database with the application on it.
func (n *Node) open(dir string) (*badgerdb.DB, *app.App, error) {
	db, err := badgerdb.Open(badgerdb.Options{Dir: dir, Logger: n.log, Disk: n.cfg.Disk})
	if err != nil {
		return nil, nil, fmt.Errorf("ledger: %w", err)
	}
	a, err := app.Open(app.Config{
		DB: db, Genesis: n.cfg.Genesis, Keep: n.cfg.Retention(), SnapshotEvery: n.cfg.SnapshotEvery,
		Cache: n.cfg.StateCache, Waiting: n.cfg.Waiting, Rules: n.cfg.Rules, Logger: n.log,
	})
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("ledger in %s: %w", dir, err), db.Close())
	}
	return db, a, nil
}

// Close closes the database. Run must have returned.
func (n *Node) Close() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	return errors.Join(n.app.Close(), n.db.Close())
}

// Run takes part in the ledger and serves light clients until ctx ends; then it returns nil. If consensus stops in a
// way that waiting does not cure, it returns an error that wraps ErrHalted.
func (n *Node) Run(ctx context.Context) error {
	serve, err := light.Serve(ctx, n.cfg.Host, n.cfg.Genesis, source{n}, n.cfg.Limits, n.log)
	if err != nil {
		return fmt.Errorf("ledger: %w", err)
	}
	defer serve.Close()
	for ctx.Err() == nil {
		if err := n.runChain(ctx); err != nil && ctx.Err() == nil {
			return fmt.Errorf("ledger: %w", err)
		}
	}
	return nil
}

// runChain runs consensus until ctx ends, consensus fails, or it must begin again: because block sync has ended, or the
// node has fallen far behind. CometBFT fetches many blocks at once only at its start, and later one by one.
func (n *Node) runChain(ctx context.Context) error {
	chain, err := n.start(ctx)
	if err != nil {
		return err
	}
	n.mu.Lock()
	n.chain = chain
	n.mu.Unlock()
	defer func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.chain = nil
	}()
	ctx, stop := context.WithCancel(ctx)
	var tasks sync.WaitGroup
	defer tasks.Wait()
	defer stop()
	db := n.db // the next chain may have another
	tasks.Go(func() {
		n.watch(ctx, chain, db)
		stop()
	})
	tasks.Go(func() { n.watchKey(ctx, chain) })
	tasks.Go(func() { _ = chain.check("read back the database", db.Verify(ctx)) })
	return chain.run(ctx)
}

// start joins by a snapshot if necessary, and opens the chain.
func (n *Node) start(ctx context.Context) (*chain, error) {
	doc, err := n.doc()
	if err != nil {
		return nil, err
	}
	var signs = follower()
	if n.cfg.ConsensusKey != nil {
		// Read before joining: a node that never signed has no blocks.
		if signs, err = signer(n.cfg.ConsensusKey, n.cfg.StateFile, n.View().Height == 0, n.cfg.NewState); err != nil {
			return nil, err
		}
	}
	if !n.trusted { // later it follows the others while they stand still
		if err := n.goOn(time.Now()); err != nil {
			return nil, err
		}
		n.trusted = true
	}
	if err := n.join(ctx); err != nil {
		return nil, err
	}
	n.mu.RLock()
	app, db := n.app, n.db
	n.mu.RUnlock()
	if err := app.Runs(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrHalted, err)
	}
	return openChain(ctx, chainConfig{
		switchConfig: switchConfig{
			host: n.cfg.Host, protocol: protocol.ID("/walrus/" + n.cfg.Genesis.Network + "/consensus/1.0.0"),
			network: n.cfg.Genesis.NetworkID(), members: n.members, flush: flushAfter, connect: n.cfg.Connect, log: n.log,
		},
		dir: n.cfg.Dir, doc: doc, heartbeat: light.Heartbeat(n.cfg.Genesis.EpochDuration), timing: n.cfg.Timing,
		pause: func(gap time.Duration) time.Duration { return light.Pause(gap, n.cfg.Genesis.EpochDuration) },
		epochEnd: func() (time.Time, error) {
			e, err := ledger.ReadEpoch(app.View())
			return time.Unix(0, e.Start).Add(n.cfg.Genesis.EpochDuration), err
		},
		runs:    app.Runs,
		refuses: func() error { return n.disk.refuses(db) },
		trust:   n.cfg.Trust, app: app, pool: app, room: n.room, stores: db.Provider(), signs: signs, log: n.log.With("component", "consensus"),
	})
}

// doc translates the genesis for CometBFT.
func (n *Node) doc() (*types.GenesisDoc, error) {
	g := n.cfg.Genesis
	return genesisDoc(g.ChainID(), g.Time, g.EpochDuration, n.members)
}

// watch closes ready when the node has caught up, and logs when the ledger stalls and when it moves again. It returns
// when ctx ends or the node has been far behind for a while.
func (n *Node) watch(ctx context.Context, c *chain, db *badgerdb.DB) {
	caughtUp := c.caughtUp
	look := time.NewTicker(stallGrace)
	defer look.Stop()
	c.mu.Lock()
	c.seen(time.Now())
	c.mu.Unlock()
	stalled, behind, stuck, last := false, 0, 0, uint64(0)
	for {
		select {
		case <-ctx.Done():
			return
		case <-caughtUp:
			caughtUp = nil
			select {
			case <-n.ready: // closed by an earlier run
			default:
				close(n.ready)
			}
			continue
		case <-look.C:
		}
		if err := n.disk.spent(db); err != nil {
			c.fail(err)
			continue // until consensus has ended
		}
		s := c.status()
		if stalled != (s.Stalled != "") {
			if stalled = s.Stalled != ""; stalled {
				n.log.Warn(s.Stalled)
			} else {
				n.log.Info("the ledger is moving again", "height", s.Height)
			}
		}
		if behind++; c.catchingUp() || c.othersAt() < int64(s.Height+n.far) {
			behind = 0
		}
		if behind == behindLooks {
			n.log.Info("far behind the other members: restarting consensus", "height", s.Height, "others", c.othersAt())
			return
		}
		if stuck++; c.catchingUp() || c.othersAt() < int64(s.Height+lag) || s.Height != last {
			stuck = 0
		}
		if last = s.Height; stuck == stuckLooks {
			n.log.Info("behind the other members, and they pass on no blocks: restarting consensus", "height", s.Height, "others", c.othersAt())
			return
		}
	}
}

// behindLooks: the node must be far behind in this many checks in a row, one every stallGrace, to be restarted.
const behindLooks = 5

// stuckLooks: a node that is behind without a new block in this many checks in a row is restarted. The others may have
// pruned the blocks that it needs.
const stuckLooks = 15

// Ready is closed when the node has caught up with the ledger for the first time.
func (n *Node) Ready() <-chan struct{} { return n.ready }

// state returns the application, and a channel that is closed when another replaces it.
func (n *Node) state() (*app.App, <-chan struct{}) {
	n.mu.RLock()
	defer n.mu.RUnlock()
	return n.app, n.moved
}

// replaced reports whether another application has replaced a.
func (n *Node) replaced(a *app.App) bool {
	now, _ := n.state()
	return now != a
}

// running returns the chain; ErrCatchingUp while it does not run or has not caught up.
func (n *Node) running() (*chain, error) {
	n.mu.RLock()
	defer n.mu.RUnlock()
	if n.chain == nil || n.chain.catchingUp() {
		return nil, ErrCatchingUp
	}
	return n.chain, nil
}

// View returns the newest state here.
func (n *Node) View() *View {
	a, _ := n.state()
	return a.View()
}

// Head returns the height and the time of the last block here.
func (n *Node) Head() (height uint64, at time.Time) {
	v := n.View()
	return v.Height, time.Unix(0, v.Time)
}

// Status returns the ledger's condition as this node sees it.
func (n *Node) Status() Status {
	n.mu.RLock()
	c := n.chain
	n.mu.RUnlock()
	s := Status{CatchingUp: true}
	if c != nil {
		s = c.status()
	}
	s.Height, s.Time = n.Head()
	a, _ := n.state()
	s.Kept, s.KeptSince, _ = a.Kept() // a database that cannot be read ends the node
	n.mu.RLock()
	s.Room, _ = n.disk.look(n.db)
	n.mu.RUnlock()
	return s
}

// Package app is the application that CometBFT replicates: the ledger's state in a database, under the rules of
// ledger/machine. It runs blocks, commits each in one step that survives any crash, serves reads from immutable
// views, keeps a log of receipts and events, and serves and restores whole states in ranges. It starts no network and
// no consensus. Start with Open.
package app

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"

	abci "github.com/cometbft/cometbft/abci/types"

	"walrus/certs"
	"walrus/ledger"
	"walrus/ledger/engine/badgerdb"
	"walrus/ledger/machine"
	"walrus/ledger/mempool"
	"walrus/ledger/merkle"
)

var (
	// ErrMismatch reports that the state in the database does not have the committed root.
	ErrMismatch = errors.New("the ledger's state does not match its root")
	// ErrNetwork is returned by Open for the database of a network with another genesis.
	ErrNetwork = errors.New("the ledger's database belongs to another network")
	// ErrPruned reports a height whose log has been pruned.
	ErrPruned = errors.New("no longer kept")
)

// Config of an App.
type Config struct {
	DB      *badgerdb.DB    // stays open after the App is closed
	Genesis *ledger.Genesis // of the network
	// Keep bounds the blocks and logs that are kept. The zero Retention keeps all.
	Keep Retention
	// SnapshotEvery is the number of heights between snapshots. 0: DefaultSnapshotEvery.
	SnapshotEvery uint64
	// Waiting bounds the transactions that wait for a block. Zero: DefaultWaiting().
	Waiting mempool.Limits
	// Cache is the memory for parts of the state's tree, in bytes. 0: merkle.DefaultCache.
	Cache int
	// Workers bounds the goroutines that run a block. 0: one for each core.
	Workers int
	Logger  *slog.Logger // nil: none
}

const (
	// DefaultSnapshotEvery leaves a joining node a few hundred blocks to run after the newest snapshot.
	DefaultSnapshotEvery = 1000
	// keptViews is the number of newest heights whose views ViewAt returns.
	keptViews = 16
)

// App implements abci.Application for CometBFT, which calls it in order. All other methods are safe for concurrent use.
type App struct {
	abci.BaseApplication

	// Constant after Open.
	cfg        Config
	db         *badgerdb.DB
	space      *badgerdb.Space
	log        *slog.Logger
	network    certs.NetworkID
	committees certs.Committees
	known      *known
	*waiting
	disk      *disk
	snapshots snapshots

	step     sync.Mutex // held while a block is run or committed
	proposed *block     // run when it was proposed; guarded by step
	decided  *block     // to be committed; guarded by step
	fault    error      // why the app cannot go on; guarded by step

	// kept is the first height whose log is complete. It changes before the log does.
	kept atomic.Uint64

	mu      sync.Mutex
	views   []*View       // the newest last, keptViews at most; guarded by mu
	changed chan struct{} // closed at the next commit; guarded by mu
}

// Open opens the ledger of a network, or creates it from its genesis. It reads the top of the state's tree and refuses
// it if it does not have the committed root; every other part is checked against that root when it is first used. A
// database of a version that kept no pages is converted, at some 200,000 records a second. Errors wrap ErrMismatch or
// ErrNetwork.
func Open(cfg Config) (*App, error) {
	if cfg.SnapshotEvery == 0 {
		cfg.SnapshotEvery = DefaultSnapshotEvery
	}
	if cfg.Waiting == (mempool.Limits{}) {
		cfg.Waiting = DefaultWaiting()
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Cache == 0 {
		cfg.Cache = merkle.DefaultCache
	}
	committees, err := cfg.Genesis.Committees()
	if err != nil {
		return nil, fmt.Errorf("open ledger: %w", err)
	}
	a := &App{
		cfg: cfg, db: cfg.DB, space: cfg.DB.Space("ledger"), log: cfg.Logger, network: cfg.Genesis.NetworkID(),
		committees: committees,
		disk:       &disk{db: cfg.DB, space: cfg.DB.Space("ledger"), cache: merkle.NewCache(cfg.Cache), log: cfg.Logger},
		known:      newKnown(cfg.Waiting.Txs), changed: make(chan struct{}),
	}
	a.waiting = newWaiting(cfg.Waiting, a.known)
	if err := a.open(); err != nil {
		return nil, fmt.Errorf("open ledger: %w", err)
	}
	return a, nil
}

func (a *App) open() error {
	network, err := a.space.Get(keyNetwork)
	if err != nil {
		return err
	}
	if network != nil && string(network) != string(a.network[:]) {
		return fmt.Errorf("%w: %x, not %x: use another directory for this network", ErrNetwork, network, a.network[:])
	}
	half, err := a.space.Get(keyRestoring)
	if err != nil {
		return err
	}
	if network == nil || half != nil {
		if err := a.begin(); err != nil {
			return err
		}
	}
	if err := a.load(); err != nil {
		return err
	}
	if err := a.disk.clear(unitKeys, unitEnd); err != nil { // snapshots of former versions
		return err
	}
	a.snapshots.begin(a.View())
	return nil
}

// begin replaces the database's content with the genesis.
func (a *App) begin() error {
	if err := a.clear(); err != nil {
		return err
	}
	changes, tree, err := machine.Genesis(a.cfg.Genesis)
	if err != nil {
		return err
	}
	var b badgerdb.Batch
	for _, c := range changes {
		b.Set(a.space, stateKey(c.Key), record(c.Key, c.Value))
	}
	if _, err := tree.Save(nil, nil, a.disk.writePage(&b)); err != nil {
		return err
	}
	head := head{time: a.cfg.Genesis.Params().GenesisTime, root: tree.Root(), kept: 1, keys: uint64(tree.Len())}
	b.Set(a.space, keyHead, head.marshal())
	b.Set(a.space, keyNetwork, a.network[:])
	b.Delete(a.space, keyRestoring)
	return errors.Join(a.db.Write(&b), a.db.Sync())
}

// clear removes everything but the mark of a restoration, which it sets first.
func (a *App) clear() error {
	var b badgerdb.Batch
	b.Set(a.space, keyRestoring, nil)
	if err := errors.Join(a.db.Write(&b), a.db.Sync()); err != nil {
		return err
	}
	return a.disk.clear([]byte{}, nil)
}

// load reads the head and the top of the tree, and makes it the view.
func (a *App) load() error {
	raw, err := a.space.Get(keyHead)
	if err != nil {
		return err
	}
	head, err := unmarshalHead(raw)
	if err != nil {
		return fmt.Errorf("%w: %v%s", ErrMismatch, err, advice)
	}
	if head.old {
		if head, err = a.disk.convert(head); err != nil {
			return err
		}
	}
	if err := a.disk.dropOld(); err != nil {
		return err
	}
	v, err := a.disk.viewOf(head)
	if err != nil {
		return err
	}
	a.kept.Store(head.kept)
	return a.show(v, nil)
}

// show makes v the newest view, and tells the gate of what block b changed. Without a block, v is
// the only view.
func (a *App) show(v *View, b *block) error {
	var changes []machine.Change
	if b != nil {
		changes = b.outcome.Changes
	}
	if err := a.waiting.update(a.state(v), v.Height, changes); err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if b == nil {
		a.views = nil
	}
	a.views = append(a.views, v)
	if len(a.views) > keptViews {
		a.views = append([]*View(nil), a.views[1:]...)
	}
	close(a.changed)
	a.changed = make(chan struct{})
	return nil
}

// Close gives up the snapshots. The database stays open.
func (a *App) Close() error {
	a.snapshots.drop()
	return nil
}

// View returns the newest committed state.
func (a *App) View() *View {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.views[len(a.views)-1]
}

// ViewAt returns the state at a height, if it is one of the newest 16.
func (a *App) ViewAt(height uint64) (*View, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	first := a.views[0].Height
	if height < first || height-first >= uint64(len(a.views)) {
		return nil, false
	}
	return a.views[height-first], true
}

// Changed returns a channel that is closed when the next block is committed. Get it before you read the state.
func (a *App) Changed() <-chan struct{} {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.changed
}

// state returns what the machine needs to run a block on v.
func (a *App) state(v *View) machine.State {
	return machine.State{Tree: v.tree, Values: v, Ends: v, Network: a.network, Committees: a.committees}
}

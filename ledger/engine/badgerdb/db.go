// Package badgerdb keeps everything a node's ledger writes in one Badger database: each part has a space of keys of its
// own. Batches are all or nothing, whatever their size; the stores of CometBFT are spaces behind an adapter that stays
// quiet after the end, because goroutines of CometBFT read on while everything stops. A database whose files are damaged
// is refused, never half read. Start with Open.
package badgerdb

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"
)

var (
	// ErrClosed is returned by calls after Close.
	ErrClosed = errors.New("the ledger's database is closed")
	// ErrCorrupt marks a database whose files are damaged.
	ErrCorrupt = errors.New("the ledger's database is damaged")
	// ErrLocked is returned by Open when another process has the database open.
	ErrLocked = errors.New("the ledger's database is in use by another process")
	// ErrFull is returned by Open and Write when the disk is nearly full.
	ErrFull = errors.New("too little space is left on the disk of the ledger's database: free some and start again")
)

// Options say where a database lies.
type Options struct {
	Dir    string       // made if missing; empty: in memory, gone with Close
	Logger *slog.Logger // nil: none
}

// DB is an open database. It is safe for concurrent use.
type DB struct {
	dir    string // constant; empty if in memory
	badger *badger.DB
	wedged atomic.Bool // a memory map faulted: Badger may hold locks that its Close would wait for

	use    sync.RWMutex // held for reading during each use of badger
	closed bool         // guarded by use

	journal sync.Mutex              // held while a batch goes through the journal
	hook    func(step string) error // called at the steps of that; for tests

	free func(dir string) (int64, error) // constant: freeSpace, but for tests

	syncing sync.Mutex      // held during a sync
	files   map[string]bool // names whose directory entries are durable; guarded by syncing
}

const (
	// memTable is the size in bytes of what Badger holds in memory before it writes a table. Twice that is most of what a
	// database takes.
	memTable = 4 << 20
	// valueLog is the size in bytes of a value log. None but an odd large value goes there.
	valueLog = 16 << 20
	// minFree is the free disk space in bytes below which nothing is written: Badger writes through memory maps, and on a
	// full disk such a write ends the process.
	minFree = 64 << 20
	// levelZero is how many tables are not yet merged before a merge begins, levelZeroStall before writes wait for it.
	levelZero, levelZeroStall = 4, 12
)

func badgerOptions(o Options) badger.Options {
	log := o.Logger
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return badger.DefaultOptions(o.Dir).
		WithInMemory(o.Dir == "").
		WithLogger(logger{log}).
		WithMetricsEnabled(false).
		WithMemTableSize(memTable).
		WithNumMemtables(2).
		WithValueLogFileSize(valueLog).
		// Records change or go, and only in the index does Badger reclaim what they were.
		WithValueThreshold(memTable / 8).
		WithSyncWrites(false). // Sync syncs for many writers at once
		WithDetectConflicts(false).
		WithNumVersionsToKeep(1).
		WithCompression(options.None). // else it needs a cache
		WithBlockCacheSize(0).
		WithIndexCacheSize(0).
		WithNumCompactors(2).
		WithNumLevelZeroTables(levelZero).
		WithNumLevelZeroTablesStall(levelZeroStall).
		WithChecksumVerificationMode(options.OnBlockRead).
		WithVerifyValueChecksum(true)
}

// Open opens the database or makes it. Errors wrap ErrCorrupt if its files are damaged, and ErrLocked if another process
// has it open. The caller closes it.
func Open(o Options) (*DB, error) {
	db := &DB{dir: o.Dir, free: freeSpace, files: make(map[string]bool)}
	opt := badgerOptions(o)
	if o.Dir != "" {
		if err := os.MkdirAll(o.Dir, 0o750); err != nil {
			return nil, fmt.Errorf("open the ledger's database: %w", err)
		}
		if err := db.room(); err != nil {
			return nil, err
		}
		if err := preflight(&opt); err != nil {
			return nil, fmt.Errorf("open the ledger's database %s: %w", o.Dir, advise(err))
		}
	}
	err := db.guard(func() (err error) {
		db.badger, err = badger.Open(opt)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("open the ledger's database %s: %w", o.Dir, advise(identify(err)))
	}
	if err := db.replay(); err != nil {
		return nil, errors.Join(fmt.Errorf("open the ledger's database %s: %w", o.Dir, advise(err)), db.Close())
	}
	return db, nil
}

// room refuses when the disk is nearly full.
func (db *DB) room() error {
	if db.dir == "" {
		return nil
	}
	free, err := db.free(db.dir)
	if err != nil {
		return fmt.Errorf("ask for free disk space: %w", err)
	}
	if free < minFree {
		return fmt.Errorf("%w: %s has %d MiB left, it takes %d", ErrFull, db.dir, free>>20, minFree>>20)
	}
	return nil
}

// advise adds what to do.
func advise(err error) error {
	if errors.Is(err, ErrCorrupt) {
		return fmt.Errorf("%w: move the directory away and start again: the node then fetches the ledger from the others", err)
	}
	return err
}

// identify gives an error of Badger's, which keep only the text of their causes, its identity back.
func identify(err error) error {
	switch {
	case err == nil || errors.Is(err, ErrCorrupt):
		return err
	case strings.Contains(err.Error(), "Another process is using this Badger database"):
		return ErrLocked
	case errors.Is(err, fs.ErrPermission):
		return err
	}
	return fmt.Errorf("%w: %v", ErrCorrupt, err)
}

// guard runs fn and turns a panic or a fault of a memory map (the file behind it was cut short) into an error.
func (db *DB) guard(fn func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if r := recover(); r != nil {
			db.wedged.Store(true)
			err = fmt.Errorf("%w: %.200v", ErrCorrupt, r)
		}
	}()
	return fn()
}

// with runs fn on the open database.
func (db *DB) with(fn func(b *badger.DB) error) error {
	db.use.RLock()
	defer db.use.RUnlock()
	if db.closed {
		return ErrClosed
	}
	return db.guard(func() error { return fn(db.badger) })
}

// Sync makes every write that returned before the call durable. After an error that is unknown for good: close.
func (db *DB) Sync() error {
	if err := db.with(db.sync); err != nil {
		return fmt.Errorf("sync the ledger's database: %w", err)
	}
	return nil
}

func (db *DB) sync(b *badger.DB) error {
	if db.dir == "" {
		return nil
	}
	db.syncing.Lock()
	defer db.syncing.Unlock()
	if err := b.Sync(); err != nil {
		return err
	}
	return db.syncFiles()
}

// syncFiles syncs what Badger's own Sync leaves out: the write-ahead logs of memtables that are full but not yet tables,
// and the directory entries of new files.
func (db *DB) syncFiles() error {
	list, err := os.ReadDir(db.dir)
	if err != nil {
		return err
	}
	fresh := false
	files := make(map[string]bool, len(list))
	mems := 0
	for _, f := range list {
		files[f.Name()] = true
		fresh = fresh || !db.files[f.Name()]
		if filepath.Ext(f.Name()) == ".mem" {
			mems++
		}
	}
	for name := range files {
		if mems < 2 || filepath.Ext(name) != ".mem" {
			continue // the only one is the active one, which is synced
		}
		// One that is gone meanwhile has become a table, which Badger syncs.
		if err := syncPath(filepath.Join(db.dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if fresh {
		if err := syncPath(db.dir); err != nil {
			return err
		}
	}
	db.files = files
	return nil
}

// syncPath is fsync(2) of a file or directory.
func syncPath(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// Close waits for calls under way and closes the database. Later calls return ErrClosed; later calls of CometBFT see an
// empty database. It may be called again.
func (db *DB) Close() error {
	db.use.Lock()
	defer db.use.Unlock()
	if db.closed {
		return nil
	}
	db.closed = true
	if db.wedged.Load() {
		return fmt.Errorf("close the ledger's database %s: %w: it faulted and is left as it is", db.dir, ErrCorrupt)
	}
	if err := db.guard(db.badger.Close); err != nil {
		return fmt.Errorf("close the ledger's database %s: %w", db.dir, err)
	}
	return nil
}

// logger passes on what an operator should see.
type logger struct{ log *slog.Logger }

func (l logger) Errorf(f string, a ...any)   { l.log.Warn(strings.TrimSpace(fmt.Sprintf(f, a...))) }
func (l logger) Warningf(f string, a ...any) { l.log.Warn(strings.TrimSpace(fmt.Sprintf(f, a...))) }
func (l logger) Infof(string, ...any)        {}
func (l logger) Debugf(string, ...any)       {}

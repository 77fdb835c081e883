// Package badgerdb keeps everything a node's ledger writes in one Badger database, in which each part has its own space
// of keys. A batch is written as a whole or not at all, whatever its size. The stores of CometBFT are spaces behind an
// adapter. After Close the adapter returns no errors, because goroutines of CometBFT still read while the node stops. A
// database whose files are damaged is refused, never half read. Start with Open.
package badgerdb

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"sync"
	"sync/atomic"

	"github.com/dgraph-io/badger/v4"

	"walrus/internal/badgerdisk"
)

var (
	// ErrClosed is returned by calls after Close.
	ErrClosed = errors.New("the ledger's database is closed")
	// ErrCorrupt marks a database whose files are damaged.
	ErrCorrupt = errors.New("the ledger's database is damaged")
	// ErrLocked is returned by Open when another process has the database open.
	ErrLocked = errors.New("the ledger's database is in use by another process")
	// ErrFull is returned by Open and Write when the disk is nearly full.
	ErrFull = errors.New("the disk of the ledger's database is nearly full: free some space and start again")
)

// Options of a database.
type Options struct {
	Dir    string       // made if missing; empty for a database in memory
	Logger *slog.Logger // nil discards
	Disk   DiskFunc     // nil: the operating system tells it
}

// DiskFunc returns the bytes that may still be written to the disk of a folder, and the size of that disk.
type DiskFunc func(dir string) (free, size int64, err error)

// disk asks the operating system.
func disk(dir string) (free, size int64, err error) {
	if free, err = badgerdisk.Free(dir); err == nil {
		size, err = badgerdisk.Size(dir)
	}
	return free, size, err
}

// DB is an open database. It is safe for concurrent use.
type DB struct {
	dir  string         // constant; empty if in memory
	disk *badgerdisk.DB // constant

	use    sync.RWMutex // held for reading during each use of disk
	closed bool         // guarded by use

	read atomic.Uint64 // see BytesRead

	releasing sync.Mutex
	released  []*badger.Txn // of snapshots that nobody has any more; guarded by releasing

	journal sync.Mutex              // held while a batch goes through the journal
	hook    func(step string) error // called at each step of the journal; for tests

	measure DiskFunc // constant
}

const (
	// memTable is the size in bytes of a memtable, which Badger fills before it writes a table. There are two of them,
	// and they take most of the memory of a database.
	memTable = 4 << 20
	// valueLog is the size in bytes of a value log. Only rare large values go there.
	valueLog = 16 << 20
	// MinFree: nothing is written when fewer bytes of the disk are free. Badger writes through memory maps, and on a
	// full disk such a write ends the process.
	MinFree = 128 << 20
	// tableSize is the size in bytes of all tables. Badger's default doubles it with each level, and its merges hold some
	// 13 tables of twice that size in memory, two merges at once: with 10 million records that was 4 GiB.
	tableSize = 4 << 20
	// A merge begins at levelZero unmerged tables. At levelZeroStall writes wait for it.
	levelZero, levelZeroStall = 4, 12
)

func badgerOptions(o Options) badger.Options {
	opt := badgerdisk.Options(o.Dir, o.Logger).
		WithMemTableSize(memTable).
		WithNumMemtables(2).
		WithValueLogFileSize(valueLog).
		// Records change and end, and Badger reclaims the space of old values in the index only.
		WithValueThreshold(memTable / 8).
		WithNumCompactors(2).
		WithBaseTableSize(tableSize).
		WithNumLevelZeroTables(levelZero).
		WithNumLevelZeroTablesStall(levelZeroStall)
	opt.TableSizeMultiplier = 1
	return opt
}

// Open opens or makes the database. Errors wrap ErrCorrupt if its files are damaged, ErrLocked if another process has
// it open, and ErrFull if the disk is nearly full. The caller closes it.
func Open(o Options) (*DB, error) {
	db := &DB{dir: o.Dir, measure: o.Disk}
	if db.measure == nil {
		db.measure = disk
	}
	if o.Dir != "" {
		if err := badgerdisk.MakeDir(o.Dir); err != nil {
			return nil, fmt.Errorf("open the ledger's database: %w", err)
		}
		if err := db.room(); err != nil {
			return nil, err
		}
	}
	if err := db.open(badgerOptions(o)); err != nil {
		return nil, fmt.Errorf("open the ledger's database %s: %w", o.Dir, advise(identify(err)))
	}
	if err := db.replay(); err != nil {
		return nil, errors.Join(fmt.Errorf("open the ledger's database %s: %w", o.Dir, advise(err)), db.Close())
	}
	return db, nil
}

// open checks the files before Badger sees them. The ledger can be fetched again, so nothing damaged is repaired.
func (db *DB) open(opt badger.Options) (err error) {
	if db.dir != "" {
		if _, err := badgerdisk.Check(&opt, badgerdisk.Refuse, ErrCorrupt); err != nil {
			return err
		}
	}
	db.disk, err = badgerdisk.Open(opt, ErrCorrupt)
	return err
}

// Room returns the free bytes and the size of the database's disk; the largest numbers for a database in memory.
func (db *DB) Room() (free, size int64, err error) {
	if db.dir == "" {
		return math.MaxInt64, math.MaxInt64, nil
	}
	if free, size, err = db.measure(db.dir); err != nil {
		return 0, 0, fmt.Errorf("read the free space of the disk: %w", err)
	}
	return free, size, nil
}

// room returns ErrFull, wrapped, if the disk is nearly full.
func (db *DB) room() error {
	free, _, err := db.Room()
	if err == nil && free < MinFree {
		err = fmt.Errorf("%w: %s has %d MiB left, needs %d", ErrFull, db.dir, free>>20, MinFree>>20)
	}
	return err
}

// advise adds the remedy.
func advise(err error) error {
	if errors.Is(err, ErrCorrupt) {
		return fmt.Errorf("%w: move the directory away and start again: the node then fetches the ledger from the others", err)
	}
	return err
}

// identify finds the meaning of an error of badgerdisk. An error that is neither a lock nor a refusal of the operating
// system is damage.
func identify(err error) error {
	switch {
	case errors.Is(err, badgerdisk.ErrLocked):
		return ErrLocked
	case errors.Is(err, ErrCorrupt), badgerdisk.Refused(err):
		return err
	}
	return fmt.Errorf("%w: %v", ErrCorrupt, err)
}

// with runs fn on the open database.
func (db *DB) with(fn func(b *badger.DB) error) error {
	db.use.RLock()
	defer db.use.RUnlock()
	if db.closed {
		return ErrClosed
	}
	err := db.disk.Do(fn)
	if errors.Is(err, ErrCorrupt) {
		err = db.distrust(err)
	}
	return err
}

// BytesRead returns the number of bytes of keys and values that were read since the database was opened.
func (db *DB) BytesRead() uint64 { return db.read.Load() }

// Sync makes every write that returned before the call durable. After an error the fate of those writes stays unknown:
// close the database.
func (db *DB) Sync() error {
	if err := db.with(func(*badger.DB) error { return db.disk.Sync() }); err != nil {
		return fmt.Errorf("sync the ledger's database: %w", err)
	}
	return nil
}

// Close waits for running calls and closes the database. Later calls return ErrClosed; later calls of CometBFT see an
// empty database. Close may be called again.
func (db *DB) Close() error {
	db.use.Lock()
	defer db.use.Unlock()
	if db.closed {
		return nil
	}
	db.closed = true
	if db.disk.Wedged() {
		return fmt.Errorf("close the ledger's database %s: %w: a fault left it unusable, so its files stay as they are", db.dir, ErrCorrupt)
	}
	if err := db.disk.Close(); err != nil {
		return fmt.Errorf("close the ledger's database %s: %w", db.dir, err)
	}
	return nil
}

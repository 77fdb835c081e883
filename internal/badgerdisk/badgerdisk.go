// Package badgerdisk opens Badger databases that must survive crashes, damaged files and full disks. Check examines the
// files of a closed database before Badger sees them; DB turns Badger's panics into errors and syncs what Badger's own
// Sync leaves out. The keys and values belong to the importing packages. Start with Check and Open.
package badgerdisk

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
	"github.com/dgraph-io/badger/v4/table"
)

// ErrLocked is returned for a file or directory that another process has locked.
var ErrLocked = errors.New("in use by another process: end that one first")

// errFault is wrapped by the error that the fault of a memory map becomes.
var errFault = errors.New("the disk could not be read")

// DB is an open Badger database. It is safe for concurrent use, but nothing may follow Close.
type DB struct {
	dir    string      // constant; empty if in memory
	damage error       // constant: wrapped by the errors that panics become
	badger *badger.DB  // constant
	wedged atomic.Bool // see Wedged

	syncing sync.Mutex      // held during a sync
	files   map[string]bool // names whose directory entries are durable; guarded by syncing
	// verified lists the tables known to be whole as the disk has it; distrusted: none is listed any more. Both are
	// guarded by syncing.
	verified   map[uint64]stamp
	distrusted bool
}

// Options returns the settings common to all databases: one version of each key, every checksum verified, no caches,
// and no sync except DB.Sync. An empty dir means a database in memory; a nil log discards.
func Options(dir string, log *slog.Logger) badger.Options {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return badger.DefaultOptions(dir).
		WithInMemory(dir == "").
		WithLogger(logger{log}).
		WithMetricsEnabled(false).
		WithSyncWrites(false). // DB.Sync syncs for many writers at once
		WithDetectConflicts(false).
		WithNumVersionsToKeep(1).
		WithCompression(options.None). // compression needs a cache, and the store's data does not compress
		WithBlockCacheSize(0).
		WithIndexCacheSize(0).
		WithChecksumVerificationMode(options.OnBlockRead).
		WithVerifyValueChecksum(true) // without it a damaged header leaves a file locked for ever
}

// Open opens a database that Check has accepted. Errors: ErrLocked, an error that wraps damage if Badger panicked, or
// an error of Badger's.
func Open(opt badger.Options, damage error) (*DB, error) {
	d := &DB{dir: opt.Dir, damage: damage, files: make(map[string]bool)}
	err := d.guard(func() (err error) {
		if err := makeDiscard(opt.Dir); err != nil {
			return err
		}
		d.badger, err = badger.Open(opt)
		return err
	})
	switch {
	case err == nil:
		if opt.Dir != "" {
			d.verified = readVerified(opt.Dir)
			d.distrusted = d.verified == nil // nobody has checked them
			calm(opt.Dir)
		}
		return d, nil
	case strings.Contains(err.Error(), "Another process is using this Badger database"): // it has no error value
		return nil, ErrLocked
	}
	return nil, err
}

// makeDiscard makes the file of discard statistics, if it is missing. Badger ends the process if it cannot.
func makeDiscard(dir string) error {
	if dir == "" {
		return nil
	}
	const size = 1 << 20 // as Badger makes it, without blocks
	f, err := os.OpenFile(filepath.Join(dir, discardName), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err == nil && info.Size() < size {
		err = f.Truncate(size)
	}
	return errors.Join(err, f.Close())
}

// Do runs fn on the database. A panic of fn, or a fault of its memory maps, becomes an error that wraps damage.
func (d *DB) Do(fn func(*badger.DB) error) error {
	return d.guard(func() error { return fn(d.badger) })
}

// Wedged reports that Badger panicked. It may then hold locks that its Close would wait for: do not call Close.
func (d *DB) Wedged() bool { return d.wedged.Load() }

// Close closes the database.
func (d *DB) Close() error {
	d.syncing.Lock()
	defer d.syncing.Unlock()
	err := d.guard(d.badger.Close)
	if err == nil {
		_ = d.listClosed() // without the list the next start reads more
	}
	return err
}

func (d *DB) guard(fn func() error) error {
	return guard(d.damage, func() {
		d.wedged.Store(true)
		if d.dir != "" {
			_ = Distrust(d.dir) // else the same may happen to the next process
		}
	}, fn)
}

// guard turns a panic, or the fault of a memory map whose file was cut short, into an error that wraps damage.
func guard(damage error, caught func(), fn func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		r := recover()
		if r == nil {
			return
		}
		caught()
		err = fmt.Errorf("%w: %.200v", damage, r)
		if _, fault := r.(interface{ Addr() uintptr }); fault {
			err = fmt.Errorf("%w: %w", err, errFault)
		}
	}()
	return fn()
}

// Sync makes every write that returned before the call durable. After an error the fate of those writes stays unknown,
// even if a later Sync succeeds.
//
// It covers more than Badger's own Sync, which leaves out the write-ahead logs of memtables that are full but not yet
// flushed, and the directory entries of new files. Badger syncs value logs by itself when they are full.
func (d *DB) Sync() error {
	if d.dir == "" {
		return nil
	}
	d.syncing.Lock()
	defer d.syncing.Unlock()
	if err := d.guard(d.badger.Sync); err != nil {
		return err
	}
	list, err := os.ReadDir(d.dir)
	if err != nil {
		return err
	}
	fresh, unlisted := false, false
	files := make(map[string]bool, len(list))
	for _, f := range list {
		name := f.Name()
		files[name] = true
		fresh = fresh || !d.files[name]
		if id, ok := table.ParseFileID(name); ok {
			_, listed := d.verified[id]
			unlisted = unlisted || !listed
		}
		if filepath.Ext(name) == memExt {
			// A log that has disappeared meanwhile has become a table, which Badger syncs.
			if err := SyncPath(filepath.Join(d.dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
	}
	if fresh {
		if err := SyncPath(d.dir); err != nil {
			return err
		}
	}
	d.files = files
	if unlisted {
		_ = d.listTables() // without the list the next start reads more
	}
	return nil
}

// logger passes on warnings and errors.
type logger struct{ log *slog.Logger }

func (l logger) Errorf(f string, a ...any)   { l.log.Warn(strings.TrimSpace(fmt.Sprintf(f, a...))) }
func (l logger) Warningf(f string, a ...any) { l.log.Warn(strings.TrimSpace(fmt.Sprintf(f, a...))) }
func (l logger) Infof(string, ...any)        {}
func (l logger) Debugf(string, ...any)       {}

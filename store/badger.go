package store

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"
)

// badgerEngine is one Badger database.
type badgerEngine struct {
	dir string
	db  *badger.DB
	// wedged is set when a memory map faulted: Badger may then hold locks that its Close would wait for.
	wedged atomic.Bool

	mu    sync.Mutex
	files map[string]bool // names whose directory entries are known durable; guarded by mu
}

// compactAbove is how many unmerged index tables a database may have before compact merges them.
const compactAbove = 16

func badgerOptions(dir string, cfg Config, log *slog.Logger) badger.Options {
	return badger.DefaultOptions(dir).
		WithLogger(badgerLogger{log}).
		WithMetricsEnabled(false).
		WithMemTableSize(cfg.MemTable).
		WithNumMemtables(3).
		WithValueLogFileSize(cfg.ValueLog).
		WithValueThreshold(1 << 10). // the default of 1 MiB would send all slivers through the LSM tree
		WithSyncWrites(false).       // Store.Sync syncs for many writers at once
		WithDetectConflicts(false).
		WithNumVersionsToKeep(1).
		WithCompression(options.None). // erasure-coded data and hashes do not compress
		WithBlockCacheSize(0).
		WithIndexCacheSize(0).
		WithChecksumVerificationMode(options.OnBlockRead).
		WithVerifyValueChecksum(true). // without it a damaged header leaves a file locked for ever
		// No compaction in the background: the index of slivers is small (one table per some 12 GB), and a
		// goroutine of Badger's that meets a damaged table would end the process.
		WithNumCompactors(0).
		WithNumLevelZeroTables(5).
		WithNumLevelZeroTablesStall(math.MaxInt32)
}

func openBadger(opt badger.Options) (engine, error) {
	e := &badgerEngine{dir: opt.Dir, files: make(map[string]bool)}
	err := guard(&e.wedged, func() (err error) {
		e.db, err = badger.Open(opt)
		return err
	})
	if err != nil {
		return nil, err
	}
	return e, nil
}

// guard turns a panic or a fault of a memory map (the file behind it was cut short) into an error.
func guard(wedged *atomic.Bool, fn func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if r := recover(); r != nil {
			wedged.Store(true)
			err = fmt.Errorf("%w: database: %.200v", ErrCorrupt, r)
		}
	}()
	return fn()
}

func (e *badgerEngine) get(key []byte, fn func([]byte) error) error {
	return guard(&e.wedged, func() error {
		txn := e.db.NewTransaction(false)
		defer txn.Discard()
		item, err := txn.Get(key)
		if errors.Is(err, badger.ErrKeyNotFound) {
			return ErrNotFound
		}
		if err != nil {
			return fmt.Errorf("%w: %w", ErrCorrupt, err)
		}
		return item.Value(fn)
	})
}

func (e *badgerEngine) write(batch []entry) error {
	err := guard(&e.wedged, func() error {
		txn := e.db.NewTransaction(true)
		defer txn.Discard()
		for _, x := range batch {
			var err error
			if x.del {
				err = txn.Delete(x.key)
			} else {
				err = txn.Set(x.key, x.value)
			}
			if err != nil {
				return err
			}
		}
		return txn.Commit()
	})
	return diskError(err)
}

func (e *badgerEngine) scan(prefix, after []byte, limit int, values bool, fn func(k, v []byte) error) error {
	return guard(&e.wedged, func() error {
		txn := e.db.NewTransaction(false)
		defer txn.Discard()
		it := txn.NewIterator(badger.IteratorOptions{Prefix: prefix})
		defer it.Close()
		from := prefix
		if after != nil {
			from = append(bytes.Clone(after), 0)
		}
		for it.Seek(from); it.Valid() && limit > 0; it.Next() {
			limit--
			var v []byte
			if values {
				var err error
				if v, err = it.Item().ValueCopy(nil); err != nil {
					return fmt.Errorf("%w: %w", ErrCorrupt, err)
				}
			}
			if err := fn(it.Item().KeyCopy(nil), v); err != nil {
				return err
			}
		}
		return nil
	})
}

// sync covers more than Badger's own Sync, which leaves out the write-ahead logs of memtables that are full but
// not yet flushed, and the directory entries of new files. Files of sliver data are synced when they are full.
func (e *badgerEngine) sync() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := guard(&e.wedged, e.db.Sync); err != nil {
		return diskError(err)
	}
	list, err := os.ReadDir(e.dir)
	if err != nil {
		return err
	}
	fresh := false
	files := make(map[string]bool, len(list))
	for _, f := range list {
		name := f.Name()
		files[name] = true
		fresh = fresh || !e.files[name]
		if strings.HasSuffix(name, ".mem") {
			// One that is gone meanwhile has become a table, which Badger syncs.
			if err := syncPath(filepath.Join(e.dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
	}
	if fresh {
		if err := syncPath(e.dir); err != nil {
			return err
		}
	}
	e.files = files
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

func (e *badgerEngine) verify() error { return guard(&e.wedged, e.db.VerifyChecksum) }

func (e *badgerEngine) compact() error {
	return guard(&e.wedged, func() error {
		tables := 0
		for _, l := range e.db.Levels() {
			if l.Level == 0 {
				tables = l.NumTables
			}
		}
		if tables <= compactAbove {
			return nil
		}
		return e.db.Flatten(1)
	})
}

func (e *badgerEngine) close() error {
	if e.wedged.Load() {
		return fmt.Errorf("%w: database %s faulted and is left as it is: restart", ErrCorrupt, e.dir)
	}
	return guard(&e.wedged, e.db.Close)
}

// diskError gives an error of Badger's, which keep only the text of their causes, its identity back.
func diskError(err error) error {
	if err != nil && strings.Contains(err.Error(), "no space left on device") {
		return fmt.Errorf("%w: %w", ErrFull, err)
	}
	return err
}

// badgerLogger passes on what an operator should see.
type badgerLogger struct{ log *slog.Logger }

func (l badgerLogger) Errorf(f string, a ...any) { l.log.Warn(strings.TrimSpace(fmt.Sprintf(f, a...))) }
func (l badgerLogger) Warningf(f string, a ...any) {
	l.log.Warn(strings.TrimSpace(fmt.Sprintf(f, a...)))
}
func (l badgerLogger) Infof(string, ...any)  {}
func (l badgerLogger) Debugf(string, ...any) {}

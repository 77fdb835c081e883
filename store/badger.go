package store

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"strings"

	"github.com/dgraph-io/badger/v4"

	"walrus/internal/badgerdisk"
)

// badgerEngine is one Badger database.
type badgerEngine struct {
	dir  string
	disk *badgerdisk.DB
}

// compactAbove: with more unmerged index tables than this, compact merges them.
const compactAbove = 16

func badgerOptions(dir string, cfg Config, log *slog.Logger) badger.Options {
	return badgerdisk.Options(dir, log).
		WithMemTableSize(cfg.MemTable).
		WithNumMemtables(3).
		WithValueLogFileSize(cfg.ValueLog).
		WithValueThreshold(1 << 10). // the default of 1 MiB would send all slivers through the LSM tree
		// No compaction in the background: the index of slivers is small (one table per some 12 GB), and a goroutine
		// of Badger that meets a damaged table would end the process.
		WithNumCompactors(0).
		WithNumLevelZeroTables(5).
		WithNumLevelZeroTablesStall(math.MaxInt32)
}

// badger checks the files before Badger sees them. With salvage it goes on without damaged index tables.
func (o opener) badger(path string, salvage bool) (engine, error) {
	opt, mode := badgerOptions(path, o.cfg, o.log), badgerdisk.Salvage
	if !salvage {
		// The small records of meta change, and Badger reclaims the space of old values in the index only.
		opt, mode = opt.WithValueThreshold(o.cfg.MemTable/8), badgerdisk.Repair
	}
	repaired, err := badgerdisk.Check(&opt, mode, ErrCorrupt)
	if err != nil {
		return nil, err
	}
	for _, r := range repaired {
		o.log.Warn("repaired a damaged database file", "path", path, "repair", r)
		o.incidents.add(Incident{Path: path, Err: fmt.Errorf("%w: %s", ErrCorrupt, r)})
	}
	disk, err := badgerdisk.Open(opt, fmt.Errorf("%w: database", ErrCorrupt))
	if err != nil {
		return nil, err
	}
	return &badgerEngine{dir: path, disk: disk}, nil
}

func (e *badgerEngine) get(key []byte, fn func([]byte) error) error {
	return e.disk.Do(func(db *badger.DB) error {
		txn := db.NewTransaction(false)
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
	err := e.disk.Do(func(db *badger.DB) error {
		txn := db.NewTransaction(true)
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
	return e.disk.Do(func(db *badger.DB) error {
		txn := db.NewTransaction(false)
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

func (e *badgerEngine) sync() error { return diskError(e.disk.Sync()) }

func (e *badgerEngine) verify() error { return e.disk.Do((*badger.DB).VerifyChecksum) }

func (e *badgerEngine) compact() error {
	return e.disk.Do(func(db *badger.DB) error {
		tables := 0
		for _, l := range db.Levels() {
			if l.Level == 0 {
				tables = l.NumTables
			}
		}
		if tables <= compactAbove {
			return nil
		}
		return db.Flatten(1)
	})
}

func (e *badgerEngine) close() error {
	if e.disk.Wedged() {
		return fmt.Errorf("%w: database %s faulted and was left as it is: restart the node", ErrCorrupt, e.dir)
	}
	return e.disk.Close()
}

// diskError recognises a full disk. Badger's errors keep only the text of their causes.
func diskError(err error) error {
	if err != nil && strings.Contains(err.Error(), "no space left on device") {
		return fmt.Errorf("%w: %w", ErrFull, err)
	}
	return err
}

package store

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"os"
	"slices"
	"strings"

	"github.com/dgraph-io/badger/v4"

	"walrus/internal/badgerdisk"
)

// badgerEngine is one Badger database.
type badgerEngine struct {
	dir  string
	disk *badgerdisk.DB
	// repaired: damage was found by Open, so keys may be missing.
	repaired bool
}

// compactAbove: with more unmerged index tables than this, they are merged.
const compactAbove = 16

func badgerOptions(dir string, cfg Config, log *slog.Logger) badger.Options {
	return badgerdisk.Options(dir, log).
		WithMemTableSize(cfg.MemTable).
		WithNumMemtables(3).
		WithValueLogFileSize(cfg.ValueLog).
		WithBlockSize(16 << 10).     // the index of a table, which each start reads, has an entry for each block
		WithValueThreshold(1 << 10). // the default of 1 MiB would send all slivers through the LSM tree
		// No compaction in the background: the index of slivers is small (one table per some 12 GB), and a goroutine
		// of Badger that meets a damaged table would end the process.
		WithNumCompactors(0).
		WithNumLevelZeroTables(5).
		WithNumLevelZeroTablesStall(math.MaxInt32)
}

// badger checks the files before Badger sees them. Index tables that were whole once are read again as a whole only if
// damage was found while the database was open, or if Badger refuses them. With salvage it goes on without damaged
// ones.
func (o opener) badger(path string, salvage bool) (engine, error) {
	opt, mode := badgerOptions(path, o.cfg, o.log), badgerdisk.Salvage
	switch {
	case !salvage:
		// The small records of meta change, and Badger reclaims the space of old values in the index only.
		opt, mode = opt.WithValueThreshold(o.cfg.MemTable/8), badgerdisk.Repair
	case o.running.Load():
		mode = badgerdisk.Patient
	}
	full := path + checkSuffix
	_, err := os.Stat(full)
	var e *badgerEngine
	if err != nil {
		e, err = o.checked(opt, mode)
		if err != nil && (!damage(err) || !salvage || mode == badgerdisk.Patient && badgerdisk.Unreadable(err)) {
			return nil, err
		}
	}
	if e == nil {
		if salvage {
			mode = badgerdisk.Salvage
		}
		if err = badgerdisk.Distrust(path); err == nil {
			e, err = o.checked(opt, mode)
		}
	}
	if err != nil {
		return nil, err
	}
	if err := os.Remove(full); err != nil && !errors.Is(err, os.ErrNotExist) {
		o.log.Warn("could not remove a mark: the next start checks this index as a whole again", "mark", full, "err", err)
	}
	return e, nil
}

// scanned are the keys that Open and the node read in order when they start: none of them may be missed.
var scanned = []badgerdisk.Scan{
	{Prefix: []byte{keyTally}, Last: tallyLast}, {Prefix: []byte{keyListed}}, {Prefix: []byte{keyState}},
}

// checked checks a database and opens it.
func (o opener) checked(opt badger.Options, mode badgerdisk.Mode) (*badgerEngine, error) {
	repaired, err := badgerdisk.Check(&opt, mode, ErrCorrupt, scanned...)
	if err != nil {
		return nil, err
	}
	for _, r := range repaired {
		o.log.Warn("repaired a damaged database file", "path", opt.Dir, "repair", r)
		o.incidents.add(Incident{Path: opt.Dir, Err: fmt.Errorf("%w: %s", ErrCorrupt, r)})
	}
	disk, err := badgerdisk.Open(opt, fmt.Errorf("%w: database", ErrCorrupt))
	if err != nil {
		return nil, err
	}
	return &badgerEngine{dir: opt.Dir, disk: disk, repaired: len(repaired) > 0}, nil
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

func (e *badgerEngine) scan(prefix, after []byte, limit int, since uint64, fn func(key []byte) error) error {
	return e.disk.Do(func(db *badger.DB) error {
		txn := db.NewTransaction(false)
		defer txn.Discard()
		it := txn.NewIterator(badger.IteratorOptions{Prefix: prefix, SinceTs: since})
		defer it.Close()
		from := prefix
		if after != nil {
			from = append(bytes.Clone(after), 0)
		}
		for it.Seek(from); it.Valid() && limit > 0; it.Next() {
			limit--
			if err := fn(it.Item().KeyCopy(nil)); err != nil {
				return err
			}
		}
		return nil
	})
}

func (e *badgerEngine) sync() error { return diskError(e.disk.Sync()) }

func (e *badgerEngine) index() index { return e }

// version: a transaction begins behind all that were committed.
func (e *badgerEngine) version() (v uint64) {
	_ = e.disk.Do(func(db *badger.DB) error { // it fails only by panicking, and then version 0 is noted
		txn := db.NewTransaction(false)
		defer txn.Discard()
		v = txn.ReadTs()
		return nil
	})
	return v
}

func (e *badgerEngine) verify(after uint64) (table uint64, bytes int64, err error) {
	var ids []uint64
	err = e.disk.Do(func(db *badger.DB) error {
		for _, t := range db.Tables() {
			if t.ID > after {
				ids = append(ids, t.ID)
			}
		}
		return nil
	})
	if err != nil || len(ids) == 0 {
		return 0, 0, err
	}
	id := slices.Min(ids)
	bytes, err = badgerdisk.CheckTable(e.dir, id, ErrCorrupt)
	if errors.Is(err, os.ErrNotExist) { // merged meanwhile
		err = nil
	}
	return id, bytes, err
}

// tables counts the index tables, and those of them that are unmerged.
func (e *badgerEngine) tables() (all, unmerged int) {
	_ = e.disk.Do(func(db *badger.DB) error { // none, if it panics
		for _, l := range db.Levels() {
			if all += l.NumTables; l.Level == 0 {
				unmerged = l.NumTables
			}
		}
		return nil
	})
	return all, unmerged
}

// crowded: to merge costs as much as there is, so it waits until there is twice as much.
func (e *badgerEngine) crowded() bool {
	all, unmerged := e.tables()
	return unmerged > compactAbove && 2*unmerged > all
}

func (e *badgerEngine) compact() error {
	if _, unmerged := e.tables(); unmerged <= compactAbove {
		return nil
	}
	return e.disk.Do(func(db *badger.DB) error { return db.Flatten(1) })
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

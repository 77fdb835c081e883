package monitor

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/dgraph-io/badger/v4"

	"walrus/internal/badgerdisk"
)

// The database of a Watch. Numbers are big-endian. Whatever is kept for a time has the day on which it began, in days
// since 1970, behind its kind: what is too old goes day by day, with whole tables.
//
//	'a' ‖ day u32 ‖ round u64 ‖ peer ID          the message of a monitor about a round, as it was signed
//	'f' ‖ day u32 ‖ round u64                    a folded round, see folded
//	'h' ‖ day u32 ‖ hour u32                     a summary of an hour, see hourRecord
//	'p' ‖ day u32 ‖ round u64 ‖ peer ID          receipts of our own probes of a node
//	'v' ‖ day u32 ‖ ID                           evidence
//	'e' ‖ day u32 ‖ round u64 ‖ ID               the facts of evidence, as JSON
//	'q' ‖ day u32 ‖ round u64 ‖ peer ID          two different attestations of one monitor for one round
//	'm' ‖ roster u32                             the peer IDs of a committee, each with a length byte
//	's'                                          the newest state of the scores
//	'c'                                          the blobs known, see knownSize
//	'k'                                          the last round that this process signed, u64
//	'b' ‖ blob ID                                the last sample of a blob, as JSON
const (
	keyMessage  = 'a'
	keyFolded   = 'f'
	keyHour     = 'h'
	keyReceipts = 'p'
	keyEvidence = 'v'
	keyFacts    = 'e'
	keyTwice    = 'q'
	keyRoster   = 'm'
	keyScores   = 's'
	keyPool     = 'c'
	keySigned   = 'k'
	keyRisk     = 'b'
)

// errDatabase marks a database whose files are damaged.
var errDatabase = errors.New("the database of the monitor is damaged")

const (
	memTable = 8 << 20
	valueLog = 64 << 20
	// minFree: nothing is written when less of the disk is free. Badger writes through memory maps, and on a full disk
	// such a write ends the process.
	minFree = 64 << 20
	// maxValue is the longest value in an index table; others go to a value log.
	maxValue = 1 << 20
)

// database keeps what a Watch has seen. It is safe for concurrent use.
type database struct {
	dir  string // empty: in memory
	disk *badgerdisk.DB
}

// openDatabase opens the database in dir, in memory if that is empty.
func openDatabase(dir string, log *slog.Logger) (*database, error) {
	opt := badgerdisk.Options(dir, log).WithMemTableSize(memTable).WithNumMemtables(2).WithValueLogFileSize(valueLog).
		WithValueThreshold(maxValue).WithNumCompactors(2).WithNumLevelZeroTables(4).WithNumLevelZeroTablesStall(12)
	if dir != "" {
		if err := badgerdisk.MakeDir(dir); err != nil {
			return nil, err
		}
		if free, err := badgerdisk.Free(dir); err != nil {
			return nil, err
		} else if free < minFree {
			return nil, fmt.Errorf("%s has %d MiB free, needs %d: free some space", dir, free>>20, minFree>>20)
		}
		if _, err := badgerdisk.Check(&opt, badgerdisk.Salvage, errDatabase); err != nil {
			return nil, err
		}
	}
	disk, err := badgerdisk.Open(opt, errDatabase)
	if err != nil {
		return nil, err
	}
	return &database{dir: dir, disk: disk}, nil
}

func (d *database) close() error { return d.disk.Close() }

// sync makes all that was written durable.
func (d *database) sync() error { return d.disk.Sync() }

// full reports whether the disk has too little room left to write.
func (d *database) full() bool {
	if d.dir == "" {
		return false
	}
	free, err := badgerdisk.Free(d.dir)
	return err == nil && free < minFree
}

// errFull stops the writing.
var errFull = errors.New("the disk is nearly full: free some space")

// pair is a key with its value.
type pair struct{ key, value []byte }

// put writes pairs, all or none. The pairs of one call have less than a few MiB.
func (d *database) put(pairs ...pair) error {
	if d.full() {
		return errFull
	}
	return d.disk.Do(func(db *badger.DB) error {
		return db.Update(func(t *badger.Txn) error {
			for _, p := range pairs {
				if err := t.Set(p.key, p.value); err != nil {
					return err
				}
			}
			return nil
		})
	})
}

// remove removes a key.
func (d *database) remove(key []byte) error {
	return d.disk.Do(func(db *badger.DB) error {
		return db.Update(func(t *badger.Txn) error { return t.Delete(key) })
	})
}

// get returns a copy of a value; nil if there is none.
func (d *database) get(key []byte) (value []byte, err error) {
	err = d.disk.Do(func(db *badger.DB) error {
		return db.View(func(t *badger.Txn) error {
			item, err := t.Get(key)
			if errors.Is(err, badger.ErrKeyNotFound) {
				return nil
			}
			if err != nil {
				return err
			}
			value, err = item.ValueCopy([]byte{})
			return err
		})
	})
	return value, err
}

// each calls visit with the pairs whose keys begin with the first byte of from, in order, from there up to and without
// to, until it returns false. key and value are valid during the call alone.
func (d *database) each(from, to []byte, visit func(key, value []byte) (bool, error)) error {
	opt := badger.IteratorOptions{PrefetchValues: true, PrefetchSize: 16, Prefix: from[:1]}
	return d.iterate(opt, from, func(key, value []byte) (bool, error) {
		if string(key) >= string(to) {
			return false, nil
		}
		return visit(key, value)
	})
}

// last calls visit with the pairs of a kind, the last first, until it returns false. key and value are valid during the
// call alone.
func (d *database) last(kind byte, visit func(key, value []byte) (bool, error)) error {
	opt := badger.IteratorOptions{PrefetchValues: true, PrefetchSize: 16, Prefix: []byte{kind}, Reverse: true}
	return d.iterate(opt, []byte{kind, 255, 255, 255, 255}, visit)
}

func (d *database) iterate(opt badger.IteratorOptions, from []byte, visit func(key, value []byte) (bool, error)) error {
	return d.disk.Do(func(db *badger.DB) error {
		return db.View(func(t *badger.Txn) error {
			it := t.NewIterator(opt)
			defer it.Close()
			for it.Seek(from); it.Valid(); it.Next() {
				key := it.Item().Key()
				more := false
				err := it.Item().Value(func(v []byte) (err error) {
					more, err = visit(key, v)
					return err
				})
				if err != nil || !more {
					return err
				}
			}
			return nil
		})
	})
}

// firstDay returns the oldest day of a kind; false if it has none.
func (d *database) firstDay(kind byte) (day uint32, found bool, err error) {
	err = d.each([]byte{kind}, []byte{kind + 1}, func(key, _ []byte) (bool, error) {
		if len(key) < 5 {
			return false, fmt.Errorf("%w: key %x", errDatabase, key)
		}
		day, found = binary.BigEndian.Uint32(key[1:]), true
		return false, nil
	})
	return day, found, err
}

// dropDay removes everything of a kind and a day, and gives its space back.
func (d *database) dropDay(kind byte, day uint32) error {
	return d.disk.Do(func(db *badger.DB) error { return db.DropPrefix(dayKey(kind, day)) })
}

// readJSON decodes a value; it reports whether the key exists.
func (d *database) readJSON(key []byte, v any) (bool, error) {
	raw, err := d.get(key)
	if err != nil || raw == nil {
		return false, err
	}
	if err := json.Unmarshal(raw, v); err != nil {
		return false, fmt.Errorf("%w: key %x: %w", errDatabase, key, err)
	}
	return true, nil
}

// dayOf numbers the days since 1970.
func dayOf(t time.Time) uint32 { return uint32(max(t.Unix(), 0) / 86400) }

func dayKey(kind byte, day uint32) []byte { return binary.BigEndian.AppendUint32([]byte{kind}, day) }

// roundKey is the prefix of what belongs to a round that began at a time.
func roundKey(kind byte, began time.Time, round uint64) []byte {
	return binary.BigEndian.AppendUint64(dayKey(kind, dayOf(began)), round)
}

// hourKey is the key of an hour's summary. hour counts hours since 1970.
func hourKey(hour uint32) []byte {
	return binary.BigEndian.AppendUint32(dayKey(keyHour, hour/24), hour)
}

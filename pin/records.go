package pin

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"time"

	"github.com/dgraph-io/badger/v4"

	"walrus/internal/badgerdisk"
	"walrus/shards"
)

// The database of a Keeper. Numbers are big-endian, times are milliseconds since 1970, and values are JSON except for
// the bitmap. Everything that has to be done later stands in an index ordered by time, so nothing is ever scanned.
//
//	'r' ‖ request ID               the request
//	'b' ‖ blob ID                  the record of the blob
//	'h' ‖ blob ID                  the data rows that are here: bit i mod 8 of byte i/8
//	'x' ‖ blob ID ‖ request ID     the requests of a blob
//	'q' ‖ queue u8 ‖ time ‖ blob   to be fetched
//	'a' ‖ time ‖ blob ID           to be announced
//	'c' ‖ time ‖ blob ID           to be read again and checked
//	'e' ‖ epoch u32 ‖ request ID   requests that end by themselves
//	'd' ‖ blob ID                  files to be removed
//	'n'                            counts
//	't'                            the addresses that were announced
//	'u' ‖ request ID               requests for blobs that are not pinned, and for CIDs of something else
//	'y'                            the bytes served on the last day on which some were
const (
	keyRequest  = 'r'
	keyBlob     = 'b'
	keyRows     = 'h'
	keyRef      = 'x'
	keyQueue    = 'q'
	keyAnnounce = 'a'
	keyCheck    = 'c'
	keyEnd      = 'e'
	keyDrop     = 'd'
	keyCounts   = 'n'
	keyTold     = 't'
	keyOpen     = 'u'
	keyDay      = 'y'
)

// errDatabase marks a database whose files are damaged.
var errDatabase = errors.New("the database of the pins is damaged")

// state of a blob that at least one request wants.
type state uint8

const (
	want    state = iota // waits for its turn, or for its next one
	pinned               // whole and synced
	refused              // will not be fetched again: the blob is invalid or blocked
)

// record says how a blob fares. Its zero times mean never.
type record struct {
	State    state     `json:"state"`
	Refs     int       `json:"refs"` // requests
	Asked    time.Time `json:"asked"`
	Tries    int       `json:"tries,omitempty"` // failed in a row
	Queue    byte      `json:"queue,omitempty"` // 0: asked for lately and not failed often; 1: the others
	NextTry  time.Time `json:"nextTry,omitzero"`
	Reason   string    `json:"reason,omitempty"`
	Known    bool      `json:"known,omitempty"` // the size is known, and the disk space reserved
	Size     uint64    `json:"size,omitempty"`
	Have     int       `json:"have,omitempty"` // data rows
	Verified time.Time `json:"verified,omitzero"`
	Check    time.Time `json:"check,omitzero"` // the next check
	// Announced is the last announcement, Again the time of the next one.
	Announced time.Time `json:"announced,omitzero"`
	Again     time.Time `json:"again,omitzero"`
	Served    uint64    `json:"served,omitempty"`
}

// counts are kept with each change, never counted anew.
type counts struct {
	Requests int    `json:"requests"`
	Foreign  int    `json:"foreign"` // requests for CIDs of something else
	Waiting  int    `json:"waiting"` // blobs by state
	Pinned   int    `json:"pinned"`
	Kept     int    `json:"kept"` // requests for pinned blobs
	Refused  int    `json:"refused"`
	Failing  int    `json:"failing"` // of Waiting: the last attempt failed
	Space    int64  `json:"space"`   // bytes of disk reserved for blobs
	Served   uint64 `json:"served"`
}

// count adds a record to the counts, or takes it away: by is 1 or −1.
func (c *counts) count(r *record, space int64, by int) {
	switch r.State {
	case pinned:
		c.Pinned += by
		c.Kept += by * r.Refs
	case refused:
		c.Refused += by
	default:
		c.Waiting += by
		if r.Tries > 0 {
			c.Failing += by
		}
	}
	if r.Known {
		c.Space += int64(by) * space
	}
}

const (
	memTable = 2 << 20
	valueLog = 16 << 20
	// minFree: nothing is written when less of the disk is free. Badger writes through memory maps, and on a full disk
	// such a write ends the process.
	minFree = 64 << 20
)

// database keeps the records. It is safe for concurrent use; whoever changes a record holds Keeper.mu.
type database struct {
	dir  string
	disk *badgerdisk.DB
}

func openDatabase(dir string, log *slog.Logger) (*database, error) {
	if err := badgerdisk.MakeDir(dir); err != nil {
		return nil, err
	}
	if free, err := badgerdisk.Free(dir); err != nil {
		return nil, err
	} else if free < minFree {
		return nil, fmt.Errorf("%s has %d MiB free, needs %d: free some space", dir, free>>20, minFree>>20)
	}
	opt := databaseOptions(dir, log)
	if _, err := badgerdisk.Check(&opt, badgerdisk.Refuse, errDatabase); err != nil {
		return nil, err
	}
	disk, err := badgerdisk.Open(opt, errDatabase)
	if err != nil {
		return nil, err
	}
	return &database{dir: dir, disk: disk}, nil
}

func databaseOptions(dir string, log *slog.Logger) badger.Options {
	return badgerdisk.Options(dir, log).WithMemTableSize(memTable).WithNumMemtables(2).WithValueLogFileSize(valueLog).
		WithValueThreshold(memTable / 8).WithNumCompactors(2).WithNumLevelZeroTables(4).WithNumLevelZeroTablesStall(12)
}

func (d *database) close() error { return d.disk.Close() }

// view reads at one moment.
func (d *database) view(fn func(*tx) error) error {
	return d.disk.Do(func(db *badger.DB) error {
		return db.View(func(t *badger.Txn) error { return fn(&tx{t}) })
	})
}

// update writes all of fn's changes or none.
func (d *database) update(fn func(*tx) error) error {
	return d.disk.Do(func(db *badger.DB) error {
		return db.Update(func(t *badger.Txn) error { return fn(&tx{t}) })
	})
}

// sync makes all that was written durable.
func (d *database) sync() error { return d.disk.Sync() }

// used returns the bytes of disk that the database takes.
func (d *database) used() (int64, error) { return badgerdisk.Used(d.dir) }

// tx is one transaction.
type tx struct{ t *badger.Txn }

// get decodes a value. It reports whether the key exists.
func (t *tx) get(key []byte, v any) (bool, error) {
	raw, err := t.raw(key)
	if err != nil || raw == nil {
		return false, err
	}
	if err := json.Unmarshal(raw, v); err != nil {
		return false, fmt.Errorf("%w: key %x: %w", errDatabase, key, err)
	}
	return true, nil
}

// raw returns a copy of a value; nil if there is none.
func (t *tx) raw(key []byte) ([]byte, error) {
	item, err := t.t.Get(key)
	if errors.Is(err, badger.ErrKeyNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("%w: key %x: %w", errDatabase, key, err)
	}
	return item.ValueCopy([]byte{})
}

func (t *tx) put(key []byte, v any) error {
	raw, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return t.t.Set(key, raw)
}

func (t *tx) mark(key []byte) error   { return t.t.Set(key, nil) }
func (t *tx) remove(key []byte) error { return t.t.Delete(key) }

// keys calls visit with the keys that begin with prefix, in order, from start on, until it returns false.
func (t *tx) keys(prefix, start []byte, backwards bool, visit func(key []byte) (bool, error)) error {
	opt := badger.IteratorOptions{Prefix: prefix, Reverse: backwards}
	it := t.t.NewIterator(opt)
	defer it.Close()
	if start == nil {
		start = prefix
		if backwards {
			start = append(append([]byte(nil), prefix...), 0xff)
		}
	}
	for it.Seek(start); it.ValidForPrefix(prefix); it.Next() {
		if more, err := visit(it.Item().KeyCopy(nil)); err != nil || !more {
			return err
		}
	}
	return nil
}

func blobKey(kind byte, id shards.BlobID) []byte { return append([]byte{kind}, id[:]...) }

func requestKey(id string) []byte { return append([]byte{keyRequest}, id...) }

func refKey(blob shards.BlobID, id string) []byte { return append(blobKey(keyRef, blob), id...) }

func openKey(id string) []byte { return append([]byte{keyOpen}, id...) }

func endKey(epoch uint32, id string) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{keyEnd}, epoch), id...)
}

// dueKey is the place of a blob in an index by time.
func dueKey(kind []byte, at time.Time, id shards.BlobID) []byte {
	k := binary.BigEndian.AppendUint64(append([]byte(nil), kind...), uint64(max(at.UnixMilli(), 0)))
	return append(k, id[:]...)
}

// due splits such a key.
func due(kind int, key []byte) (at time.Time, id shards.BlobID, err error) {
	if len(key) != kind+8+len(id) {
		return at, id, fmt.Errorf("%w: key %x", errDatabase, key)
	}
	copy(id[:], key[kind+8:])
	return time.UnixMilli(int64(binary.BigEndian.Uint64(key[kind:]))), id, nil
}

// indexes are the places of a blob in the indexes by time.
func (r *record) indexes(id shards.BlobID) [][]byte {
	switch r.State {
	case want:
		return [][]byte{dueKey([]byte{keyQueue, r.Queue}, r.NextTry, id)}
	case pinned:
		return [][]byte{dueKey([]byte{keyAnnounce}, r.Again, id), dueKey([]byte{keyCheck}, r.Check, id)}
	}
	return nil
}

func databaseDir(dir string) string { return filepath.Join(dir, "records") }

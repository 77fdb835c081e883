package badgerdb

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/dgraph-io/badger/v4"
)

// Batch collects writes that take effect together. It is not safe for concurrent use.
type Batch struct {
	writes []write
}

type write struct {
	key, value []byte // value is nil to delete
}

// Set puts a value; nil means an empty one. Key and value must not change until the batch is written.
func (b *Batch) Set(s *Space, key, value []byte) {
	if value == nil {
		value = []byte{}
	}
	b.writes = append(b.writes, write{s.key(key), value})
}

// Delete removes a key.
func (b *Batch) Delete(s *Space, key []byte) {
	b.writes = append(b.writes, write{s.key(key), nil})
}

// Reset removes all writes.
func (b *Batch) Reset() { b.writes = b.writes[:0] }

// Len returns the number of writes.
func (b *Batch) Len() int { return len(b.writes) }

// Write applies the whole batch or nothing, even if the process ends in between. Of several writes to a key the last
// one counts.
//
//   - Meanwhile readers may see a part of a large batch.
//   - The next Sync makes the batch durable, if Write has not already.
//   - After an error it is unknown whether the batch was applied, until the database is opened again.
func (db *DB) Write(b *Batch) error {
	err := db.with(func(bdb *badger.DB) error {
		if err := db.room(); err != nil {
			return err
		}
		rest, err := commit(bdb, b.writes, false)
		if err != nil || len(rest) == 0 {
			return err
		}
		return db.writeLarge(bdb, b.writes)
	})
	if err != nil {
		return fmt.Errorf("write to the ledger's database: %w", err)
	}
	return nil
}

// commit writes ws in one transaction and returns the remaining writes. If one transaction cannot hold them all, it
// writes nothing, or with split as many as fit.
func commit(b *badger.DB, ws []write, split bool) (rest []write, err error) {
	txn := b.NewTransaction(true)
	defer txn.Discard()
	for i, w := range ws {
		if w.value == nil {
			err = txn.Delete(w.key)
		} else {
			err = txn.Set(w.key, w.value)
		}
		if errors.Is(err, badger.ErrTxnTooBig) && i > 0 {
			if !split {
				return ws, nil
			}
			return ws[i:], txn.Commit()
		}
		if err != nil {
			return ws, err
		}
	}
	return nil, txn.Commit()
}

// A batch that is too large for one transaction is first written to a journal, in parts, in a space of its own:
//
//	journal/ ‖ number u32 big-endian → writes: key length u32 ‖ key ‖ 0 to delete, or 1 + value length u32 ‖ value …
//	journal/ ‖ "done"                → number of parts u32 big-endian
//
// The batch counts as written once these are durable. Then its writes are applied, and the journal is removed. Open
// applies a journal that has its "done", perhaps for the second time, and removes any other.

const (
	// maxPart: a part of the journal takes no further write once it has this many bytes.
	maxPart = memTable / 16
	// maxParts bounds the parts of a journal.
	maxParts = 1 << 16
)

var journalDone = []byte("done")

// writeLarge writes through the journal.
func (db *DB) writeLarge(b *badger.DB, ws []write) error {
	db.journal.Lock()
	defer db.journal.Unlock()
	space := &Space{db, []byte("journal/")}
	parts := uint32(0)
	var part []byte
	flush := func() error {
		w := []write{{space.key(binary.BigEndian.AppendUint32(nil, parts)), part}}
		parts++
		part = nil
		if parts > maxParts {
			return fmt.Errorf("batch of more than %d MiB", maxParts*maxPart>>20)
		}
		_, err := commit(b, w, false)
		return errors.Join(err, db.step("part"))
	}
	for _, w := range ws {
		part = appendWrite(part, w)
		if len(part) >= maxPart {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	if len(part) > 0 {
		if err := flush(); err != nil {
			return err
		}
	}
	if err := db.disk.Sync(); err != nil {
		return err
	}
	done := []write{{space.key(journalDone), binary.BigEndian.AppendUint32(nil, parts)}}
	if _, err := commit(b, done, false); err != nil {
		return err
	}
	if err := errors.Join(db.disk.Sync(), db.step("done")); err != nil {
		return err
	}
	return db.apply(b, ws, parts)
}

// apply applies the writes of a journal, then removes it, its "done" first.
func (db *DB) apply(b *badger.DB, ws []write, parts uint32) error {
	for len(ws) > 0 {
		var err error
		if ws, err = commit(b, ws, true); err != nil {
			return err
		}
		if err := db.step("apply"); err != nil {
			return err
		}
	}
	if err := db.disk.Sync(); err != nil {
		return err
	}
	return db.clearJournal(b, parts)
}

func (db *DB) clearJournal(b *badger.DB, parts uint32) error {
	space := &Space{db, []byte("journal/")}
	ws := []write{{key: space.key(journalDone)}}
	for i := range parts {
		ws = append(ws, write{key: space.key(binary.BigEndian.AppendUint32(nil, i))})
	}
	for len(ws) > 0 {
		var err error
		if ws, err = commit(b, ws, true); err != nil {
			return err
		}
		if err := db.step("clear"); err != nil {
			return err
		}
	}
	return db.disk.Sync()
}

// replay applies a complete journal from an earlier process and removes an incomplete one.
func (db *DB) replay() error {
	return db.with(func(b *badger.DB) error {
		space := &Space{db, []byte("journal/")}
		mark, err := db.get(b, space.key(journalDone))
		if err != nil {
			return err
		}
		if mark == nil {
			return db.dropJournal(b, space)
		}
		if len(mark) != 4 || binary.BigEndian.Uint32(mark) > maxParts {
			return fmt.Errorf("%w: malformed end mark of its journal: % .20x", ErrCorrupt, mark)
		}
		parts := binary.BigEndian.Uint32(mark)
		for i := range parts {
			part, err := db.get(b, space.key(binary.BigEndian.AppendUint32(nil, i)))
			if err != nil {
				return err
			}
			ws, err := parseWrites(part)
			if err != nil {
				return fmt.Errorf("%w: part %d of its journal: %v", ErrCorrupt, i, err)
			}
			for len(ws) > 0 {
				if ws, err = commit(b, ws, true); err != nil {
					return err
				}
			}
		}
		if err := db.disk.Sync(); err != nil {
			return err
		}
		return db.clearJournal(b, parts)
	})
}

// dropJournal removes the parts of a journal without its "done".
func (db *DB) dropJournal(b *badger.DB, space *Space) error {
	for {
		stray, err := space.scan(b, Range{Limit: 1})
		if err != nil || len(stray) == 0 {
			return err
		}
		if _, err := commit(b, []write{{key: space.key(stray[0].Key)}}, false); err != nil {
			return err
		}
	}
}

// step lets a test stop the batch here.
func (db *DB) step(name string) error {
	if db.hook == nil {
		return nil
	}
	return db.hook(name)
}

func appendWrite(b []byte, w write) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(len(w.key)))
	b = append(b, w.key...)
	if w.value == nil {
		return binary.BigEndian.AppendUint32(b, 0)
	}
	b = binary.BigEndian.AppendUint32(b, uint32(len(w.value))+1)
	return append(b, w.value...)
}

// parseWrites is the inverse of appendWrite, for all writes in b.
func parseWrites(b []byte) ([]write, error) {
	var ws []write
	for len(b) > 0 {
		var w write
		var ok bool
		if w.key, b, ok = cut(b, 0); ok {
			if len(b) >= 4 && binary.BigEndian.Uint32(b) == 0 {
				b = b[4:]
			} else {
				w.value, b, ok = cut(b, 1)
			}
		}
		if !ok {
			return nil, errors.New("ends within a write")
		}
		ws = append(ws, w)
	}
	return ws, nil
}

// cut splits off the front of b: a length, stored with extra added, and that many bytes.
func cut(b []byte, extra uint32) (x, rest []byte, ok bool) {
	if len(b) < 4 {
		return nil, nil, false
	}
	n := uint64(binary.BigEndian.Uint32(b) - extra)
	if b = b[4:]; n > uint64(len(b)) {
		return nil, nil, false
	}
	return b[:n], b[n:], true
}

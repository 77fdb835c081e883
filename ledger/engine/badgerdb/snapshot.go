package badgerdb

import (
	"runtime"

	"github.com/dgraph-io/badger/v4"
)

// Snapshot is a space as it was when the snapshot was made, whatever is written later. It takes no memory. The database
// keeps what later writes replace until the garbage collector finds that the snapshot is in use no more. It is safe for
// concurrent use.
type Snapshot struct {
	space *Space
	txn   *badger.Txn
}

// Snapshot makes a snapshot with every write that has returned.
func (s *Space) Snapshot() (*Snapshot, error) {
	db, snap := s.db, &Snapshot{space: s}
	err := db.with(func(b *badger.DB) error {
		db.release()
		snap.txn = b.NewTransaction(false)
		return nil
	})
	if err != nil {
		return nil, err
	}
	// A cleanup must not wait for anything, and may run after Close, when Badger's Discard blocks.
	runtime.AddCleanup(snap, func(txn *badger.Txn) {
		db.releasing.Lock()
		db.released = append(db.released, txn)
		db.releasing.Unlock()
	}, snap.txn)
	return snap, nil
}

// release ends the transactions of snapshots that nobody has any more.
func (db *DB) release() {
	db.releasing.Lock()
	txns := db.released
	db.released = nil
	db.releasing.Unlock()
	for _, txn := range txns {
		txn.Discard()
	}
}

// Get is Space.Get.
func (s *Snapshot) Get(key []byte) (value []byte, err error) {
	err = s.space.db.with(func(*badger.DB) error {
		value, err = s.space.db.getIn(s.txn, s.space.key(key))
		return err
	})
	runtime.KeepAlive(s)
	return value, err
}

// Scan is Space.Scan.
func (s *Snapshot) Scan(r Range) (pairs []Pair, err error) {
	err = s.space.db.with(func(*badger.DB) error {
		pairs, err = s.space.scanIn(s.txn, r)
		return err
	})
	runtime.KeepAlive(s)
	return pairs, err
}

// Each calls fn with the pairs of a range, in order, until fn returns an error, which is Each's own then. fn must not
// keep key and value.
func (s *Snapshot) Each(r Range, fn func(key, value []byte) error) error {
	err := s.space.db.with(func(*badger.DB) error { return s.space.each(s.txn, r, fn) })
	runtime.KeepAlive(s)
	return err
}

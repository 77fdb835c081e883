package badgerdb

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/dgraph-io/badger/v4"
)

// Space is a part of a database with keys of its own. It is safe for concurrent use.
type Space struct {
	db     *DB
	prefix []byte
}

// Space returns the space with this name. The name must not contain "/".
func (db *DB) Space(name string) *Space { return &Space{db, []byte(name + "/")} }

func (s *Space) key(k []byte) []byte {
	return append(append(make([]byte, 0, len(s.prefix)+len(k)), s.prefix...), k...)
}

// Get returns a copy of the value of a key, or nil if the key does not exist.
func (s *Space) Get(key []byte) (value []byte, err error) {
	err = s.db.with(func(b *badger.DB) error {
		value, err = s.db.get(b, s.key(key))
		return err
	})
	return value, err
}

func (db *DB) get(b *badger.DB, key []byte) (value []byte, err error) {
	txn := b.NewTransaction(false)
	defer txn.Discard()
	return db.getIn(txn, key)
}

func (db *DB) getIn(txn *badger.Txn, key []byte) (value []byte, err error) {
	item, err := txn.Get(key)
	if errors.Is(err, badger.ErrKeyNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("%w: read: %v", ErrCorrupt, err)
	}
	if value, err = item.ValueCopy([]byte{}); err != nil {
		return nil, fmt.Errorf("%w: read: %v", ErrCorrupt, err)
	}
	db.read.Add(uint64(len(key) + len(value)))
	return value, nil
}

// Range selects keys for a scan.
type Range struct {
	From, To   []byte // From ≤ key < To; nil means no bound
	Descending bool
	Limit      int // of pairs
	MaxBytes   int // stop after the pair with which keys and values reach this size; 0 means no bound
}

// Pair is a key and its value.
type Pair struct {
	Key, Value []byte
}

// Scan returns copies of the pairs of a range, in order, from a single snapshot.
func (s *Space) Scan(r Range) (pairs []Pair, err error) {
	err = s.db.with(func(b *badger.DB) error {
		pairs, err = s.scan(b, r)
		return err
	})
	return pairs, err
}

func (s *Space) scan(b *badger.DB, r Range) ([]Pair, error) {
	txn := b.NewTransaction(false)
	defer txn.Discard()
	return s.scanIn(txn, r)
}

func (s *Space) scanIn(txn *badger.Txn, r Range) (pairs []Pair, err error) {
	err = s.each(txn, r, func(key, value []byte) error {
		pairs = append(pairs, Pair{bytes.Clone(key), append([]byte{}, value...)})
		return nil
	})
	if err != nil {
		return nil, err
	}
	return pairs, nil
}

// each calls fn with the pairs of a range.
func (s *Space) each(txn *badger.Txn, r Range, fn func(key, value []byte) error) error {
	it := txn.NewIterator(badger.IteratorOptions{Prefix: s.common(r), Reverse: r.Descending})
	defer it.Close()
	found, size := 0, 0
	defer func() { s.db.read.Add(uint64(size)) }()
	for it.Seek(s.start(r)); it.ValidForPrefix(s.prefix) && found < r.Limit; it.Next() {
		key := it.Item().Key()[len(s.prefix):]
		if r.Descending && r.To != nil && bytes.Compare(key, r.To) >= 0 {
			continue
		}
		if r.Descending && bytes.Compare(key, r.From) < 0 || !r.Descending && r.To != nil && bytes.Compare(key, r.To) >= 0 {
			break
		}
		var wrong error
		err := it.Item().Value(func(value []byte) error {
			found, size = found+1, size+len(key)+len(value)
			wrong = fn(key, value)
			return nil
		})
		if err != nil {
			return fmt.Errorf("%w: read: %v", ErrCorrupt, err)
		}
		if wrong != nil || r.MaxBytes > 0 && size >= r.MaxBytes {
			return wrong
		}
	}
	return nil
}

// common returns a prefix of all keys in a range, the longer the better: Badger then passes over tables without it.
func (s *Space) common(r Range) []byte {
	if r.Descending { // start may be outside the range
		return s.prefix
	}
	n := 0
	for n < min(len(r.From), len(r.To)) && r.From[n] == r.To[n] {
		n++
	}
	return s.key(r.From[:n])
}

// start returns the key at which Badger's iterator begins.
func (s *Space) start(r Range) []byte {
	switch {
	case !r.Descending:
		return s.key(r.From)
	case r.To != nil:
		return s.key(r.To)
	}
	after := bytes.Clone(s.prefix)
	after[len(after)-1]++ // "/" becomes "0", which sorts behind all keys of the space
	return after
}

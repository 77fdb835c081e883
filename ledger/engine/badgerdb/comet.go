package badgerdb

import (
	"bytes"
	"errors"

	cometdb "github.com/cometbft/cometbft-db"
	"github.com/cometbft/cometbft/config"
)

var (
	errEmptyKey  = errors.New("key is empty")
	errNilValue  = errors.New("value is nil")
	errBatchDone = errors.New("batch was already written or closed")
)

// Provider opens the stores of CometBFT, each in a space of its own. Closing a store does nothing; DB.Close closes all.
func (db *DB) Provider() config.DBProvider {
	return func(c *config.DBContext) (cometdb.DB, error) { return &adapter{db.Space("comet-" + c.ID)}, nil }
}

// adapter implements CometBFT's database interface over a space.
type adapter struct{ space *Space }

// quiet hides the error of a closed database, which then looks empty.
func quiet(err error) error {
	if errors.Is(err, ErrClosed) {
		return nil
	}
	return err
}

func (a *adapter) Get(key []byte) ([]byte, error) {
	if len(key) == 0 {
		return nil, errEmptyKey
	}
	v, err := a.space.Get(key)
	return v, quiet(err)
}

func (a *adapter) Has(key []byte) (bool, error) {
	v, err := a.Get(key)
	return v != nil, err
}

func (a *adapter) Set(key, value []byte) error     { return a.one(key, value, false) }
func (a *adapter) SetSync(key, value []byte) error { return a.one(key, value, true) }
func (a *adapter) Delete(key []byte) error         { return a.remove(key, false) }
func (a *adapter) DeleteSync(key []byte) error     { return a.remove(key, true) }

func (a *adapter) one(key, value []byte, sync bool) error {
	b := cometBatch{space: a.space}
	if err := b.Set(key, value); err != nil {
		return err
	}
	return b.write(sync)
}

func (a *adapter) remove(key []byte, sync bool) error {
	b := cometBatch{space: a.space}
	if err := b.Delete(key); err != nil {
		return err
	}
	return b.write(sync)
}

func (a *adapter) Close() error              { return nil }
func (a *adapter) Print() error              { return nil }
func (a *adapter) Stats() map[string]string  { return nil }
func (a *adapter) Compact(_, _ []byte) error { return nil }

func (a *adapter) NewBatch() cometdb.Batch { return &cometBatch{space: a.space} }

// cometBatch implements CometBFT's batch interface over a Batch.
type cometBatch struct {
	space *Space
	batch Batch
	done  bool
}

func (b *cometBatch) Set(key, value []byte) error {
	switch {
	case len(key) == 0:
		return errEmptyKey
	case value == nil:
		return errNilValue
	case b.done:
		return errBatchDone
	}
	b.batch.Set(b.space, key, bytes.Clone(value))
	return nil
}

func (b *cometBatch) Delete(key []byte) error {
	switch {
	case len(key) == 0:
		return errEmptyKey
	case b.done:
		return errBatchDone
	}
	b.batch.Delete(b.space, key)
	return nil
}

func (b *cometBatch) Write() error     { return b.write(false) }
func (b *cometBatch) WriteSync() error { return b.write(true) }

func (b *cometBatch) write(sync bool) error {
	if b.done {
		return errBatchDone
	}
	b.done = true
	err := b.space.db.Write(&b.batch)
	b.batch = Batch{}
	if err == nil && sync {
		err = b.space.db.Sync()
	}
	return quiet(err)
}

func (b *cometBatch) Close() error {
	b.done = true
	b.batch = Batch{}
	return nil
}

func (a *adapter) Iterator(start, end []byte) (cometdb.Iterator, error) {
	return a.iterate(start, end, false)
}

func (a *adapter) ReverseIterator(start, end []byte) (cometdb.Iterator, error) {
	return a.iterate(start, end, true)
}

func (a *adapter) iterate(start, end []byte, descending bool) (cometdb.Iterator, error) {
	if start != nil && len(start) == 0 || end != nil && len(end) == 0 {
		return nil, errEmptyKey
	}
	it := &iterator{space: a.space, start: start, end: end,
		rest: Range{From: start, To: end, Descending: descending, Limit: pageKeys, MaxBytes: pageBytes}}
	it.load()
	return it, it.err
}

const (
	// pageKeys and pageBytes bound the memory of an iterator, except that the last value may exceed them.
	pageKeys, pageBytes = 256, 256 << 10
)

// iterator reads a range page by page, so that it keeps no transaction open between calls.
type iterator struct {
	space      *Space
	start, end []byte
	rest       Range // not yet read
	page       []Pair
	err        error
}

// load reads the next page.
func (it *iterator) load() {
	it.page, it.err = it.space.Scan(it.rest)
	it.err = quiet(it.err)
	if len(it.page) == 0 {
		return
	}
	last := it.page[len(it.page)-1].Key
	if it.rest.Descending {
		it.rest.To = last
	} else {
		it.rest.From = append(bytes.Clone(last), 0)
	}
}

func (it *iterator) Domain() (start, end []byte) { return it.start, it.end }
func (it *iterator) Valid() bool                 { return len(it.page) > 0 }
func (it *iterator) Error() error                { return it.err }

func (it *iterator) Next() {
	it.current()
	if it.page = it.page[1:]; len(it.page) == 0 {
		it.load()
	}
}

func (it *iterator) Key() []byte   { return it.current().Key }
func (it *iterator) Value() []byte { return it.current().Value }

// current returns the pair under the iterator. At the end it panics, as CometBFT's interface demands.
func (it *iterator) current() Pair {
	if !it.Valid() {
		panic("badgerdb: iterator is at its end")
	}
	return it.page[0]
}

func (it *iterator) Close() error {
	it.page = nil
	return nil
}

package app

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"time"

	"walrus/ledger/engine/badgerdb"
	"walrus/ledger/merkle"
)

// advice follows the description of damage.
const advice = ": move the ledger's directory away and start again: the node then fetches the ledger from the others"

// damage makes damage that merkle has found an ErrMismatch with advice.
func damage(err error) error {
	if errors.Is(err, merkle.ErrDamaged) {
		return fmt.Errorf("%w: %w%s", ErrMismatch, err, advice)
	}
	return err
}

// source implements merkle.Source for a view's tree.
type source struct{ snap *badgerdb.Snapshot }

func (s *source) Page(at merkle.Place) ([]byte, error) { return s.snap.Get(pageKey(at)) }

func (s *source) Leaves(at merkle.Place, limit int) ([]merkle.Leaf, error) {
	end := stateEnd
	if next := after(at.Last()); next != nil {
		end = pathKey(*next)
	}
	leaves := make([]merkle.Leaf, 0, limit)
	err := s.snap.Each(badgerdb.Range{From: pathKey(at.Prefix), To: end, Limit: limit}, func(key, value []byte) error {
		l, err := leafOf(key, value)
		leaves = append(leaves, l)
		return err
	})
	return leaves, err
}

// leafOf returns the leaf of a record. Its path is the database's key: whoever reads the record's key compares the two.
func leafOf(at, record []byte) (merkle.Leaf, error) {
	_, value, ok := cutRecord(record)
	if !ok || len(at) != 1+len(merkle.Hash{}) {
		return merkle.Leaf{}, errRecordAt(at)
	}
	return merkle.Leaf{Path: merkle.Hash(at[1:]), Value: sha256.Sum256(value)}, nil
}

// disk keeps the state and its tree in the database.
type disk struct {
	db    *badgerdb.DB    // constant, as are the others
	space *badgerdb.Space //
	cache *merkle.Cache
	log   *slog.Logger
}

// writePage returns a function that adds pages to a batch.
func (d *disk) writePage(batch *badgerdb.Batch) func(at merkle.Place, page []byte) error {
	return func(at merkle.Place, page []byte) error {
		if page == nil {
			batch.Delete(d.space, pageKey(at))
		} else {
			batch.Set(d.space, pageKey(at), page)
		}
		return nil
	}
}

// viewOf makes the view of the state in the database.
func (d *disk) viewOf(h head) (*View, error) {
	snap, err := d.space.Snapshot()
	if err != nil {
		return nil, err
	}
	tree, err := merkle.Open(h.root, h.keys, &source{snap}, d.cache)
	if err != nil {
		return nil, fmt.Errorf("open the state at height %d: %w", h.height, damage(err))
	}
	return &View{Height: h.height, Time: h.time, snap: snap, tree: tree}, nil
}

const (
	// indexedAtOnce bounds the pages in one batch of an index, and the records in one of a conversion.
	indexedAtOnce = 4096
	// progressEvery is the time between lines of progress in the log.
	progressEvery = 5 * time.Second
)

// index makes the pages of the state in the database, reading all of it once, and returns its root and number of keys.
// Until the head is written, nobody uses the pages.
func (d *disk) index() (root merkle.Hash, keys uint64, err error) {
	if err := d.clear(pageKeys, pageEnd); err != nil {
		return root, 0, err
	}
	var batch badgerdb.Batch
	add := d.writePage(&batch)
	root, keys, err = merkle.BuildPages(d.leaves(), func(at merkle.Place, page []byte) error {
		if err := add(at, page); err != nil || batch.Len() < indexedAtOnce {
			return err
		}
		err := d.db.Write(&batch)
		batch.Reset()
		return err
	})
	if err == nil {
		err = d.db.Write(&batch)
	}
	return root, keys, err
}

// leaves returns the leaves of the state in the database.
func (d *disk) leaves() iter.Seq2[merkle.Leaf, error] {
	return func(yield func(merkle.Leaf, error) bool) {
		progress := d.progress("indexing the ledger's state")
		r := badgerdb.Range{From: stateKeys, To: stateEnd, Limit: 1 << 12, MaxBytes: 1 << 20}
		for {
			pairs, err := d.space.Scan(r)
			if err != nil {
				yield(merkle.Leaf{}, err)
				return
			}
			if len(pairs) == 0 {
				return
			}
			for _, p := range pairs {
				if l, err := leafOf(p.Key, p.Value); !yield(l, err) || err != nil {
					return
				}
			}
			r.From = append(pairs[len(pairs)-1].Key, 0)
			progress(len(pairs))
		}
	}
}

// progress returns a function that counts records and now and then logs their number.
func (d *disk) progress(what string) func(records int) {
	total, last := 0, time.Now()
	return func(records int) {
		if total += records; time.Since(last) >= progressEvery {
			last = time.Now()
			d.log.Info(what, "records", total)
		}
	}
}

// convert makes a database of the state's present form out of one without pages. If it ends early, the next start
// begins again.
func (d *disk) convert(h head) (head, error) {
	d.log.Info("the ledger's state is converted to a form that need not fit into memory: this happens once")
	if err := d.clear(stateKeys, stateEnd); err != nil {
		return h, err
	}
	progress := d.progress("converting the ledger's state")
	r := badgerdb.Range{From: oldStateKeys, To: oldStateEnd, Limit: indexedAtOnce, MaxBytes: 1 << 20}
	for {
		pairs, err := d.space.Scan(r)
		if err != nil {
			return h, err
		}
		if len(pairs) == 0 {
			break
		}
		var b badgerdb.Batch
		for _, p := range pairs {
			key := p.Key[len(oldStateKeys):]
			b.Set(d.space, stateKey(key), record(key, p.Value))
		}
		if err := d.db.Write(&b); err != nil {
			return h, err
		}
		r.From = append(pairs[len(pairs)-1].Key, 0)
		progress(len(pairs))
	}
	root, keys, err := d.index()
	if err != nil {
		return h, err
	}
	if root != h.root {
		return h, fmt.Errorf("%w: at height %d the state has root %s, but %s was committed%s", ErrMismatch, h.height, root, h.root,
			advice)
	}
	h.keys, h.old = keys, false
	var b badgerdb.Batch
	b.Set(d.space, keyHead, h.marshal())
	if err := errors.Join(d.db.Sync(), d.db.Write(&b), d.db.Sync()); err != nil {
		return h, err
	}
	d.log.Info("the ledger's state is converted", "records", keys)
	return h, nil
}

// dropOld removes what is left of a state's form before the present one.
func (d *disk) dropOld() error { return d.clear(oldStateKeys, oldStateEnd) }

// clear removes the keys in [from, to), except the mark of a restoration.
func (d *disk) clear(from, to []byte) error {
	for {
		pairs, err := d.space.Scan(badgerdb.Range{From: from, To: to, Limit: 4096, MaxBytes: 1 << 20})
		if err != nil || len(pairs) == 0 {
			return err
		}
		var b badgerdb.Batch
		for _, p := range pairs {
			if string(p.Key) != string(keyRestoring) {
				b.Delete(d.space, p.Key)
			}
		}
		if err := d.db.Write(&b); err != nil {
			return err
		}
		from = append(pairs[len(pairs)-1].Key, 0)
	}
}

package app

import (
	"bytes"
	"fmt"
	"slices"
	"sync/atomic"

	"walrus/ledger"
	"walrus/ledger/engine/badgerdb"
	"walrus/ledger/merkle"
)

// View is the state after a block. It never changes, however many blocks follow, and is safe for concurrent use. An
// old view keeps in memory all values that later blocks have replaced.
//
// The database has only the newest state. Before a block is written, its new view gets the values that the block
// replaces, and the previous view is linked to it. To read an old view, read the database first; then check whether a
// later view, earliest first, replaced that value.
type View struct {
	Height uint64
	Time   int64 // of the block, Unix nanoseconds

	space    *badgerdb.Space
	tree     *merkle.Tree
	replaced map[string][]byte    // by key of the database: the value before this block, nil if there was none; constant
	later    atomic.Pointer[View] // the view of the next block; nil if this is the newest
}

// Root returns the Merkle root of the state. The header at Height+1 has it as its app hash.
func (v *View) Root() merkle.Hash { return v.tree.Root() }

// Get implements ledger.Reader.
func (v *View) Get(key []byte) ([]byte, error) {
	k := stateKey(key)
	value, err := v.space.Get(k)
	for w := v.later.Load(); w != nil; w = w.later.Load() {
		if old, ok := w.replaced[string(k)]; ok {
			return old, nil
		}
	}
	if err != nil {
		return nil, fmt.Errorf("read the state at height %d: %w", v.Height, err)
	}
	return value, nil
}

// Prove proves the value that Get returns, against Root.
func (v *View) Prove(key []byte) merkle.Proof { return v.tree.Prove(key) }

// Object names an object that an account owns.
type Object struct {
	ID   ledger.ObjectID
	Blob bool // a blob's record; false: a storage resource
}

// Objects lists the objects that an account owns: at most limit, ascending by ID, from the first ID above after.
func (v *View) Objects(owner ledger.Address, after ledger.ObjectID, limit int) ([]Object, error) {
	var objects []Object
	err := v.list(listObjects, owner, after, limit, func(id ledger.ObjectID, letter byte) {
		objects = append(objects, Object{ID: id, Blob: letter == letterBlob})
	})
	return objects, err
}

// Offers lists the objects that are offered to an account, like Objects. Some offers may have expired.
func (v *View) Offers(to ledger.Address, after ledger.ObjectID, limit int) ([]ledger.ObjectID, error) {
	var objects []ledger.ObjectID
	err := v.list(listOffers, to, after, limit, func(id ledger.ObjectID, _ byte) { objects = append(objects, id) })
	return objects, err
}

// list calls each with up to limit objects of an account's list, and the letter noted there.
func (v *View) list(list byte, a ledger.Address, after ledger.ObjectID, limit int,
	each func(id ledger.ObjectID, letter byte)) error {
	from := listKey(list, a)
	if after != (ledger.ObjectID{}) {
		from = append(append(from, after[:]...), 0)
	}
	end := append(listKey(list, a), bytes.Repeat([]byte{255}, len(after)+1)...)
	for found := 0; from != nil && found < limit; {
		pairs, next, err := v.scan(from, end, limit, 1<<20)
		if err != nil {
			return fmt.Errorf("list objects of %s: %w", a, err)
		}
		pairs = pairs[:min(len(pairs), limit-found)]
		for _, p := range pairs {
			if len(p.Value) == 1 {
				each(ledger.ObjectID(p.Key[1+len(a):]), p.Value[0])
			}
		}
		found, from = found+len(pairs), next
	}
	return nil
}

// scan reads the keys of the database in [from, to) as they were at the view: about limit pairs, or maxBytes bytes of
// them. next is the key to continue at; nil when no more follow.
func (v *View) scan(from, to []byte, limit, maxBytes int) (pairs []badgerdb.Pair, next []byte, err error) {
	pairs, err = v.space.Scan(badgerdb.Range{From: from, To: to, Limit: limit, MaxBytes: maxBytes})
	if err != nil {
		return nil, nil, err
	}
	if len(pairs) == limit || sizeOf(pairs) >= maxBytes {
		next = append(bytes.Clone(pairs[len(pairs)-1].Key), 0)
		to = next
	}
	old := v.replacedIn(from, to)
	if len(old) == 0 {
		return pairs, next, nil
	}
	pairs = slices.DeleteFunc(pairs, func(p badgerdb.Pair) bool { _, ok := old[string(p.Key)]; return ok })
	for key, value := range old {
		if value != nil {
			pairs = append(pairs, badgerdb.Pair{Key: []byte(key), Value: value})
		}
	}
	slices.SortFunc(pairs, func(a, b badgerdb.Pair) int { return bytes.Compare(a.Key, b.Key) })
	return pairs, next, nil
}

// replacedIn returns, for keys in [from, to) that later blocks have changed, the values at the view.
func (v *View) replacedIn(from, to []byte) map[string][]byte {
	old := make(map[string][]byte)
	for w := v.later.Load(); w != nil; w = w.later.Load() {
		for key, value := range w.replaced {
			if key < string(from) || key >= string(to) {
				continue
			}
			if _, earlier := old[key]; !earlier {
				old[key] = value
			}
		}
	}
	return old
}

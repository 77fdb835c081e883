package app

import (
	"bytes"
	"crypto/sha256"
	"fmt"

	"walrus/ledger"
	"walrus/ledger/engine/badgerdb"
	"walrus/ledger/merkle"
)

// View is the state after a block. It never changes, however many blocks follow, and is safe for concurrent use. It
// reads a snapshot of the database, so an old view takes no memory; the disk keeps what later blocks replace until no
// view needs it.
type View struct {
	Height uint64
	Time   int64 // of the block, Unix nanoseconds

	snap *badgerdb.Snapshot
	tree *merkle.Tree
}

// Root returns the Merkle root of the state. The header at Height+1 has it as its app hash.
func (v *View) Root() merkle.Hash { return v.tree.Root() }

// Keys returns the number of keys of the state.
func (v *View) Keys() int { return v.tree.Len() }

// Get implements ledger.Reader.
func (v *View) Get(key []byte) ([]byte, error) {
	at := stateKey(key)
	raw, err := v.snap.Get(at)
	if raw == nil && err == nil {
		return nil, nil
	}
	var value []byte
	if err == nil {
		_, value, err = parseRecord(at, raw)
	}
	if err != nil {
		return nil, fmt.Errorf("read the state at height %d: %w", v.Height, err)
	}
	return value, nil
}

// Prove proves the value that Get returns, against Root.
func (v *View) Prove(key []byte) (merkle.Proof, error) { return v.ProvePath(sha256.Sum256(key)) }

// ProvePath proves, against Root, what the state has at a path.
func (v *View) ProvePath(path merkle.Hash) (merkle.Proof, error) {
	p, err := v.tree.ProvePath(path)
	if err != nil {
		return p, fmt.Errorf("prove the state at height %d: %w", v.Height, damage(err))
	}
	return p, nil
}

// Pair is a pair of the state.
type Pair struct {
	Path       merkle.Hash // SHA-256 of Key
	Key, Value []byte
}

// Pairs returns the pairs of the state from a path on, ascending by path: about limit pairs, or maxBytes bytes of them.
// next is the path to continue at; nil when no more follow.
func (v *View) Pairs(from merkle.Hash, limit, maxBytes int) (pairs []Pair, next *merkle.Hash, err error) {
	raw, more, err := v.scan(pathKey(from), stateEnd, limit, maxBytes)
	if err != nil {
		return nil, nil, fmt.Errorf("read the state at height %d: %w", v.Height, err)
	}
	pairs = make([]Pair, len(raw))
	for i, r := range raw {
		p := &pairs[i]
		if p.Key, p.Value, err = parseRecord(r.Key, r.Value); err != nil {
			return nil, nil, fmt.Errorf("read the state at height %d: %w", v.Height, err)
		}
		copy(p.Path[:], r.Key[1:])
	}
	if more == nil || len(pairs) == 0 {
		return pairs, nil, nil
	}
	return pairs, after(pairs[len(pairs)-1].Path), nil
}

// after returns the path after another; nil after the last.
func after(path merkle.Hash) *merkle.Hash {
	for i := len(path) - 1; i >= 0; i-- {
		if path[i]++; path[i] != 0 {
			return &path
		}
	}
	return nil
}

// Top returns the top of the tree down to a depth, for clients with proofs against older roots.
func (v *View) Top(depth int) ([]byte, error) { return v.tree.Top(depth) }

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

// scan reads the keys of the database in [from, to) as they were at the view: at most limit pairs, or maxBytes bytes of
// them. next is the key to continue at; nil when no more follow.
func (v *View) scan(from, to []byte, limit, maxBytes int) (pairs []badgerdb.Pair, next []byte, err error) {
	pairs, err = v.snap.Scan(badgerdb.Range{From: from, To: to, Limit: limit, MaxBytes: maxBytes})
	if err != nil {
		return nil, nil, err
	}
	if len(pairs) > 0 && (len(pairs) == limit || sizeOf(pairs) >= maxBytes) {
		next = append(bytes.Clone(pairs[len(pairs)-1].Key), 0)
	}
	return pairs, next, nil
}

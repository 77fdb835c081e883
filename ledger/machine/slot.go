package machine

import (
	"bytes"
	"fmt"
	"slices"
	"sync/atomic"

	"walrus/ledger"
)

// slot holds one record of the state while a block is applied. It is read from the state when first touched. Only the
// transaction that holds it touches it, and the scheduler lets one hold it at a time.
type slot[V any] struct {
	claim
	cell[V]
}

// claim names the transaction that may touch a slot.
type claim struct {
	holder atomic.Int32 // position in the block, from 1, of the transaction that touches it now; 0: none yet
	last   int32        // position of the last transaction that declared it; owned by plan
}

// cell holds the part of a slot that is restored when its transaction fails.
type cell[V any] struct {
	value   V
	present bool // the record exists
	before  bool // it existed before the block
	loaded  bool
	dirty   bool
}

// value is a record with a binary form.
type value interface{ Marshal() []byte }

// table holds the records of one kind. No slot is made while transactions that use the table run in parallel.
type table[K comparable, V value] struct {
	values ledger.Reader
	key    func(K) []byte
	read   func([]byte) (V, error)
	slots  map[K]*slot[V]
}

func newTable[K comparable, V value](values ledger.Reader, key func(K) []byte, read func([]byte) (V, error)) table[K, V] {
	return table[K, V]{values, key, read, make(map[K]*slot[V])}
}

// slot returns the record's slot, and makes it if there is none.
func (t *table[K, V]) slot(k K) *slot[V] {
	s := t.slots[k]
	if s == nil {
		s = new(slot[V])
		t.slots[k] = s
	}
	return s
}

// load reads the record once. An error means that the state cannot be read.
func (t *table[K, V]) load(k K, s *slot[V]) error {
	if s.loaded {
		return nil
	}
	key := t.key(k)
	b, err := t.values.Get(key)
	if err != nil {
		return fmt.Errorf("read key %x of the state: %w", key, err)
	}
	if b != nil {
		if s.value, err = t.read(b); err != nil {
			return fmt.Errorf("read key %x of the state: %w", key, err)
		}
		s.present, s.before = true, true
	}
	s.loaded = true
	return nil
}

// put and drop change a loaded cell.
func (c *cell[V]) put(v V) { c.value, c.present, c.dirty = v, true, true }

func (c *cell[V]) drop() {
	var zero V
	c.value, c.present, c.dirty = zero, false, true
}

// changes appends the records that differ from the state before the block, in no order.
func (t *table[K, V]) changes(out []Change) []Change {
	for k, s := range t.slots {
		switch {
		case !s.dirty || !s.present && !s.before:
		case s.present:
			out = append(out, Change{Key: t.key(k), Value: s.value.Marshal()})
		default:
			out = append(out, Change{Key: t.key(k)})
		}
	}
	return out
}

// changes returns the changes of the whole block, ascending by key.
func (k *block) changes() []Change {
	var out []Change
	if k.epochMoved {
		out = append(out, Change{Key: ledger.KeyEpoch(), Value: k.epoch.Marshal()})
	}
	if k.burned {
		out = append(out, Change{Key: ledger.KeySupply(), Value: k.supply.Marshal()})
	}
	out = k.accounts.changes(out)
	out = k.storages.changes(out)
	out = k.blobs.changes(out)
	out = k.infos.changes(out)
	out = k.marks.changes(out)
	out = k.offers.changes(out)
	out = k.pots.changes(out)
	out = k.bonds.changes(out)
	out = k.rules.changes(out)
	slices.SortFunc(out, func(a, b Change) int { return bytes.Compare(a.Key, b.Key) })
	return out
}

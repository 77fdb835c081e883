package machine

import (
	"bytes"
	"fmt"
	"slices"
	"sync/atomic"

	"walrus/ledger"
)

// slot is one record of the state while a block is applied. It is read from the state when first touched. Only the
// transaction that holds it touches it: the scheduler sees to it that there is one at a time.
type slot[V any] struct {
	claim
	cell[V]
}

// claim is who may touch a slot.
type claim struct {
	holder atomic.Int32 // position in the block, from 1, of the transaction that touches it now; 0: none yet
	last   int32        // position of the last transaction that declared it; owned by plan
}

// cell is what a failed transaction gets back.
type cell[V any] struct {
	value   V
	present bool // there is such a record
	before  bool // there was before the block
	loaded  bool
	dirty   bool
}

// value is a record with a binary form.
type value interface{ Marshal() []byte }

// table is the records of one kind. Slots are made while nothing runs in parallel that uses the table.
type table[K comparable, V value] struct {
	values ledger.Reader
	key    func(K) []byte
	read   func([]byte) (V, error)
	slots  map[K]*slot[V]
}

func newTable[K comparable, V value](values ledger.Reader, key func(K) []byte, read func([]byte) (V, error)) table[K, V] {
	return table[K, V]{values, key, read, make(map[K]*slot[V])}
}

// slot is the record's, made if need be.
func (t *table[K, V]) slot(k K) *slot[V] {
	s := t.slots[k]
	if s == nil {
		s = new(slot[V])
		t.slots[k] = s
	}
	return s
}

// load reads the record unless that was done. An error means that the state is damaged.
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

// changes appends what is no longer as before, in no order.
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

// changes are those of the whole block, ascending by key.
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
	out = k.pots.changes(out)
	slices.SortFunc(out, func(a, b Change) int { return bytes.Compare(a.Key, b.Key) })
	return out
}

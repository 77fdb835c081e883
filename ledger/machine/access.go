package machine

import (
	"sync/atomic"

	"walrus/ledger"
	"walrus/shards"
)

// access lists the records a transaction may touch, and the order that follows. Owned by plan, except waits.
type access struct {
	claims []*claim
	sells  bool         // may touch the pots of all epochs
	alone  bool         // may touch everything, and so runs by itself
	waits  atomic.Int32 // earlier transactions to wait for, counted down by release
	next   []int        // later transactions that wait for this one, by index in the block
}

// birth describes a blob record that some transaction of the block would make.
type birth struct {
	blob  shards.BlobID
	mixed bool // two transactions would make it, of different blobs; at most one of them can be valid
}

// plan lets every transaction declare the records it may touch, and has later transactions wait for earlier ones that
// declare the same record. The blob of a record never changes. So the blob ID found now, in the state or in the block's
// registrations, still holds when the transaction runs.
func (k *block) plan() error {
	k.born = make(map[ledger.ObjectID]birth)
	for i := range k.runs {
		if x := &k.runs[i]; x.invalid == nil {
			k.announce(x)
		}
	}
	for i := range k.runs {
		x := &k.runs[i]
		if x.invalid != nil {
			continue
		}
		declare(x, &k.accounts, x.sender)
		for i, op := range x.tx.Ops {
			x.op = i // for object
			if rules[ledger.OpKind(op)].declare(x, op); x.broken != nil {
				return x.broken
			}
		}
		x.op = 0
	}
	return nil
}

// declare claims records of one table.
func declare[K comparable, V value](x *run, t *table[K, V], keys ...K) {
	for _, key := range keys {
		x.take(&t.slot(key).claim)
	}
}

// take claims c. The transaction then waits for the last one that claimed c before.
func (x *run) take(c *claim) {
	if c.last == x.position {
		return
	}
	if c.last > 0 {
		before := &x.block.runs[c.last-1]
		before.next = append(before.next, int(x.position)-1)
		x.waits.Add(1)
	}
	c.last = x.position
	x.claims = append(x.claims, c)
}

// sell claims the pots of all epochs, because the epochs may depend on how long a blob lasts by then.
func (x *run) sell() {
	x.take(&x.block.allPots)
	x.sells = true
}

// declareBlob claims a blob's record and the info of its blob ID.
func (x *run) declareBlob(id ledger.ObjectID) {
	k := x.block
	declare(x, &k.blobs, id)
	s := k.blobs.slot(id)
	if x.broken = k.blobs.load(id, s); x.broken != nil {
		return
	}
	if s.present {
		declare(x, &k.infos, s.value.BlobID)
	} else if b, ok := k.born[id]; ok {
		declare(x, &k.infos, b.blob)
		x.alone = x.alone || b.mixed
	}
}

package machine

import (
	"walrus/ledger"
	"walrus/shards"
)

// find returns the loaded cell of a record that the transaction declared, or nil after it recorded a fault. A
// transaction that runs alone may touch any record.
func find[K comparable, V value](x *run, t *table[K, V], key K) *cell[V] {
	var s *slot[V]
	if x.alone {
		s = t.slot(key)
	} else if s = t.slots[key]; s == nil || s.holder.Load() != x.position {
		x.undeclared()
		return nil
	}
	if err := t.load(key, s); err != nil {
		x.broken = err
		return nil
	}
	return &s.cell
}

// undeclared records a fault: the transaction fails, however the workers are scheduled.
func (x *run) undeclared() {
	x.fault = refuse(ledger.CodeInternal, "operation %d touched a record that it did not declare", x.op)
}

// get reads a record.
func get[K comparable, V value](x *run, t *table[K, V], key K) (v V, ok bool) {
	if c := find(x, t, key); c != nil {
		return c.value, c.present
	}
	return v, false
}

// set writes a record, or removes it if it is not present.
func set[K comparable, V value](x *run, t *table[K, V], key K, v V, present bool) {
	c := find(x, t, key)
	if c == nil {
		return
	}
	old := *c
	x.undo = append(x.undo, func() { *c = old })
	if present {
		c.put(v)
	} else {
		c.drop()
	}
}

func (x *run) account(a ledger.Address) ledger.Account {
	v, _ := get(x, &x.block.accounts, a)
	return v
}

func (x *run) setAccount(a ledger.Address, v ledger.Account) {
	set(x, &x.block.accounts, a, v, v != ledger.Account{})
}

func (x *run) storage(id ledger.ObjectID) (ledger.Storage, bool) {
	return get(x, &x.block.storages, id)
}

func (x *run) setStorage(id ledger.ObjectID, v ledger.Storage) {
	set(x, &x.block.storages, id, v, true)
}

func (x *run) dropStorage(id ledger.ObjectID) { set(x, &x.block.storages, id, ledger.Storage{}, false) }

func (x *run) blob(id ledger.ObjectID) (ledger.Blob, bool) { return get(x, &x.block.blobs, id) }
func (x *run) setBlob(id ledger.ObjectID, v ledger.Blob)   { set(x, &x.block.blobs, id, v, true) }
func (x *run) dropBlob(id ledger.ObjectID)                 { set(x, &x.block.blobs, id, ledger.Blob{}, false) }

func (x *run) info(id shards.BlobID) ledger.BlobInfo {
	v, _ := get(x, &x.block.infos, id)
	return v
}

func (x *run) setInfo(id shards.BlobID, v ledger.BlobInfo) {
	set(x, &x.block.infos, id, v, !v.IsZero())
}

// sale returns the pots of the epochs [start, end), for which storage is sold, or nil after it recorded a fault. Pots
// are in a list and undone together, because one transaction may sell hundreds of thousands of times.
func (x *run) sale(start, end uint32) []*cell[ledger.Pot] {
	if !x.sells && !x.alone { // another transaction may be making slots
		x.undeclared()
		return nil
	}
	k := x.block
	if k.forSale == nil {
		k.forSale = make([]*cell[ledger.Pot], k.params.MaxEpochsAhead)
	}
	pots := k.forSale[start-x.now() : end-x.now()]
	for i, c := range pots {
		if c != nil {
			continue
		}
		s := k.pots.slot(start + uint32(i))
		if x.broken = k.pots.load(start+uint32(i), s); x.broken != nil {
			return nil
		}
		pots[i] = &s.cell
	}
	return pots
}

package light

import (
	"encoding/binary"
	"errors"
	"slices"
	"testing"

	"walrus/ledger"
	"walrus/ledger/merkle"
)

// give returns changes that give alice some objects, every third a storage resource.
func give(count int) []merkle.Change {
	a := ledger.Account{Balance: 1}
	var changes []merkle.Change
	for i := range count {
		var id ledger.ObjectID
		binary.BigEndian.PutUint32(id[:], uint32(i+1))
		if i%3 == 0 {
			a.Storages++
			changes = append(changes, put(ledger.KeyStorage(id),
				ledger.Storage{Owner: alice, End: 5, Bytes: uint64(i)}.Marshal()))
		} else {
			a.Blobs++
			changes = append(changes, put(ledger.KeyBlob(id), ledger.Blob{Owner: alice, End: 5, Size: uint64(i)}.Marshal()))
		}
	}
	return append(changes, put(ledger.KeyAccount(alice), a.Marshal()))
}

func TestObjects(t *testing.T) {
	w := newWorld(t)
	ctx := limited(t)
	c := w.asking(t, w.honest)
	if o, err := c.Objects(ctx, alice); err != nil || len(o.Blobs)+len(o.Storages) != 0 {
		t.Errorf("alice owns %+v, %v", o, err)
	}
	const count = 1500 // more than a page
	w.set(t, give(count)...)
	o, err := c.Objects(ctx, alice)
	if err != nil || len(o.Storages) != count/3 || len(o.Blobs) != count*2/3 || o.Account.Balance != 1 {
		t.Fatalf("alice owns %d storage resources and %d blobs, %v", len(o.Storages), len(o.Blobs), err)
	}
	for i, b := range o.Blobs {
		if n := binary.BigEndian.Uint32(b.ID[:]); b.Size != uint64(n-1) || i > 0 &&
			slices.Compare(o.Blobs[i-1].ID[:], b.ID[:]) >= 0 {
			t.Fatalf("blob %d is %x of size %d", i, b.ID, b.Size)
		}
	}
}

func TestObjectsLies(t *testing.T) {
	w := newWorld(t)
	ctx := limited(t)
	w.set(t, append(give(30), put(ledger.KeyBlob(ledger.ObjectID{200}), ledger.Blob{Owner: bob}.Marshal()))...)
	tell := func(change func([]Object) []Object) *source {
		s := &source{Source: w.chain}
		s.objects = func(ctx ctxt, owner ledger.Address, after ledger.ObjectID, limit int) ([]Object, error) {
			list, err := w.Objects(ctx, owner, after, limit)
			return change(list), err
		}
		return s
	}
	for name, s := range map[string]*source{
		"withheld":  tell(func(l []Object) []Object { return slices.Delete(l, 7, 8) }),
		"all":       tell(func([]Object) []Object { return nil }),
		"bob's":     tell(func(l []Object) []Object { return append(l[:29], Object{ID: ledger.ObjectID{200}, Blob: true}) }),
		"made up":   tell(func(l []Object) []Object { return append(l, Object{ID: ledger.ObjectID{201}}) }),
		"twice":     tell(func(l []Object) []Object { return append(l[:29], l[28]) }),
		"unordered": tell(func(l []Object) []Object { slices.Reverse(l); return l }),
		"endless": tell(func(l []Object) []Object {
			for i := len(l); i < MaxObjects; i++ {
				o := l[len(l)-1]
				binary.BigEndian.PutUint32(o.ID[4:], uint32(i))
				l = append(l, o)
			}
			return l
		}),
		"wrong kind": tell(func(l []Object) []Object { l[3].Blob = !l[3].Blob; return l }),
	} {
		t.Run(name, func(t *testing.T) {
			w.tale.Store(s)
			if o, err := w.asking(t, w.liar).Objects(ctx, alice); !errors.Is(err, ErrLied) || !contains(err.Error(), "node-0") {
				t.Errorf("list %+v, %v", o, err)
			}
			if o, err := w.asking(t, w.liar, w.honest).Objects(ctx, alice); err != nil || len(o.Blobs) != 20 ||
				len(o.Storages) != 10 {
				t.Errorf("with an honest node %+v, %v", o, err)
			}
		})
	}
}

// An account that changes during the listing is listed again, and no node is blamed.
func TestObjectsChange(t *testing.T) {
	w := newWorld(t)
	ctx := limited(t)
	w.set(t, give(30)...)
	times := 2
	s := &source{Source: w.chain}
	s.objects = func(ctx ctxt, owner ledger.Address, after ledger.ObjectID, limit int) ([]Object, error) {
		if times--; times >= 0 {
			w.set(t, give(36-3*times)...)
		}
		return w.Objects(ctx, owner, after, limit)
	}
	w.tale.Store(s)
	if o, err := w.asking(t, w.liar).Objects(ctx, alice); err != nil || len(o.Blobs) != 24 {
		t.Errorf("list %+v, %v", o, err)
	}
	n := 0
	s.objects = func(ctx ctxt, owner ledger.Address, after ledger.ObjectID, limit int) ([]Object, error) {
		list, err := w.Objects(ctx, owner, after, limit)
		n++
		w.set(t, give(36+3*n)...)
		return list, err
	}
	if o, err := w.asking(t, w.liar).Objects(ctx, alice); !errors.Is(err, ErrChanging) || errors.Is(err, ErrLied) {
		t.Errorf("an account that never rests: %+v, %v", o, err)
	}
}
